import { NbdUsageError } from './errors.js';

/** Where an NBD server listens: a unix socket, or a TCP port of a host. */
export type NbdAddress =
  { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * For callers without types.
 *
 * @throws NbdUsageError
 */
export function checkAddress(address: NbdAddress): void {
  const { path, host, port } = Object(address) as Record<string, unknown>;
  if (typeof path === 'string' && path !== '') return;
  if (typeof host === 'string' && Number.isInteger(port)) return;
  throw new NbdUsageError('an NBD address is { path }, or { host, port } with a port number');
}
