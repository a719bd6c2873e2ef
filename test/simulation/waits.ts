import { Violation } from './guest.js';

/** Lets a simulated loop turn until something has happened, or for too long. */
export class Waits {
  constructor(
    private readonly turn: () => Promise<void>,
    private readonly patienceTurns: number,
  ) {}

  /** @throws Violation if it never settles; what the promise rejects with */
  async until<T>(promise: Promise<T>): Promise<T> {
    let end: { value: T } | { error: unknown } | undefined;
    promise.then(
      (value) => (end = { value }),
      (error: unknown) => (end = { error }),
    );
    await this.untilSo(() => end !== undefined, 'an answer');
    const settled = end as unknown as { value: T } | { error: unknown };
    if ('error' in settled) throw settled.error;
    return settled.value;
  }

  /** @throws Violation */
  async untilSo(isDone: () => boolean, what: string): Promise<void> {
    for (let turns = 0; !isDone(); turns++) {
      if (turns > this.patienceTurns) {
        throw new Violation('progress', `${what}: it never came`);
      }
      await this.turn();
    }
  }
}
