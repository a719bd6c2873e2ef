import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ByteStream } from './client-handshake.js';
import { NbdConnectionError, NbdError } from './errors.js';

/** Where a server listens. */
export type NbdServerAddress =
  { readonly path: string } | { readonly host: string; readonly port: number };

/** A socket as the handshake wants it: so many bytes at a time. */
export class HandshakeStream implements ByteStream {
  readonly #socket: Socket;
  #chunks: Buffer = Buffer.alloc(0);
  #waiting: { length: number; resolve: (bytes: Buffer) => void } | undefined;
  #receive: (bytes: Buffer) => void;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#receive = (bytes) => {
      this.#chunks = Buffer.concat([this.#chunks, bytes]);
      this.#serve();
    };
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
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

  /** What was received and not taken, and all that follows, goes to `receive` from now on. */
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

/**
 * Connects and runs `talk`, which fails as soon as the connection does or `timeoutMs` have passed.
 * The socket is destroyed where it fails.
 */
export async function converse<T>(
  address: NbdServerAddress,
  timeoutMs: number,
  talk: (socket: Socket, stream: HandshakeStream) => Promise<T>,
): Promise<T> {
  const socket =
    'path' in address
      ? connect({ path: address.path })
      : connect({ host: address.host, port: address.port, noDelay: true });
  const stream = new HandshakeStream(socket);
  let fail: (error: Error) => void = () => undefined;
  const broken = new Promise<never>((_resolve, reject) => (fail = reject));
  const onError = (cause: Error): void => {
    fail(new NbdConnectionError(`cannot talk to the server: ${cause.message}`, { cause }));
  };
  const onClose = (): void =>
    fail(new NbdConnectionError('the server hung up during the handshake'));
  const timer = setTimeout(
    () => fail(new NbdConnectionError(`no NBD handshake within ${timeoutMs} ms`)),
    timeoutMs,
  );
  socket.on('error', onError);
  socket.on('close', onClose);
  try {
    return await Promise.race([talk(socket, stream), broken]);
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
