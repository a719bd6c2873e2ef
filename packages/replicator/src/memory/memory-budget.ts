import type { MemoryLimits } from '../replica-options.js';
import type { SlabPool } from './slab-pool.js';

/**
 * A rate at which what is left of the budget would last this long: so the rest shrinks ever more slowly, and a base that
 * takes anything at all finds a rate at which it keeps up.
 */
const HORIZON_MS = 2000;
/** A stopping VM waits for its writes: at most so long for each that it has under way. */
const DELAY_MAX_MS = 1000;
/** Timers are not more exact; what is owed is carried over to the next write. */
const DELAY_MIN_MS = 1;

export interface MemoryBudgetOptions {
  readonly pool: SlabPool;
  readonly limits: MemoryLimits;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Calls back later; returns what takes that back. */
  readonly after: (ms: number, callback: () => void) => () => void;
  /** Bytes in the open buffers: what a checkpoint would free, now or once it is written back. */
  readonly openBytes: () => number;
  readonly onPressure: (usedBytes: number) => void;
  /** There is less left than there should be; called often. */
  readonly onSpill?: (() => void) | undefined;
  readonly onFull: () => void;
}

/**
 * Keeps the buffers of a replica within their budget (invariant I7).
 *
 *     0 ─────────── soft ──────── a quarter ────── half way ──────── hard
 *                   ask for a     spill to a       answer writes     give protection up
 *                   checkpoint    file, if told    more slowly,
 *                                 so               unless told not to
 *
 * Slowed writes have been applied: only the answer waits, so reads are right, and a VM that stops for a checkpoint waits
 * no longer than `DELAY_MAX_MS` for each write under way.
 */
export class MemoryBudget {
  readonly #options: MemoryBudgetOptions;
  readonly #spillFromBytes: number;
  readonly #slowFromBytes: number;
  #isPressureTold = false;
  /** When the writes so far may all have been answered. */
  #answeredAtMs = 0;
  /** Cancels the timer and answers, for each write that waits. */
  readonly #waiting = new Set<() => void>();
  #slowedWrites = 0;

  constructor(options: MemoryBudgetOptions) {
    this.#options = options;
    const { softBytes, hardBytes, onFull } = options.limits;
    this.#spillFromBytes = softBytes + (hardBytes - softBytes) / 4;
    this.#slowFromBytes =
      onFull === 'release' ? hardBytes : softBytes + (hardBytes - softBytes) / 2;
  }

  /** Writes whose answer was held back, ever. */
  get slowedWrites(): number {
    return this.#slowedWrites;
  }

  /** After a buffered write: the promise, if any, is to settle before the write is answered. */
  charge(bytes: number): void | Promise<void> {
    const { pool, limits } = this.#options;
    const { usedBytes } = pool;
    if (usedBytes <= limits.softBytes) return;
    this.#askForCheckpoint(usedBytes);
    if (usedBytes > this.#spillFromBytes) this.#options.onSpill?.();
    if (usedBytes > limits.hardBytes) this.#options.onFull();
    else if (usedBytes > this.#slowFromBytes) return this.#slow(bytes, usedBytes);
  }

  /** A checkpoint has been: another may be asked for. */
  epochBegins(): void {
    this.#isPressureTold = false;
  }

  /** Answers all that wait: the budget no longer depends on them. */
  release(): void {
    for (const answer of [...this.#waiting]) answer();
    this.#answeredAtMs = 0;
  }

  /** Once an epoch, and not for committed pages alone: only write-back helps against those. */
  #askForCheckpoint(usedBytes: number): void {
    if (this.#isPressureTold) return;
    if (this.#options.openBytes() < this.#options.limits.softBytes / 4) return;
    this.#isPressureTold = true;
    this.#options.onPressure(usedBytes);
  }

  #slow(bytes: number, usedBytes: number): void | Promise<void> {
    const { limits, now, after } = this.#options;
    const leftBytes = Math.max(1, limits.hardBytes - usedBytes);
    // From nothing to the full rate, lest there is a step that load swings about.
    const share = (usedBytes - this.#slowFromBytes) / (limits.hardBytes - this.#slowFromBytes);
    const nowMs = now();
    const owedMs =
      Math.max(0, this.#answeredAtMs - nowMs) + (share * HORIZON_MS * bytes) / leftBytes;
    const delayMs = Math.min(owedMs, DELAY_MAX_MS);
    this.#answeredAtMs = nowMs + delayMs;
    if (delayMs < DELAY_MIN_MS) return;
    this.#slowedWrites++;
    return new Promise((resolve) => {
      const answer = (): void => {
        cancel();
        this.#waiting.delete(answer);
        resolve();
      };
      const cancel = after(delayMs, answer);
      this.#waiting.add(answer);
    });
  }
}
