import type { MemoryLimits } from '../replica-options.js';
import type { SlabPool } from './slab-pool.js';

/**
 * Writes are slowed to the rate at which the rest of the budget would last this long. So the rest
 * shrinks ever more slowly, and any base that makes progress reaches a rate it can keep up with.
 */
const HORIZON_MS = 2000;
/** Longest delay of a write: a VM that stops waits for its writes under way. */
const DELAY_MAX_MS = 1000;
/** Timers are no more precise; a shorter delay is carried over to the next write. */
const DELAY_MIN_MS = 1;

/** What a memory budget works with. */
export interface MemoryBudgetOptions {
  readonly pool: SlabPool;
  readonly limits: MemoryLimits;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Calls back later; returns a function that cancels it. */
  readonly after: (ms: number, callback: () => void) => () => void;
  /** Bytes in the open buffers: what a checkpoint frees, at once or after write-back. */
  readonly openBytes: () => number;
  /** Whether it is of use to slow writes: time brings memory back. */
  readonly maySlow: () => boolean;
  readonly onPressure: (usedBytes: number) => void;
  /** Called, often, when little of the budget is left. */
  readonly onSpill?: (() => void) | undefined;
  /** Called after each write beyond the hard limit. @returns whether its answer is held back */
  readonly onFull: () => boolean;
}

/**
 * Keeps the buffers of a replica within their budget (invariant I7).
 *
 *     0 ─────────── soft ──────── a quarter ────── half way ──────── hard
 *                   request a     spill to a       answer writes     give protection up,
 *                   checkpoint    file             more slowly,      or answer no more
 *                                 (`spill`)        unless `release`
 *
 * Slowed and held writes have been applied, only their answers wait. So reads are right, and what
 * is held takes no more memory than the requests that a VM has under way. A VM that stops waits for
 * them: release() then answers them all.
 */
export class MemoryBudget {
  readonly #options: MemoryBudgetOptions;
  readonly #spillFromBytes: number;
  readonly #slowFromBytes: number;
  #isPressureTold = false;
  /** When all writes so far may have been answered. */
  #answeredAtMs = 0;
  /** For each write that waits: cancels its timer and answers it. */
  readonly #waiting = new Set<() => void>();
  #slowedWrites = 0;

  constructor(options: MemoryBudgetOptions) {
    this.#options = options;
    const { softBytes, hardBytes, onFull } = options.limits;
    this.#spillFromBytes = softBytes + (hardBytes - softBytes) / 4;
    this.#slowFromBytes =
      onFull === 'release' ? hardBytes : softBytes + (hardBytes - softBytes) / 2;
  }

  /** How many answers to writes were delayed so far. */
  get slowedWrites(): number {
    return this.#slowedWrites;
  }

  /** After a buffered write: the promise, if any, must settle before the write is answered. */
  charge(bytes: number): void | Promise<void> {
    const { pool, limits } = this.#options;
    const { usedBytes } = pool;
    if (usedBytes <= limits.softBytes) return;
    this.#askForCheckpoint(usedBytes);
    if (usedBytes > this.#spillFromBytes) this.#options.onSpill?.();
    if (usedBytes > limits.hardBytes) return this.#options.onFull() ? this.#wait() : undefined;
    if (usedBytes > this.#slowFromBytes && this.#options.maySlow()) {
      return this.#slow(bytes, usedBytes);
    }
  }

  /** Call it after a checkpoint: another may be requested. */
  epochBegins(): void {
    this.#isPressureTold = false;
  }

  /** Answers all writes that wait. */
  release(): void {
    for (const answer of [...this.#waiting]) answer();
    this.#answeredAtMs = 0;
  }

  /** Once an epoch, and not for committed pages alone: only write-back frees those. */
  #askForCheckpoint(usedBytes: number): void {
    if (this.#isPressureTold) return;
    if (this.#options.openBytes() < this.#options.limits.softBytes / 4) return;
    this.#isPressureTold = true;
    this.#options.onPressure(usedBytes);
  }

  #slow(bytes: number, usedBytes: number): void | Promise<void> {
    const { limits, now, after } = this.#options;
    const leftBytes = Math.max(1, limits.hardBytes - usedBytes);
    // Ramp the delay up smoothly; a step would make throughput oscillate.
    const share = (usedBytes - this.#slowFromBytes) / (limits.hardBytes - this.#slowFromBytes);
    const nowMs = now();
    const owedMs =
      Math.max(0, this.#answeredAtMs - nowMs) + (share * HORIZON_MS * bytes) / leftBytes;
    const delayMs = Math.min(owedMs, DELAY_MAX_MS);
    this.#answeredAtMs = nowMs + delayMs;
    if (delayMs < DELAY_MIN_MS) return;
    return this.#wait((answer) => after(delayMs, answer));
  }

  /** @param later calls back when it may be answered, if not only by release() */
  #wait(later?: (answer: () => void) => () => void): Promise<void> {
    this.#slowedWrites++;
    return new Promise((resolve) => {
      const answer = (): void => {
        cancel?.();
        this.#waiting.delete(answer);
        resolve();
      };
      this.#waiting.add(answer);
      const cancel = later?.(answer);
    });
  }
}
