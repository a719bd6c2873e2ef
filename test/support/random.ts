/** Random numbers that come from a seed, so that a failing run can be repeated (mulberry32). */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** A fraction in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, end). */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** Shuffles `items` in place, and returns them. */
  shuffle<T>(items: T[]): T[] {
    for (let at = items.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [items[at], items[other]] = [items[other] as T, items[at] as T];
    }
    return items;
  }

  /** Bytes other than zero, so that data is never taken for a hole. */
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = 1 + this.below(255);
    return bytes;
  }

  /** A range of a disk: sectors, pages or odd bytes, short or long, often where others were. */
  range(sizeBytes: number): { offset: number; length: number } {
    const grain = this.pick([1, 1, 512, 512, 4096]);
    const hot = this.next() < 0.5 ? Math.min(sizeBytes, 16 * 4096) : sizeBytes;
    const offset = Math.floor(this.below(hot) / grain) * grain;
    const longest = this.pick([1, 600, 5000, 20_000]);
    const length = Math.max(grain, Math.ceil((1 + this.below(longest)) / grain) * grain);
    return { offset, length: Math.min(length, sizeBytes - offset) };
  }
}

/**
 * Runs `body` with the seeds 1 to `count`. An error names the seed that failed. `SEED=n` runs that
 * one alone, `SEEDS_TIMES=n` runs n times as many.
 */
export async function forSeeds(
  count: number,
  body: (random: Random) => void | Promise<void>,
): Promise<void> {
  const only = process.env.SEED;
  const length = count * Number(process.env.SEEDS_TIMES ?? 1);
  const seeds = only === undefined ? Array.from({ length }, (_, at) => at + 1) : [+only];
  for (const seed of seeds) {
    try {
      await body(new Random(seed));
    } catch (error) {
      throw new Error(`with SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
}
