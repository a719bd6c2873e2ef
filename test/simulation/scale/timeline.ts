// Virtual time: what happens when, in order; at the same time, in the order in which it was asked.

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export class Timeline {
  /** Seconds. */
  now = 0;
  /** A heap: the earliest is first. */
  readonly #entries: Entry[] = [];
  #order = 0;

  after(seconds: number, action: () => void): void {
    const entry = { at: this.now + seconds, order: this.#order++, action };
    const entries = this.#entries;
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(entry, entries[above] as Entry)) break;
      entries[at] = entries[above] as Entry;
      at = above;
    }
    entries[at] = entry;
  }

  /** When the next one is due; Infinity if nothing is. */
  get next(): number {
    return this.#entries[0]?.at ?? Infinity;
  }

  /** Does the next one. */
  step(): void {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop();
    if (first === undefined || last === undefined) return;
    if (entries.length > 0) this.#sink(last);
    this.now = Math.max(this.now, first.at);
    first.action();
  }

  #sink(entry: Entry): void {
    const entries = this.#entries;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= entries.length) break;
      const right = entries[below + 1];
      if (right !== undefined && isBefore(right, entries[below] as Entry)) below++;
      if (!isBefore(entries[below] as Entry, entry)) break;
      entries[at] = entries[below] as Entry;
      at = below;
    }
    entries[at] = entry;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
