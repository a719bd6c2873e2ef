/**
 * Where the bytes of a connection come from.
 *
 * A socket that Node.js passes to a server allocates 64 KiB for each read. A socket made with
 * `onread` receives into memory that we provide, as much as there is with one system call. But
 * `net.Server` makes its sockets itself, so the handle of the accepted socket is moved to a new
 * one. The handle is not part of the documented interface: if it is not as expected, the socket is
 * read like any other stream.
 */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ReceiveBlocks } from './receive-blocks.js';

/** A stream, and the batches of bytes that were received from it. */
export interface ByteSource {
  readonly stream: Duplex;
  /** Called once, before anything is delivered. A batch is valid until it is released. */
  listen(deliver: (batch: Buffer) => void): void;
  /** Pauses the stream and delivers no more: another reader takes over. */
  detach(): void;
  /** Releases the oldest batch that was delivered. */
  release(): void;
}

/** Any stream. Its chunks need not be released. */
export class StreamSource implements ByteSource {
  #deliver: (batch: Buffer) => void = () => undefined;

  constructor(readonly stream: Duplex) {}

  listen(deliver: (batch: Buffer) => void): void {
    this.#deliver = deliver;
    this.stream.on('data', deliver);
    this.stream.resume();
  }

  detach(): void {
    this.stream.off('data', this.#deliver);
    this.stream.pause();
  }

  release(): void {
    return;
  }
}

/** An accepted socket that receives into blocks that are reused. */
class BlockSource implements ByteSource {
  readonly stream: Socket;
  readonly #blocks = new ReceiveBlocks();
  #deliver: (batch: Buffer) => void = () => undefined;

  constructor(handle: object) {
    const options = {
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: () => this.#blocks.room(),
        callback: (length: number) => {
          this.#deliver(this.#blocks.take(length));
          return true;
        },
      },
    };
    this.stream = new Socket(options);
  }

  listen(deliver: (batch: Buffer) => void): void {
    this.#deliver = deliver;
  }

  detach(): void {
    this.stream.pause();
    this.#deliver = () => undefined;
  }

  release(): void {
    this.#blocks.release();
  }
}

/** The fastest source for a socket that a server has accepted with `pauseOnConnect`. */
export function sourceOf(accepted: Socket): ByteSource {
  const handle = takeHandle(accepted);
  return handle === undefined ? new StreamSource(accepted) : new BlockSource(handle);
}

/** Takes the handle from its socket, which then counts as closed for its server. */
function takeHandle(socket: Socket): object | undefined {
  const owner = socket as unknown as { _handle?: unknown };
  const handle = owner._handle;
  const isUsable =
    typeof handle === 'object' &&
    handle !== null &&
    ['readStart', 'readStop', 'useUserBuffer', 'close'].every(
      (name) => typeof (handle as Record<string, unknown>)[name] === 'function',
    );
  if (!isUsable) return undefined;
  owner._handle = null;
  socket.destroy();
  return handle;
}
