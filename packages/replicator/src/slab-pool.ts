/** Bytes of a page: the unit in which writes are buffered. */
export const PAGE_BYTES = 4096;
/** Bytes of a sector: the unit in which a page's coverage is tracked at no extra cost. */
export const SECTOR_BYTES = 512;
/** Pages of a slab: the unit in which memory is taken and given back. */
export const SLAB_PAGES = 64;
export const SLAB_BYTES = SLAB_PAGES * PAGE_BYTES;

/**
 * Memory for page buffers, in slabs that are recycled across epochs. Taking from the operating system and giving back
 * is slow, and an epoch needs about what the last one needed, so a bounded number of free slabs is kept.
 */
export class SlabPool {
  readonly #free: Buffer[] = [];
  #slabsInUse = 0;
  #tableBytes = 0;

  /** @param freeLimitBytes how much unused memory may be kept for the next epoch */
  constructor(private readonly freeLimitBytes = 64 * 1024 * 1024) {}

  /** Bytes in slabs that are taken and in the tables that tell what is in them. */
  get usedBytes(): number {
    return this.#slabsInUse * SLAB_BYTES + this.#tableBytes;
  }

  /** Counts memory that is not in slabs; negative when it is given back. */
  charge(bytes: number): void {
    this.#tableBytes += bytes;
  }

  /** A slab of SLAB_BYTES, its contents arbitrary. */
  take(): Buffer {
    this.#slabsInUse++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  /** Gives slabs back; nobody may hold on to them. Takes no longer for many than for `freeLimitBytes` of them. */
  give(slabs: readonly Buffer[]): void {
    this.#slabsInUse -= slabs.length;
    for (const slab of slabs) {
      if (this.#free.length * SLAB_BYTES >= this.freeLimitBytes) return;
      this.#free.push(slab);
    }
  }
}
