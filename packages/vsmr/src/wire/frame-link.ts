import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { protocolError, reasonOf, VsmrError } from '../errors.js';
import { decodeFrame, encodeFrame, type Frame, FRAME_BYTES_MAX, type RamShape } from './frames.js';

/** Of the length before a frame. */
const LENGTH_BYTES = 4;

/** What the engines need of the connection between the two sides. */
export interface Link {
  /**
   * Resolves when more may be sent: a slow receiver makes the sender wait.
   *
   * @throws VsmrError VSMR_LINK_LOST
   */
  send(frame: Frame): Promise<void>;
  /**
   * The next frame, in order. One call at a time.
   *
   * @throws VsmrError VSMR_LINK_LOST, VSMR_PROTOCOL
   */
  receive(): Promise<Frame>;
  /** Cuts the connection. */
  close(): void;
}

/** A link over any stream of bytes: a unix socket, TCP, TLS. */
export class FrameLink implements Link {
  readonly #stream: Duplex;
  readonly #chunks: AsyncIterator<Buffer, undefined>;
  readonly #ram: RamShape;
  #unread: Buffer = Buffer.alloc(0);
  #reason: string | undefined;
  #sentBytes = 0;

  constructor(stream: Duplex, ram: RamShape) {
    // Both sides wait for each other's small frames.
    if (stream instanceof Socket) stream.setNoDelay(true);
    this.#stream = stream;
    this.#ram = ram;
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    stream.on('error', (error) => (this.#reason ??= error.message));
    stream.on('close', () => (this.#reason ??= 'the connection has ended'));
  }

  /** Of all frames so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  async send(frame: Frame): Promise<void> {
    if (this.#reason !== undefined || !this.#stream.writable) throw this.#lost();
    const bytes = encodeFrame(frame);
    this.#sentBytes += bytes.length;
    if (this.#stream.write(bytes)) return;
    const ended = new AbortController();
    const onClose = (): void => ended.abort();
    this.#stream.once('close', onClose);
    try {
      await once(this.#stream, 'drain', { signal: ended.signal });
    } catch (error) {
      throw this.#lost(error);
    } finally {
      this.#stream.off('close', onClose);
    }
  }

  async receive(): Promise<Frame> {
    const length = (await this.#take(LENGTH_BYTES)).readUInt32BE();
    if (length === 0 || length > FRAME_BYTES_MAX) {
      throw protocolError(`a frame of ${length} bytes`);
    }
    return decodeFrame(await this.#take(length), this.#ram);
  }

  close(): void {
    this.#reason ??= 'it was closed here';
    this.#stream.destroy();
  }

  async #take(length: number): Promise<Buffer> {
    const chunks = [this.#unread];
    let have = this.#unread.length;
    while (have < length) {
      const chunk = await this.#chunk();
      chunks.push(chunk);
      have += chunk.length;
    }
    const all = chunks.length === 1 ? this.#unread : Buffer.concat(chunks);
    this.#unread = all.subarray(length);
    return all.subarray(0, length);
  }

  async #chunk(): Promise<Buffer> {
    try {
      const next = await this.#chunks.next();
      if (next.done !== true) return next.value;
    } catch (error) {
      throw this.#lost(error);
    }
    throw this.#lost();
  }

  #lost(cause?: unknown): VsmrError {
    const why =
      this.#reason ?? (cause === undefined ? 'the other side has ended' : reasonOf(cause));
    const remedy = 'Decide which side goes on alone; then begin a new pair.';
    return new VsmrError('VSMR_LINK_LOST', `the other side is lost: ${why}`, remedy, { cause });
  }
}
