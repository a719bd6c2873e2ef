/** Large enough that a socket's buffer is emptied with one read, small enough to stay in a cache. */
const BLOCK_BYTES = 256 * 1024;
/** With less room than this at its end, a block is left for the next. */
const ROOM_MIN_BYTES = 64 * 1024;
/** Blocks kept for the next reads; beyond, those that a closed gate has filled are given up. */
const FREE_BLOCKS_MAX = 2;

interface Block {
  readonly bytes: Buffer;
  /** How far it has been filled. */
  fill: number;
  /** Batches taken from it that are still needed. */
  batches: number;
}

/**
 * Memory that a socket receives into, in blocks: one batch behind the other, so that what has been
 * received stays where it is until it is applied. Batches are released in the order in which they
 * were taken, and a block that none is left of is filled anew.
 */
export class ReceiveBlocks {
  /** Oldest first; the last one is being filled, all others have batches. */
  readonly #blocks: Block[] = [newBlock()];
  readonly #free: Block[] = [];

  /** Where the next read may go. */
  room(): Buffer {
    const block = this.#filling;
    if (BLOCK_BYTES - block.fill >= ROOM_MIN_BYTES) return block.bytes.subarray(block.fill);
    if (block.batches > 0) this.#blocks.push(this.#free.pop() ?? newBlock());
    this.#filling.fill = 0;
    return this.#filling.bytes;
  }

  /** What a read has put at the start of the room that was given last. */
  take(length: number): Buffer {
    const block = this.#filling;
    const batch = block.bytes.subarray(block.fill, block.fill + length);
    block.fill += length;
    block.batches += 1;
    return batch;
  }

  /** Lets go of the oldest batch. */
  release(): void {
    const oldest = this.#blocks[0] as Block;
    oldest.batches -= 1;
    if (oldest.batches > 0 || this.#blocks.length === 1) return;
    this.#blocks.shift();
    if (this.#free.length < FREE_BLOCKS_MAX) this.#free.push(oldest);
  }

  get #filling(): Block {
    return this.#blocks[this.#blocks.length - 1] as Block;
  }
}

function newBlock(): Block {
  return { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), fill: 0, batches: 0 };
}
