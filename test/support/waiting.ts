import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitingOptions {
  /** Longer than anything takes that is waited for: a wait that fails says what it saw. */
  readonly patienceMs: number;
  readonly pollMs?: number;
}

/** Ways to wait for what happens elsewhere, with the patience of one test file. */
export function waiting({ patienceMs, pollMs = 20 }: WaitingOptions) {
  return {
    /** Until what is asked has the value wanted. */
    until: async <T>(ask: () => T | Promise<T>, isThere: (value: T) => boolean): Promise<T> => {
      for (const startMs = performance.now(); ;) {
        const value = await ask();
        if (isThere(value)) return value;
        if (performance.now() - startMs > patienceMs) {
          throw new Error(`waited in vain; at last it was ${JSON.stringify(value)}`);
        }
        await sleep(pollMs);
      }
    },
    /** Until something is so, which has a name. */
    untilSo: async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
      for (const startMs = performance.now(); !(await isSo());) {
        if (performance.now() - startMs > patienceMs) throw new Error(`waited in vain for ${what}`);
        await sleep(pollMs);
      }
    },
  };
}
