import { connect } from 'node:net';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { checkAddress, type NbdAddress } from '../address.js';
import type { ByteStream } from './client-handshake.js';
import { NbdConnectionError, NbdError, NbdProtocolError } from '../errors.js';
import { openSslReason } from '../openssl-reason.js';

/** A socket that is read in exact lengths, for the handshake. */
export class HandshakeStream implements ByteStream {
  #socket: Socket;
  #chunks: Buffer = Buffer.alloc(0);
  #waiting: { length: number; resolve: (bytes: Buffer) => void } | undefined;
  #receive: (bytes: Buffer) => void;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#receive = (bytes) => {
      this.#chunks = Buffer.concat([this.#chunks, bytes]);
      this.#serve();
    };
    socket.on('data', this.#onData);
  }

  /** The socket in use: the TLS socket after upgradeToTls(). */
  get socket(): Socket {
    return this.#socket;
  }

  readonly #onData = (bytes: Buffer): void => this.#receive(bytes);

  /**
   * Does the TLS handshake, after the server has acknowledged NBD_OPT_STARTTLS.
   *
   * @throws NbdConnectionError if the handshake fails or the certificate is not accepted
   * @throws NbdProtocolError if unencrypted bytes follow the acknowledgement: the server is broken,
   *     or the bytes were injected
   */
  async upgradeToTls(options: ConnectionOptions): Promise<void> {
    if (this.#chunks.length > 0) {
      throw new NbdProtocolError('unencrypted bytes follow the answer to NBD_OPT_STARTTLS');
    }
    const raw = this.#socket;
    raw.off('data', this.#onData);
    raw.on('error', () => undefined);
    raw.pause();
    const secured = await new Promise<TLSSocket>((resolve, reject) => {
      const fail = (cause: Error): void => {
        reject(
          new NbdConnectionError(`TLS with the server failed: ${openSslReason(cause)}`, { cause }),
        );
      };
      const socket = connectTls({ ...options, socket: raw }, () => resolve(socket));
      socket.on('error', fail);
      socket.on('close', () => fail(new Error('the server closed the connection')));
    });
    this.#socket = secured;
    secured.on('data', this.#onData);
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  take(length: number): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#waiting = { length, resolve };
      this.#serve();
    });
  }

  /** Passes what was received and not taken, and all that follows, to `receive`. */
  detach(receive: (bytes: Buffer) => void): void {
    this.#receive = receive;
    if (this.#chunks.length > 0) receive(this.#chunks);
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#chunks.length < waiting.length) return;
    this.#waiting = undefined;
    const taken = this.#chunks.subarray(0, waiting.length);
    this.#chunks = this.#chunks.subarray(waiting.length);
    waiting.resolve(taken);
  }
}

/** Adds the default: the server must present a certificate for the host we connect to. */
export function tlsOptionsFor(address: NbdAddress, options: ConnectionOptions): ConnectionOptions {
  if ('path' in address) return options;
  const { host } = address;
  // An IP address must not be sent as server name (RFC 6066, section 3), but is verified.
  return { host, ...(isIP(host) === 0 ? { servername: host } : {}), ...options };
}

/**
 * Connects and runs `talk`. If it fails, the socket is destroyed.
 *
 * @throws NbdUsageError if it is no address
 * @throws NbdConnectionError if the connection fails, or `timeoutMs` pass, before `talk` ends
 */
export async function runHandshake<T>(
  address: NbdAddress,
  timeoutMs: number,
  talk: (stream: HandshakeStream) => Promise<T>,
): Promise<T> {
  checkAddress(address);
  const socket =
    'path' in address
      ? connect({ path: address.path })
      : connect({ host: address.host, port: address.port, noDelay: true });
  const stream = new HandshakeStream(socket);
  let fail: (error: Error) => void = () => undefined;
  const broken = new Promise<never>((_resolve, reject) => (fail = reject));
  const onError = (cause: Error): void => {
    fail(new NbdConnectionError(`the connection failed: ${cause.message}`, { cause }));
  };
  const onClose = (): void =>
    fail(new NbdConnectionError('the server closed the connection during the handshake'));
  const timer = setTimeout(
    () => fail(new NbdConnectionError(`no NBD handshake within ${timeoutMs} ms`)),
    timeoutMs,
  );
  socket.on('error', onError);
  socket.on('close', onClose);
  try {
    return await Promise.race([talk(stream), broken]);
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    if (error instanceof NbdError) throw error;
    throw new NbdConnectionError('the handshake failed', { cause: error });
  } finally {
    clearTimeout(timer);
    socket.off('error', onError);
    socket.off('close', onClose);
  }
}
