/** What the HTTP servers of a daemon and of a host share: address, certificate, who may ask. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { GannetError, type HttpConfig } from '@gannet/contract';
import { isOurHost, SAFE_HEADERS } from './guard.js';

/** What the settings are called where they are given, for errors. */
export interface SettingNames {
  readonly listen: string;
  readonly tokenFile: string;
  readonly tls: string;
  readonly cert: string;
  readonly key: string;
}

/** In the configuration of a VM. */
export const KEYS: SettingNames = {
  ...{ listen: 'http.listen', tokenFile: 'http.tokenFile' },
  ...{ tls: 'http.tls', cert: 'http.tls.cert', key: 'http.tls.key' },
};

export interface Certificate extends SecureContextOptions {
  readonly cert: Buffer;
}

/** @throws GannetError GANNET_CONFIG if no server can use them */
export async function readCertificate(
  tls: NonNullable<HttpConfig['tls']>,
  names: SettingNames,
): Promise<Certificate> {
  try {
    const [cert, key] = await Promise.all([readFile(tls.cert), readFile(tls.key)]);
    const options = { cert, key, minVersion: 'TLSv1.2' } as const;
    createSecureContext(options);
    return options;
  } catch (cause) {
    const why = (cause as Error).message;
    const remedy =
      `Set \`${names.cert}\` and \`${names.key}\` to PEM files, a certificate and its private ` +
      'key, that the daemon may read.';
    throw new GannetError('GANNET_CONFIG', `${names.tls}: ${why}`, remedy, 'failed', { cause });
  }
}

export function httpServer(certificate: Certificate | undefined): Server {
  return certificate ? createTlsServer(certificate) : createServer();
}

/** @throws GannetError GANNET_CONFIG if the address can't be used */
export async function listenOn(
  server: Server,
  { host, port }: HttpConfig['listen'],
  names: SettingNames,
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (cause) {
    const why = (cause as Error).message;
    const remedy =
      `Set \`${names.listen}\` to another HOST:PORT, ` + 'or stop the program that uses this one.';
    throw new GannetError('GANNET_CONFIG', `${names.listen}: ${why}`, remedy, 'failed', { cause });
  }
}

/** @param host in place of the address that the server listens on */
export function urlOf(server: Server, isTls: boolean, host?: string): string {
  const { address, port } = server.address() as AddressInfo;
  const name = host ?? address;
  const bracketed = name.includes(':') ? `[${name}]` : name;
  return `${isTls ? 'https' : 'http'}://${bracketed}:${port}/`;
}

/** Ends a response: a status, a body, headers besides the common ones. */
export type End = (status: number, text: string, more?: Readonly<Record<string, string>>) => void;

export function endOf({ method }: IncomingMessage, response: ServerResponse): End {
  return (status, text, more = {}) => {
    const common = { ...SAFE_HEADERS, 'Content-Type': 'text/plain; charset=utf-8' };
    response.writeHead(status, { ...common, ...more }).end(method === 'HEAD' ? '' : `${text}\n`);
  };
}

/**
 * Ends a request that is for another host's name, or would change something.
 *
 * @param hint how a name is allowed
 * @returns whether it was ended
 */
export function refuseStray(
  { headers, method = '' }: IncomingMessage,
  hosts: readonly string[],
  hint: string,
  end: End,
): boolean {
  if (!isOurHost(headers.host, hosts)) {
    end(421, `This host name is not allowed: ${hint}.`);
    return true;
  }
  if (method === 'GET' || method === 'HEAD') return false;
  end(405, 'Only GET is allowed.', { Allow: 'GET, HEAD' });
  return true;
}

/** Path of a request, without what follows a question mark. */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.replace(/\?.*$/s, '');
}

/** What a request presents as `Authorization: Bearer`. */
export function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}
