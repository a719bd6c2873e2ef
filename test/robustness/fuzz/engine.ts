// Coverage-guided fuzzing: an input that reaches a block of our code that none has reached before
// is kept, and mutated.

import { Random } from '@gannet/test-support/random.js';
import type { Coverage } from './coverage.js';
import { mutate } from './mutate.js';
import { Finding, type Target } from './target.js';

/** Inputs between two looks at the coverage, which cost as much as some inputs. */
const BATCH = 200;
/**
 * So many without anything new, and the next are tried without counting blocks, which is several
 * times faster.
 */
const BLIND_AFTER = 4;
const BLIND_BATCHES = 1000;
const FRESH_SHARE = 0.05;
/** One input that takes the processor for longer than this is a finding: inputs are small. */
const SLOW_MS = 2000;
/**
 * Longer than this, and the processor's time is taken at a second try: asking each time would cost
 * as much as parsing.
 */
const SUSPECT_MS = 50;

export interface Crash {
  readonly input: Buffer;
  readonly error: Error;
}

export class Fuzzer {
  readonly corpus: Buffer[];
  inputs = 0;
  slowestMs = 0;
  readonly #random: Random;
  #withoutNews = 0;

  /** @param coverage guides it; without, it only tries mutations of what it began with */
  constructor(
    private readonly target: Target,
    seed: number,
    corpus: readonly Buffer[],
    private readonly coverage?: Coverage,
  ) {
    this.#random = new Random(seed);
    this.corpus = [...corpus];
  }

  /** Tries what is in the corpus. */
  async replay(): Promise<Crash | undefined> {
    for (const input of this.corpus) {
      const crash = await this.#try(input);
      if (crash) return crash;
    }
    this.coverage?.take();
    return undefined;
  }

  /** Tries so many inputs, until one is wrong. */
  async round(inputs = BATCH): Promise<Crash | undefined> {
    const tried: Buffer[] = [];
    for (let count = 0; count < inputs; count++) {
      const input = this.#next();
      tried.push(input);
      const crash = await this.#try(input);
      if (crash) return crash;
    }
    const { coverage } = this;
    if (!coverage) return undefined;
    const fresh = coverage.isOn ? coverage.take(true) : 0;
    if (fresh > 0) {
      this.#withoutNews = 0;
      await this.#keepNew(tried, coverage, fresh);
    } else this.#withoutNews++;
    if (this.#withoutNews === BLIND_AFTER) coverage.stop();
    if (this.#withoutNews === BLIND_AFTER + BLIND_BATCHES) {
      coverage.start();
      this.#withoutNews = 0;
    }
    return undefined;
  }

  /** @param blocks how many new ones they reached together */
  async #keepNew(tried: readonly Buffer[], coverage: Coverage, blocks: number): Promise<void> {
    let left = blocks;
    for (const input of tried) {
      if (left <= 0) return;
      await this.#try(input);
      const reached = coverage.take();
      if (reached > 0) this.corpus.push(input);
      left -= reached;
    }
  }

  #next(): Buffer {
    const { target } = this;
    const random = this.#random;
    if (this.corpus.length === 0 || random.chance(FRESH_SHARE)) return target.make(random);
    const parent = random.pick(this.corpus);
    const input = mutate(parent, random, this.corpus, target.words).subarray(0, target.bytesMax);
    return target.mend && random.chance(0.7) ? target.mend(input, random) : input;
  }

  async #try(input: Buffer): Promise<Crash | undefined> {
    this.inputs++;
    const startMs = performance.now();
    try {
      await this.target.run(Buffer.from(input));
      const ms = performance.now() - startMs;
      if (ms <= Math.max(SUSPECT_MS, this.slowestMs)) return undefined;
      return await this.#time(input);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      return { input, error };
    }
  }

  /** Whether it is the input that is slow, not the machine. */
  async #time(input: Buffer): Promise<Crash | undefined> {
    const begun = process.cpuUsage();
    await this.target.run(Buffer.from(input));
    const { user, system } = process.cpuUsage(begun);
    const ms = (user + system) / 1000;
    this.slowestMs = Math.max(this.slowestMs, ms);
    if (!this.coverage || ms <= SLOW_MS) return undefined;
    return { input, error: new Finding(`took ${Math.round(ms)} ms`) };
  }
}
