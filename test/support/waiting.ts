import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitingOptions {
  /** After this a wait fails. Longer than any success takes. */
  readonly patienceMs: number;
  readonly pollMs?: number;
}

/** Ways to wait for other processes, with one time limit for a test file. */
export function waiting({ patienceMs, pollMs = 20 }: WaitingOptions) {
  return {
    /** Asks until `isThere` accepts the answer, and returns it. */
    until: async <T>(ask: () => T | Promise<T>, isThere: (value: T) => boolean): Promise<T> => {
      for (const startMs = performance.now(); ;) {
        const value = await ask();
        if (isThere(value)) return value;
        if (performance.now() - startMs > patienceMs) {
          throw new Error(`timed out; the last value was ${JSON.stringify(value)}`);
        }
        await sleep(pollMs);
      }
    },
    /** Asks until `isSo`; `what` names the condition in the error. */
    untilSo: async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
      for (const startMs = performance.now(); !(await isSo());) {
        if (performance.now() - startMs > patienceMs)
          throw new Error(`timed out waiting for ${what}`);
        await sleep(pollMs);
      }
    },
  };
}
