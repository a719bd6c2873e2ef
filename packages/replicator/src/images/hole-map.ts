import { RangeSet } from '../range-set.js';

/** Holes are tracked in units of this many bytes. */
export const HOLE_GRAIN_BYTES = 64 * 1024;

/**
 * The parts of an image that are known to read as zeros and to hold no data. They only shrink,
 * unless the image is emptied. Offsets in bytes.
 */
export class HoleMap {
  readonly #grains = new RangeSet();

  constructor(private readonly sizeBytes: number) {}

  /** Whether all of the image is one hole. */
  get isWhole(): boolean {
    return this.end(0) >= this.sizeBytes;
  }

  /** Adds a hole; parts of a grain at its ends count as data. */
  add(offset: number, length: number): void {
    const end = offset + length;
    const grainEnd = end >= this.sizeBytes ? Math.ceil(end / HOLE_GRAIN_BYTES) : grainOf(end);
    this.#grains.add(Math.ceil(offset / HOLE_GRAIN_BYTES), grainEnd);
  }

  /** Call it before data is written there. */
  remove(offset: number, length: number): void {
    if (this.#grains.isEmpty) return;
    this.#grains.remove(grainOf(offset), Math.ceil((offset + length) / HOLE_GRAIN_BYTES));
  }

  /** End of the hole that `offset` is in; `offset` if it is in none. */
  end(offset: number): number {
    const grain = grainOf(offset);
    const end = this.#grains.runEnd(grain);
    return end === grain ? offset : Math.min(end * HOLE_GRAIN_BYTES, this.sizeBytes);
  }

  /** Start of the next hole at or after `offset`; at least the size if there is none. */
  next(offset: number): number {
    const grain = this.#grains.nextStart(grainOf(offset));
    return Math.max(offset, Math.min(grain * HOLE_GRAIN_BYTES, this.sizeBytes));
  }

  /** The parts of a range that may hold data. */
  *data(offset: number, length: number): Generator<readonly [offset: number, length: number]> {
    const end = offset + length;
    for (let at = offset; at < end;) {
      const holeEnd = this.end(at);
      const stop = holeEnd > at ? holeEnd : Math.min(end, this.next(at));
      if (holeEnd === at) yield [at, stop - at];
      at = stop;
    }
  }
}

function grainOf(offset: number): number {
  return Math.floor(offset / HOLE_GRAIN_BYTES);
}
