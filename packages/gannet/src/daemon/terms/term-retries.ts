import { setTimeout as sleep } from 'node:timers/promises';
import type { TermRecord } from '@gannet/contract';
import type { NextRecord } from '../arbitration/records.js';

/** What a record becomes; undefined if nothing is to change any more. */
export type Change = (record: TermRecord) => NextRecord | undefined;

export interface Insisted {
  /** Resolves when it was tried, whatever came of it. */
  readonly tried: Promise<void>;
  /** Resolves when it is on stable storage; rejects if it is not by close(). */
  readonly done: Promise<void>;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

interface Wish extends Insisted {
  change: Change;
}

/**
 * Writes to a term file that nobody asks for again: each is tried until it is on stable storage. A
 * disk that is full now may have room later, and until then the record is wrong.
 */
export class TermRetries {
  readonly #wishes = new Map<string, Wish>();
  readonly #closing = new AbortController();

  constructor(private readonly update: (change: Change) => Promise<unknown>) {}

  /**
   * @param what of which there is one: the last one counts
   * @param onTrouble hears of the first failure of it
   */
  insist(what: string, change: Change, onTrouble: (error: unknown) => void): Insisted {
    const known = this.#wishes.get(what);
    if (known) {
      known.change = change;
      return known;
    }
    let onTried = (): void => undefined;
    const tried = new Promise<void>((resolve) => (onTried = resolve));
    const hear = (error: unknown): void => {
      onTrouble(error);
      onTried();
    };
    const wish = { change, tried, done: Promise.resolve() };
    wish.done = this.#carryOut(wish, hear).finally(() => {
      this.#wishes.delete(what);
      onTried();
    });
    wish.done.catch(() => undefined);
    this.#wishes.set(what, wish);
    return wish;
  }

  /** Each is tried once more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled([...this.#wishes.values()].map(({ done }) => done));
  }

  async #carryOut(wish: Wish, onTrouble: (error: unknown) => void): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; ;) {
      const { change } = wish;
      const isLast = signal.aborted;
      try {
        await this.update(change);
        if (wish.change === change) return;
      } catch (error) {
        if (failures === 0) onTrouble(error);
        if (isLast) throw error;
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++);
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}
