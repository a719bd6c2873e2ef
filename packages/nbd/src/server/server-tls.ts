/**
 * The server's side of TLS, after NBD_OPT_STARTTLS was acknowledged ("STARTTLS" and "TLS
 * versions"). It uses one `tls.Server` per client, which does not listen: that is the part of
 * Node.js that verifies client certificates, and changed credentials apply to the next client.
 */

import type { Duplex } from 'node:stream';
import type { TlsOptions, TLSSocket } from 'node:tls';
import { createServer } from 'node:tls';
import { NbdConnectionError } from '../errors.js';
import { openSslReason } from '../openssl-reason.js';

/** How a listener authenticates its clients, before it answers anything about exports. */
export interface NbdServerTls {
  /**
   * Options of node:tls, called for each client. A client certificate is requested and verified
   * unless `requestCert` is false; with `pskCallback`, clients use a pre-shared key instead.
   */
  readonly options: () => TlsOptions;
  /** Identifies a verified client, for logs and exports. May throw to refuse it. */
  readonly identify?: (socket: TLSSocket) => string;
}

/** An encrypted stream, and the identity of its client. */
export interface TlsConnection {
  readonly stream: TLSSocket;
  readonly identity: string | undefined;
}

/**
 * Does the TLS handshake on `raw`, which only TLS may read from now on. `done` is called once;
 * if it gets an error, `raw` must be destroyed.
 */
export function upgradeToTls(
  raw: Duplex,
  { options, identify }: NbdServerTls,
  done: (result: TlsConnection | NbdConnectionError) => void,
): void {
  let isDone = false;
  const settle = (result: TlsConnection | NbdConnectionError): void => {
    raw.off('close', onClose);
    if (isDone) return;
    isDone = true;
    done(result);
  };
  const fail = (cause: unknown): void => settle(tlsFailure(cause));
  const onClose = (): void => fail(new Error('the client closed the connection'));
  raw.on('close', onClose);
  try {
    const server = createServer({ requestCert: true, rejectUnauthorized: true, ...options() });
    server.on('secureConnection', (stream) => {
      // First of all: every error from here on belongs to the connection.
      stream.on('error', fail);
      try {
        settle({ stream, identity: identify?.(stream) });
      } catch (error) {
        fail(error);
      }
    });
    server.on('tlsClientError', fail);
    server.emit('connection', raw);
  } catch (error) {
    fail(error);
  }
}

function tlsFailure(cause: unknown): NbdConnectionError {
  return new NbdConnectionError(`TLS with this client failed: ${openSslReason(cause)}`, { cause });
}
