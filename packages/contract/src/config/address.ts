import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { looks } from './key-metadata.js';
import { SOCKET_PATH_BYTES_MAX } from './paths.js';

/** Where something listens: a unix socket, or a TCP port with or without TLS. */
export type Address = { readonly type: 'unix'; readonly path: string } | InetAddress;

/** A TCP port. */
export interface InetAddress {
  readonly type: 'inet';
  readonly host: string;
  readonly port: number;
  /** Present if connections use TLS. */
  readonly tls?: true;
}

/** An absolute path that fits a socket address. */
export const socketPath = z
  .string()
  .startsWith('/', 'a socket needs an absolute path')
  .refine((path) => Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX, {
    error: `the path of a socket may have at most ${SOCKET_PATH_BYTES_MAX} bytes`,
  })
  .meta(looks(`absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes`));

/** `unix:PATH`, `tls:HOST:PORT` or `HOST:PORT`. */
export const address = z
  .string()
  .transform((text, context): Address => {
    const unix = /^unix:(.+)$/.exec(text)?.[1];
    if (unix !== undefined) {
      const socket = socketPath.safeParse(unix);
      if (socket.success) return { type: 'unix', path: unix };
      context.addIssue(socket.error.issues[0]?.message ?? 'not a socket path');
      return z.NEVER;
    }
    const inet = hostAndPort(text.replace(/^tls:/, ''));
    if (!inet) {
      context.addIssue('write unix:/path/of.sock, tls:HOST:PORT or HOST:PORT');
      return z.NEVER;
    }
    return { type: 'inet', ...inet, ...(text.startsWith('tls:') ? { tls: true } : {}) };
  })
  .meta(looks('address'));

/** Where a secondary's QEMU waits for the migration, which carries the guest's memory. */
export const migrateUri = z
  .string()
  .superRefine((text, context) => {
    if (text.startsWith('unix:')) {
      const socket = socketPath.safeParse(text.slice('unix:'.length));
      if (!socket.success) context.addIssue(socket.error.issues[0]?.message ?? 'not a socket path');
    } else if (!/^(tcp|tls):/.test(text) || !hostAndPort(text.slice('tcp:'.length))) {
      context.addIssue('write unix:/path/of.sock, tls:HOST:PORT or tcp:HOST:PORT');
    }
  })
  .meta(looks('`unix:PATH`, `tls:HOST:PORT` or `tcp:HOST:PORT`'));

/** The address of a migration as QEMU takes it, which is told of TLS in another way. */
export function migrationOf(text: string): { readonly uri: string; readonly hasTls: boolean } {
  return { uri: text.replace(/^tls:/, 'tcp:'), hasTls: text.startsWith('tls:') };
}

/** The same as an address like all others. */
export function migrationAddress(text: string): Address | undefined {
  const at = address.safeParse(text.replace(/^tcp:/, ''));
  return at.success ? at.data : undefined;
}

function hostAndPort(text: string): { host: string; port: number } | undefined {
  const [, host, digits] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return host && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** Whether connections to a host stay on this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
