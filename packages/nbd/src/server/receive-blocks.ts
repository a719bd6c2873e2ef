/** One read can empty a socket's buffer, and the block still fits the CPU's cache. */
const BLOCK_BYTES = 256 * 1024;
/** With less room than this at its end, the next block is used. */
const ROOM_MIN_BYTES = 64 * 1024;
/** Unused blocks that are kept. A closed gate fills more of them; the rest are freed. */
const FREE_BLOCKS_MAX = 2;

interface Block {
  readonly bytes: Buffer;
  /** How far it has been filled. */
  fill: number;
  /** Batches taken from it that have not been released. */
  batches: number;
}

/**
 * Memory that a socket receives into. Batches lie one behind the other in blocks, and stay there
 * until they are applied. They are released in the order in which they were taken; a block without
 * batches is reused.
 */
export class ReceiveBlocks {
  /** Oldest first. The last one is being filled, all others have batches. */
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

  /** Returns what a read has put at the start of the last room. */
  take(length: number): Buffer {
    const block = this.#filling;
    const batch = block.bytes.subarray(block.fill, block.fill + length);
    block.fill += length;
    block.batches += 1;
    return batch;
  }

  /** Releases the oldest batch. */
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
