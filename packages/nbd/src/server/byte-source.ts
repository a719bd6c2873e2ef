// Where a connection's bytes come from.
//
// A socket that Node.js hands to a server allocates 64 KiB for each read. One that is constructed
// with `onread` receives into memory of its owner, as much as there is with one system call, and
// wastes none of it; only, `net.Server` constructs its sockets itself. So the handle of the accepted
// socket is given to a new one. That handle is not part of the documented interface: where it is not
// as expected, or cannot be moved, the socket is read as any other stream is.

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ReceiveBlocks } from './receive-blocks.js';

/** A stream, and the batches of bytes that it delivers. */
export interface ByteSource {
  readonly stream: Duplex;
  /** Called once, before anything is delivered. Its bytes are valid until `done` is called. */
  listen(deliver: (batch: Buffer) => void): void;
  /** Delivers no more: the stream, which is paused, is for somebody else to read. */
  leave(): void;
  /** The oldest batch that was delivered is needed no more. */
  done(): void;
}

/** Any stream: its chunks are its own. */
export class StreamSource implements ByteSource {
  #deliver: (batch: Buffer) => void = () => undefined;

  constructor(readonly stream: Duplex) {}

  listen(deliver: (batch: Buffer) => void): void {
    this.#deliver = deliver;
    this.stream.on('data', deliver);
    this.stream.resume();
  }

  leave(): void {
    this.stream.off('data', this.#deliver);
    this.stream.pause();
  }

  done(): void {
    return;
  }
}

/** An accepted socket that receives into blocks that are used again and again. */
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

  leave(): void {
    this.stream.pause();
    this.#deliver = () => undefined;
  }

  done(): void {
    this.#blocks.release();
  }
}

/** The best way to receive from a socket that a server accepted with `pauseOnConnect`. */
export function sourceOf(accepted: Socket): ByteSource {
  const handle = takeHandle(accepted);
  return handle === undefined ? new StreamSource(accepted) : new BlockSource(handle);
}

/** Takes the handle from its socket, which is closed then as far as its server counts. */
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
