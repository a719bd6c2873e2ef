import { SIMPLE_REPLY_BYTES } from '../constants.js';
import type { ReadView } from '../export.js';
import { encodeSimpleReply } from './transmission-messages.js';

const BLOCK_BYTES = 256 * 1024;
/** Larger replies get a block of their own: they would waste too much of a block's end. */
const SHARED_MAX_BYTES = 72 * 1024;
/** So much is handed to the socket at once: what has just been filled is still in a cache. */
const EAGER_BYTES = 256 * 1024;
/** From here on a reply is sent from where its data lies, if that can be had: it fits no cache. */
const LENT_MIN_BYTES = 256 * 1024;
/** Of the session's memory, this much at most is held up by a client that takes no replies. */
const LENT_MAX_BYTES = 8 * 1024 * 1024;
/** What is kept of unused blocks, together. */
const FREE_MAX_BYTES = 4 * 1024 * 1024;

/** Takes pieces in order, and tells when their memory may be used again, whether they were sent or can't be. */
export type SendReplies = (pieces: readonly Buffer[], taken: () => void) => void;

interface Block {
  readonly bytes: Buffer;
  /** Sends under way, pieces that wait to be sent, and rooms that are filled later. */
  holders: number;
}

/**
 * Collects the replies of one batch, to be sent with one write. Replies are placed one after another
 * in blocks of memory; a block is used again when the socket has taken all that was in it, so that
 * replies of any size are built in memory that is neither fresh nor cold.
 */
export class ReplyWriter {
  #block: Block = newBlock(BLOCK_BYTES);
  /** What of the block is to be sent with the next piece. */
  #from = 0;
  #to = 0;
  #pieces: Buffer[] = [];
  /** Held by the pieces that wait for flush(). */
  #waiting: Block[] = [];
  #pendingBytes = 0;
  readonly #free: Block[] = [];
  #freeBytes = 0;
  #lentBytes = 0;
  /** Of the room that reserve() gave last, where it is not in the current block. */
  #ownBlock: Block | undefined;
  readonly #send: SendReplies;

  constructor(send: SendReplies) {
    this.#send = send;
  }

  /** Bytes that wait for flush(). */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** A simple reply; `error` is 0 for success. */
  simple(error: number, cookie: Uint8Array): void {
    if (BLOCK_BYTES - this.#to < SIMPLE_REPLY_BYTES) this.#renew();
    encodeSimpleReply(this.#block.bytes, this.#to, error, cookie);
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
    if (length > SHARED_MAX_BYTES) {
      this.#ownBlock = this.#takeBlock(length);
      return this.#ownBlock.bytes.subarray(0, length);
    }
    this.#ownBlock = undefined;
    if (BLOCK_BYTES - this.#to < length) this.#renew();
    return this.#block.bytes.subarray(this.#to, this.#to + length);
  }

  /** Sends what reserve() gave, after all that came before. */
  commit(room: Buffer): void {
    if (this.#ownBlock === undefined) {
      this.#to += room.length;
      this.#pendingBytes += room.length;
    } else {
      this.#hold(this.#ownBlock);
      this.push(room);
    }
    if (this.#pendingBytes >= EAGER_BYTES) this.flush();
  }

  /** Leaves what reserve() gave to its user; returns what sends it. */
  detach(room: Buffer): () => void {
    const block = this.#ownBlock ?? this.#block;
    block.holders += 1;
    if (this.#ownBlock === undefined) {
      this.#cut();
      this.#from = this.#to += room.length;
    }
    return () => {
      this.push(room);
      this.#waiting.push(block);
    };
  }

  /** Whether data of that length would better be lent than copied. */
  mayLend(length: number): boolean {
    return length >= LENT_MIN_BYTES && this.#lentBytes + length <= LENT_MAX_BYTES;
  }

  /** Sends the data from where it lies, after all that came before. */
  lend(view: ReadView, length: number): void {
    this.#cut();
    for (const piece of view.pieces) this.#pieces.push(piece);
    this.#lentBytes += length;
    this.#flush(() => {
      this.#lentBytes -= length;
      view.release();
    });
  }

  /** Hands everything collected to the socket. */
  flush(): void {
    this.#cut();
    if (this.#pieces.length > 0) this.#flush();
  }

  #flush(taken?: () => void): void {
    this.#hold(this.#block);
    const pieces = this.#pieces;
    const blocks = this.#waiting;
    this.#pieces = [];
    this.#waiting = [];
    this.#pendingBytes = 0;
    this.#send(pieces, () => {
      this.#taken(blocks);
      taken?.();
    });
  }

  /** Until the next flush has been taken. */
  #hold(block: Block): void {
    block.holders += 1;
    this.#waiting.push(block);
  }

  #taken(blocks: readonly Block[]): void {
    for (const block of blocks) {
      block.holders -= 1;
      if (block.holders === 0) this.#reuse(block);
    }
  }

  #reuse(block: Block): void {
    if (block === this.#block) {
      const isAllSent = this.#pieces.length === 0 && this.#from === this.#to;
      if (isAllSent) this.#from = this.#to = 0;
    } else if (this.#freeBytes + block.bytes.length <= FREE_MAX_BYTES) {
      this.#free.push(block);
      this.#freeBytes += block.bytes.length;
    }
  }

  #cut(): void {
    if (this.#to > this.#from) this.#pieces.push(this.#block.bytes.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #renew(): void {
    this.#cut();
    if (this.#block.holders === 0 && this.#pieces.length === 0) {
      this.#from = this.#to = 0;
      return;
    }
    this.#hold(this.#block);
    this.#block = this.#takeBlock(BLOCK_BYTES);
    this.#from = this.#to = 0;
  }

  #takeBlock(length: number): Block {
    const at = this.#free.findLastIndex(({ bytes }) => bytes.length >= length);
    const [found] = at < 0 ? [] : this.#free.splice(at, 1);
    if (found === undefined) return newBlock(Math.max(length, BLOCK_BYTES));
    this.#freeBytes -= found.bytes.length;
    return found;
  }
}

function newBlock(length: number): Block {
  return { bytes: Buffer.allocUnsafeSlow(length), holders: 0 };
}
