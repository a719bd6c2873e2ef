import { setTimeout as sleep } from 'node:timers/promises';
import { abortedBy, WaitError } from './errors.js';

export interface Bounds {
  /** For the whole wait; a positive whole number. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One bound over several steps: what is left of its time, and whether the caller still wants it.
 */
export class Deadline {
  readonly signal: AbortSignal | undefined;
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #endMs: number;

  constructor(what: string, { timeoutMs, signal }: Bounds) {
    this.#what = what;
    this.#timeoutMs = timeoutMs;
    this.#endMs = performance.now() + timeoutMs;
    this.signal = signal;
  }

  get leftMs(): number {
    return Math.max(0, Math.ceil(this.#endMs - performance.now()));
  }

  /** Options for one QMP command within this bound, of at most `capMs`. */
  options(capMs: number): { timeoutMs: number; signal: AbortSignal | undefined } {
    this.check();
    return { timeoutMs: Math.max(1, Math.min(capMs, this.leftMs)), signal: this.signal };
  }

  /**
   * @throws WaitError `DRIVER_DEADLINE`
   * @throws WaitError `DRIVER_ABORTED`
   */
  check(): void {
    if (this.signal?.aborted === true) {
      throw abortedBy(`${this.#what} was aborted`, this.signal.reason);
    }
    if (this.leftMs === 0) {
      const message = `${this.#what} took longer than ${this.#timeoutMs} ms`;
      throw new WaitError(
        'DRIVER_DEADLINE',
        message,
        'See whether the peer hangs, or allow more time.',
      );
    }
  }

  /**
   * Sleeps at most `ms`, less if the deadline is nearer.
   * @throws as check(), before or after
   */
  async pause(ms: number): Promise<void> {
    this.check();
    const options = this.signal === undefined ? {} : { signal: this.signal };
    // An abort shows in check(), as the one error that callers know.
    await sleep(Math.min(ms, this.leftMs), undefined, options).catch(() => undefined);
    this.check();
  }
}
