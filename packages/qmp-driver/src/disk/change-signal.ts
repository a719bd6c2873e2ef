import type { Deadline } from '../deadline.js';

/** Wakes those who wait for a change of something. */
export class ChangeSignal {
  readonly #waiting = new Set<() => void>();

  /** Wakes all who wait now. */
  emit(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * Resolves at the next change, after `ms` milliseconds at most.
   * @throws WaitError
   */
  async next(ms: number, deadline: Deadline): Promise<void> {
    let wake: () => void = () => undefined;
    const changed = new Promise<void>((resolve) => {
      wake = resolve;
      this.#waiting.add(resolve);
    });
    try {
      await Promise.race([changed, deadline.pause(ms)]);
    } finally {
      this.#waiting.delete(wake);
    }
  }
}
