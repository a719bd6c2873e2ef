// What a run is asked for at its end.

import type { Pair } from './pair.js';
import type { Timeline } from './timeline.js';

/** How many VMs run without a second copy, and for how long. */
export class Exposure {
  #seconds = 0;
  #countedTo = 0;
  readonly #since = new Map<Pair, number>();
  /** The longest that each loss has lasted so far, of those that ended. */
  readonly lengths: number[] = [];
  most = 0;

  constructor(private readonly time: Timeline) {}

  get uncovered(): number {
    return this.#since.size;
  }

  /** All VMs together, since the beginning. */
  get vmSeconds(): number {
    this.#count();
    return this.#seconds;
  }

  lose(pair: Pair): void {
    this.#count();
    this.#since.set(pair, this.time.now);
    this.most = Math.max(this.most, this.#since.size);
  }

  /** It has one again, or does not run. */
  cover(pair: Pair): void {
    this.#count();
    const since = this.#since.get(pair);
    this.#since.delete(pair);
    if (since !== undefined && this.time.now > since) this.lengths.push(this.time.now - since);
  }

  /** Forgets what was; who has no copy now still counts. */
  reset(): void {
    this.#count();
    this.#seconds = 0;
    this.most = this.#since.size;
    this.lengths.length = 0;
  }

  #count(): void {
    this.#seconds += this.#since.size * (this.time.now - this.#countedTo);
    this.#countedTo = this.time.now;
  }
}

export type Peak = 'memory' | 'disk' | 'in' | 'out';

/** The highest share of any host, from 0 to 1. */
export class Peaks {
  readonly #highest: Record<Peak, number> = { memory: 0, disk: 0, in: 0, out: 0 };

  note(what: Peak, share: number): void {
    this.#highest[what] = Math.max(this.#highest[what], share);
  }

  get(what: Peak): number {
    return this.#highest[what];
  }

  reset(): void {
    for (const what of ['memory', 'disk', 'in', 'out'] as const) this.#highest[what] = 0;
  }
}
