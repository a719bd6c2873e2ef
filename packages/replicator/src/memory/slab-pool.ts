/** Bytes of a page: the unit in which writes are buffered. */
export const PAGE_BYTES = 4096;
/** Bytes of a sector: the unit in which a page's coverage is tracked at no extra cost. */
export const SECTOR_BYTES = 512;
/** Pages of a slab: the unit in which memory is taken and given back. */
export const SLAB_PAGES = 64;
/** Bytes of a slab. */
export const SLAB_BYTES = SLAB_PAGES * PAGE_BYTES;

interface Pin {
  count: number;
  /** The slab, once it has been given back. */
  given: Buffer | undefined;
}

/** Free slabs that an idle replica keeps. */
const FREE_SLABS_MIN = 16;
/**
 * One of this many unneeded slabs is freed: a short lull must not cost the next burst its memory.
 */
const TRIMMED_PER_EPOCH = 16;

/**
 * Memory for page buffers, in slabs that are recycled across epochs: new memory from the operating
 * system costs a fault for each page, and an epoch needs about as much as the last one. What
 * several epochs have not needed is freed gradually.
 */
export class SlabPool {
  /** As they were given: the slabs of an epoch are added in one step, however many there are. */
  readonly #free: Buffer[][] = [];
  #freeSlabs = 0;
  #slabsInUse = 0;
  #tableBytes = 0;
  /** Slabs that will still be read from, by their memory. */
  readonly #pins = new Map<ArrayBufferLike, Pin>();
  /** The fewest free slabs there were since the last trim(). */
  #spare = 0;

  /** @param limitBytes beyond this, used and free together, free slabs are not kept */
  constructor(private readonly limitBytes = 64 * 1024 * 1024) {}

  /** Bytes of slabs in use, and of the tables that describe them. */
  get usedBytes(): number {
    return this.#slabsInUse * SLAB_BYTES + this.#tableBytes;
  }

  /** Bytes of free slabs. */
  get freeBytes(): number {
    return this.#freeSlabs * SLAB_BYTES;
  }

  /** Counts memory outside of slabs; negative when it is given back. */
  charge(bytes: number): void {
    this.#tableBytes += bytes;
  }

  /** A slab of SLAB_BYTES with arbitrary contents. */
  take(): Buffer {
    this.#slabsInUse++;
    const slabs = this.#free[this.#free.length - 1];
    const slab = slabs?.pop();
    if (slabs === undefined || slab === undefined) return Buffer.allocUnsafeSlow(SLAB_BYTES);
    if (slabs.length === 0) this.#free.pop();
    this.#freeSlabs--;
    this.#spare = Math.min(this.#spare, this.#freeSlabs);
    return slab;
  }

  /** Keeps the slab that `part` is in from being reused until unpin(), even if it is given back. */
  pin(part: Buffer): void {
    const pin = this.#pins.get(part.buffer);
    if (pin) pin.count++;
    else this.#pins.set(part.buffer, { count: 1, given: undefined });
  }

  /** Undoes one pin(). */
  unpin(part: Buffer): void {
    const pin = this.#pins.get(part.buffer);
    if (pin === undefined || --pin.count > 0) return;
    this.#pins.delete(part.buffer);
    if (pin.given) this.give([pin.given]);
  }

  /** Gives slabs back, and the array itself: the caller must not use either again. */
  give(slabs: Buffer[]): void {
    if (this.#pins.size > 0) slabs = this.#leavePinned(slabs);
    this.#slabsInUse -= slabs.length;
    const room = Math.floor((this.limitBytes - this.usedBytes) / SLAB_BYTES) - this.#freeSlabs;
    if (slabs.length > room) slabs.length = Math.max(0, room);
    if (slabs.length === 0) return;
    this.#free.push(slabs);
    this.#freeSlabs += slabs.length;
  }

  /** @returns the slabs that are not pinned; the others come back with unpin() */
  #leavePinned(slabs: readonly Buffer[]): Buffer[] {
    return slabs.filter((slab) => {
      const pin = this.#pins.get(slab.buffer);
      if (pin) pin.given = slab;
      return pin === undefined;
    });
  }

  /** Frees some of what was not needed since the last call; call it once an epoch. */
  trim(): void {
    let dropped = Math.min(
      Math.ceil(this.#spare / TRIMMED_PER_EPOCH),
      this.#freeSlabs - FREE_SLABS_MIN,
    );
    for (let oldest = this.#free[0]; oldest && dropped > 0; oldest = this.#free[0]) {
      const count = Math.min(dropped, oldest.length);
      oldest.length -= count;
      this.#freeSlabs -= count;
      dropped -= count;
      if (oldest.length === 0) this.#free.shift();
    }
    this.#spare = this.#freeSlabs;
  }
}
