/** Bytes of a page: the unit in which writes are buffered. */
export const PAGE_BYTES = 4096;
/** Bytes of a sector: the unit in which a page's coverage is tracked at no extra cost. */
export const SECTOR_BYTES = 512;
/** Pages of a slab: the unit in which memory is taken and given back. */
export const SLAB_PAGES = 64;
export const SLAB_BYTES = SLAB_PAGES * PAGE_BYTES;

interface Pin {
  count: number;
  /** Set once it has been given back. */
  given: Buffer | undefined;
}

/** Free slabs that a quiet replica keeps. */
const FREE_SLABS_MIN = 16;
/** One in so many unneeded slabs goes: a lull of some epochs must not cost the next burst its memory. */
const TRIMMED_PER_EPOCH = 16;

/**
 * Memory for page buffers, in slabs that are recycled across epochs: memory that is fresh from the operating system costs
 * a fault for each page, and an epoch needs about what the last one needed. What some epochs have not needed is given
 * back little by little.
 */
export class SlabPool {
  /** As they were given: an epoch's slabs are taken over in one step, however many they are. */
  readonly #free: Buffer[][] = [];
  #freeSlabs = 0;
  #slabsInUse = 0;
  #tableBytes = 0;
  /** Slabs that somebody reads from later, by their memory. */
  readonly #pins = new Map<ArrayBufferLike, Pin>();
  /** The fewest free slabs there were since the last trim(). */
  #spare = 0;

  /** @param limitBytes how much memory may be held, in use or free; what is in use is not limited here */
  constructor(private readonly limitBytes = 64 * 1024 * 1024) {}

  /** Bytes in slabs that are taken and in the tables that tell what is in them. */
  get usedBytes(): number {
    return this.#slabsInUse * SLAB_BYTES + this.#tableBytes;
  }

  /** Bytes kept for later. */
  get freeBytes(): number {
    return this.#freeSlabs * SLAB_BYTES;
  }

  /** Counts memory that is not in slabs; negative when it is given back. */
  charge(bytes: number): void {
    this.#tableBytes += bytes;
  }

  /** A slab of SLAB_BYTES, its contents arbitrary. */
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

  /** Keeps the slab that `part` lies in from being used for anything else until unpin(), given back or not. */
  pin(part: Buffer): void {
    const pin = this.#pins.get(part.buffer);
    if (pin) pin.count++;
    else this.#pins.set(part.buffer, { count: 1, given: undefined });
  }

  unpin(part: Buffer): void {
    const pin = this.#pins.get(part.buffer);
    if (pin === undefined || --pin.count > 0) return;
    this.#pins.delete(part.buffer);
    if (pin.given) this.give([pin.given]);
  }

  /** Gives slabs back, and the array with them; nobody may hold on to either. */
  give(slabs: Buffer[]): void {
    if (this.#pins.size > 0) slabs = this.#leavePinned(slabs);
    this.#slabsInUse -= slabs.length;
    const room = Math.floor((this.limitBytes - this.usedBytes) / SLAB_BYTES) - this.#freeSlabs;
    if (slabs.length > room) slabs.length = Math.max(0, room);
    if (slabs.length === 0) return;
    this.#free.push(slabs);
    this.#freeSlabs += slabs.length;
  }

  /** The others; what is pinned comes back by unpin(). */
  #leavePinned(slabs: readonly Buffer[]): Buffer[] {
    return slabs.filter((slab) => {
      const pin = this.#pins.get(slab.buffer);
      if (pin) pin.given = slab;
      return pin === undefined;
    });
  }

  /** Lets go of some of what has not been needed since the last time; call it once an epoch. */
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
