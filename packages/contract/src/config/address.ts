import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { looks } from './key-metadata.js';

/** Where something listens. */
export type Address = { readonly type: 'unix'; readonly path: string } | InetAddress;

export interface InetAddress {
  readonly type: 'inet';
  readonly host: string;
  readonly port: number;
  /** Present where the connection is one of TLS. */
  readonly tls?: true;
}

/** Longest path that fits a socket address on Linux. */
const SOCKET_PATH_BYTES_MAX = 107;

export const socketPath = z
  .string()
  .startsWith('/', 'give the socket an absolute path')
  .refine((path) => Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX, {
    error: `a socket's path may have ${SOCKET_PATH_BYTES_MAX} bytes at most`,
  })
  .meta(looks(`absolute path of ${SOCKET_PATH_BYTES_MAX} bytes at most`));

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

/** A URI of QEMU's `migrate`. The guest's memory goes there in the clear. */
export const migrateUri = z
  .string()
  .superRefine((text, context) => {
    if (text.startsWith('unix:')) {
      const socket = socketPath.safeParse(text.slice('unix:'.length));
      if (!socket.success) context.addIssue(socket.error.issues[0]?.message ?? 'not a socket path');
    } else if (!tcpOf(text)) context.addIssue('write unix:/path/of.sock or tcp:HOST:PORT');
  })
  .meta(looks('`unix:PATH` or `tcp:HOST:PORT`'));

/** Where a migration URI leads, unless that is a unix socket. */
export function tcpOf(uri: string): { host: string; port: number } | undefined {
  return uri.startsWith('tcp:') ? hostAndPort(uri.slice('tcp:'.length)) : undefined;
}

function hostAndPort(text: string): { host: string; port: number } | undefined {
  const [, host, digits] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return host && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** Whether an address is reached without leaving this host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
