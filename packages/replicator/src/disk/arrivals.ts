import { RangeSet } from '../range-set.js';

/** Bytes [start, end) of a disk. */
export type ByteRun = readonly [start: number, end: number];

/**
 * Which bytes of some ranges of a disk the primary has written since somebody began to watch them.
 * What arrives that way is newer than whatever was read of the primary's disk before.
 */
export class Arrivals {
  #watched = new RangeSet();
  #arrived = new RangeSet();

  /** Begins to watch these ranges, and no others. */
  watch(ranges: Iterable<ByteRun>): void {
    this.#watched = new RangeSet();
    this.#arrived = new RangeSet();
    for (const [start, end] of ranges) this.#watched.add(start, end);
  }

  /** The primary has written a range. */
  note(offset: number, length: number): void {
    if (this.#watched.isEmpty) return;
    const end = offset + length;
    for (let at = offset; at < end;) {
      const from = this.#watched.nextStart(at);
      if (from >= end) return;
      at = Math.min(end, this.#watched.runEnd(from));
      this.#arrived.add(from, at);
    }
  }

  /** Whether all of a range is watched. */
  isWatched(offset: number, length: number): boolean {
    return this.#watched.runEnd(offset) >= offset + length;
  }

  /** What has arrived of a range. */
  within(offset: number, length: number): ByteRun[] {
    const end = offset + length;
    const runs: ByteRun[] = [];
    for (let at = this.#arrived.nextStart(offset); at < end;) {
      const to = Math.min(end, this.#arrived.runEnd(at));
      runs.push([at, to]);
      at = this.#arrived.nextStart(to);
    }
    return runs;
  }

  /** What has not arrived of a range. */
  missing(offset: number, length: number): ByteRun[] {
    const end = offset + length;
    const runs: ByteRun[] = [];
    let at = offset;
    for (const [from, to] of this.within(offset, length)) {
      if (from > at) runs.push([at, from]);
      at = to;
    }
    if (at < end) runs.push([at, end]);
    return runs;
  }
}
