// The server's end of TLS: what begins after NBD_OPT_STARTTLS was acknowledged ("STARTTLS" and "TLS versions" in
// proto.md). A `tls.Server` that listens nowhere does it, one for each client: it is the part of Node.js that verifies
// client certificates, and credentials that have changed hold for the next client.

import type { Duplex } from 'node:stream';
import type { TlsOptions, TLSSocket } from 'node:tls';
import { createServer } from 'node:tls';
import { NbdConnectionError } from '../errors.js';
import { openSslReason } from '../openssl-reason.js';

/** What a listener asks of its clients before it talks about exports. */
export interface NbdServerTls {
  /**
   * Options of node:tls, asked for anew for each client. A client certificate is asked for and verified unless
   * `requestCert` is false; with `pskCallback` clients show a pre-shared key in its place.
   */
  readonly options: () => TlsOptions;
  /** Says who a client is, after it has been verified, for logs and exports; throws to turn it away. */
  readonly identify?: (socket: TLSSocket) => string;
}

/** A stream that has been secured, and who is at its other end. */
export interface TlsConnection {
  readonly stream: TLSSocket;
  readonly identity: string | undefined;
}

/**
 * Shakes hands on `raw`, which nobody else may read from now on. `done` is called once; where it gets an error, `raw`
 * has to be destroyed.
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
  const onClose = (): void => fail(new Error('the client hung up'));
  raw.on('close', onClose);
  try {
    const server = createServer({ requestCert: true, rejectUnauthorized: true, ...options() });
    server.on('secureConnection', (stream) => {
      // Before anything else: what goes wrong from here on is the connection's.
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
