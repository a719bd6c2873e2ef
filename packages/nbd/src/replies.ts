import { SIMPLE_REPLY_BYTES } from './constants.js';
import { encodeSimpleReply } from './wire.js';

const SLAB_BYTES = 64 * 1024;
/** Larger replies get a buffer of their own: they would waste too much of a slab's end. */
const INLINE_MAX_BYTES = 16 * 1024;

/**
 * Collects the replies of one batch, to be sent with one write. Small replies are placed one after
 * another in a slab, so that most need no allocation. A slab is never written to twice: the socket
 * may still hold it.
 */
export class ReplyWriter {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** What of the slab is to be sent with the next piece. */
  #from = 0;
  #to = 0;
  #pieces: Buffer[] = [];
  #pendingBytes = 0;
  readonly #send: (pieces: readonly Buffer[]) => void;

  constructor(send: (pieces: readonly Buffer[]) => void) {
    this.#send = send;
  }

  /** Bytes that wait for flush(). */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** A simple reply; `error` is 0 for success. */
  simple(error: number, cookie: Uint8Array): void {
    if (SLAB_BYTES - this.#to < SIMPLE_REPLY_BYTES) this.#renew();
    encodeSimpleReply(this.#slab, this.#to, error, cookie);
    this.#to += SIMPLE_REPLY_BYTES;
    this.#pendingBytes += SIMPLE_REPLY_BYTES;
  }

  /** A complete message in a buffer that the writer may keep. */
  push(message: Buffer): void {
    this.#cut();
    this.#pieces.push(message);
    this.#pendingBytes += message.length;
  }

  /**
   * Room for a reply that is filled before it is sent. It must be given to commit() or, where it is
   * filled later, to detach() before anything else is called; where it is given to neither it is
   * used again.
   */
  reserve(length: number): Buffer {
    if (length > INLINE_MAX_BYTES) return Buffer.allocUnsafeSlow(length);
    if (SLAB_BYTES - this.#to < length) this.#renew();
    return this.#slab.subarray(this.#to, this.#to + length);
  }

  /** Sends what reserve() gave, after all that came before. */
  commit(room: Buffer): void {
    if (room.buffer !== this.#slab.buffer) {
      this.push(room);
      return;
    }
    this.#to += room.length;
    this.#pendingBytes += room.length;
  }

  /** Leaves what reserve() gave to its user, who sends it with push() later. */
  detach(room: Buffer): void {
    if (room.buffer !== this.#slab.buffer) return;
    this.#cut();
    this.#from = this.#to += room.length;
  }

  /** Hands everything collected to the socket. */
  flush(): void {
    this.#cut();
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#pendingBytes = 0;
    this.#send(pieces);
  }

  #cut(): void {
    if (this.#to > this.#from) this.#pieces.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #renew(): void {
    this.#cut();
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#from = this.#to = 0;
  }
}
