import {
  CHUNK_HEADER_BYTES,
  EXTENDED_CHUNK_HEADER_BYTES,
  SIMPLE_REPLY_BYTES,
} from '../constants.js';
import type { ReadView } from '../export.js';
import { encodeExtendedNone } from './extended-messages.js';
import { encodeNone, encodeSimpleReply } from './transmission-messages.js';

/** Size of the blocks that replies are built in. */
const BLOCK_BYTES = 256 * 1024;
/** Larger replies get a block of their own: at the end of a shared one too much would be lost. */
const SHARED_MAX_BYTES = 72 * 1024;
/** Replies are passed to the socket at this size, while they are still in the CPU's cache. */
const EAGER_BYTES = 256 * 1024;
/** Replies of at least this size do not fit the cache: they are sent without a copy if possible. */
const LENT_MIN_BYTES = 256 * 1024;
/** Most memory of the session that a client which reads no replies can hold. */
const LENT_MAX_BYTES = 8 * 1024 * 1024;
/** Most memory that is kept in unused blocks. */
const FREE_MAX_BYTES = 4 * 1024 * 1024;

/** Sends pieces in order; calls `taken` when they were sent, or cannot be, and may be reused. */
export type SendReplies = (pieces: readonly Buffer[], taken: () => void) => void;

interface Block {
  readonly bytes: Buffer;
  /** Sends under way, pieces that wait to be sent, and detached rooms. */
  holders: number;
}

/**
 * Collects the replies of one batch and sends them with one write. Replies are built one after
 * another in blocks of memory. A block is reused when the socket has taken everything in it, so
 * that no reply needs fresh or cold memory.
 */
export class ReplyWriter {
  #block: Block = newBlock(BLOCK_BYTES);
  /** The part of the block that the next piece will hold. */
  #from = 0;
  #to = 0;
  #pieces: Buffer[] = [];
  /** Blocks of the pieces that wait for flush(). */
  #waiting: Block[] = [];
  #pendingBytes = 0;
  readonly #free: Block[] = [];
  #freeBytes = 0;
  #lentBytes = 0;
  /** The block of the last room that reserve() returned, if it is not the current one. */
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

  /** NBD_REPLY_TYPE_NONE with extended headers. */
  extendedNone(cookie: Uint8Array): void {
    if (BLOCK_BYTES - this.#to < EXTENDED_CHUNK_HEADER_BYTES) this.#renew();
    encodeExtendedNone(this.#block.bytes, this.#to, cookie);
    this.#to += EXTENDED_CHUNK_HEADER_BYTES;
    this.#pendingBytes += EXTENDED_CHUNK_HEADER_BYTES;
  }

  /** NBD_REPLY_TYPE_NONE. */
  none(cookie: Uint8Array): void {
    const reply = Buffer.alloc(CHUNK_HEADER_BYTES);
    encodeNone(reply, 0, cookie);
    this.push(reply);
  }

  /** A complete message in a buffer that the writer may keep. */
  push(message: Buffer): void {
    this.#cut();
    this.#pieces.push(message);
    this.#pendingBytes += message.length;
  }

  /**
   * Returns room for a reply. Before any other call it must be passed to commit(), or to detach()
   * if it is filled later; otherwise it is reused.
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

  /** Queues the room that reserve() returned. */
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

  /** Keeps the room that reserve() returned. @returns a function that queues it */
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

  /** Whether data of this length should be sent without a copy. */
  mayLend(length: number): boolean {
    return length >= LENT_MIN_BYTES && this.#lentBytes + length <= LENT_MAX_BYTES;
  }

  /** Sends a view without a copy, after everything queued before. */
  lend(view: ReadView, length: number): void {
    this.#cut();
    for (const piece of view.pieces) this.#pieces.push(piece);
    this.#lentBytes += length;
    this.#flush(() => {
      this.#lentBytes -= length;
      view.release();
    });
  }

  /** Passes everything queued to the socket. */
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

  /** Keeps a block until the next flush has been taken. */
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
