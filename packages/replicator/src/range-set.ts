/** A set of whole numbers kept as sorted, disjoint, non-touching runs [start, end). */
export class RangeSet {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  get runCount(): number {
    return this.#starts.length;
  }

  /** Adds [start, end), merging with what it overlaps or touches. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#firstRunEndingAtOrAfter(start);
    let last = first;
    let [mergedStart, mergedEnd] = [start, end];
    for (; last < this.#starts.length && this.#startOf(last) <= end; last++) {
      mergedStart = Math.min(mergedStart, this.#startOf(last));
      mergedEnd = Math.max(mergedEnd, this.#endOf(last));
    }
    this.#starts.splice(first, last - first, mergedStart);
    this.#ends.splice(first, last - first, mergedEnd);
  }

  /** Takes [start, end) out, splitting the runs that it cuts. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#firstRunEndingAtOrAfter(start + 1);
    let last = first;
    const keptStarts: number[] = [];
    const keptEnds: number[] = [];
    for (; last < this.#starts.length && this.#startOf(last) < end; last++) {
      if (this.#startOf(last) < start) {
        keptStarts.push(this.#startOf(last));
        keptEnds.push(start);
      }
      if (this.#endOf(last) > end) {
        keptStarts.push(end);
        keptEnds.push(this.#endOf(last));
      }
    }
    this.#starts.splice(first, last - first, ...keptStarts);
    this.#ends.splice(first, last - first, ...keptEnds);
  }

  has(value: number): boolean {
    return this.runEnd(value) > value;
  }

  /** Where the run that holds `value` ends; `value` itself when it is not in the set. */
  runEnd(value: number): number {
    const run = this.#firstRunEndingAtOrAfter(value + 1);
    return run < this.#starts.length && this.#startOf(run) <= value ? this.#endOf(run) : value;
  }

  /** Where the first run at or after `value` starts; Infinity when there is none. */
  nextStart(value: number): number {
    const run = this.#firstRunEndingAtOrAfter(value + 1);
    return run < this.#starts.length ? Math.max(value, this.#startOf(run)) : Infinity;
  }

  *runs(): Generator<readonly [start: number, end: number]> {
    for (let run = 0; run < this.#starts.length; run++)
      yield [this.#startOf(run), this.#endOf(run)];
  }

  #firstRunEndingAtOrAfter(value: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#endOf(middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #startOf(run: number): number {
    return this.#starts[run] ?? Infinity;
  }

  #endOf(run: number): number {
    return this.#ends[run] ?? Infinity;
  }
}
