const SLICES = 10;

/**
 * A timer for what others owe: counts only while this process is awake to hear of it. A process
 * that was halted, as by a snapshot of its host, finds all its timers overdue when it goes on,
 * before it has read what came meanwhile.
 */
export class SuspendAwareTimer {
  readonly #timer: NodeJS.Timeout;

  /** @param now in milliseconds, monotonic */
  constructor(ms: number, onEnd: () => void, now: () => number = () => performance.now()) {
    const sliceMs = ms / SLICES;
    let leftMs = ms;
    let lastMs = now();
    this.#timer = setInterval(() => {
      const passedMs = now() - lastMs;
      lastMs += passedMs;
      const hasSlept = passedMs > 2 * sliceMs;
      // Who has just woken up reads before it judges: one more slice at least.
      leftMs = hasSlept ? Math.max(leftMs - sliceMs, sliceMs) : leftMs - passedMs;
      if (leftMs > 0) return;
      this.stop();
      onEnd();
    }, sliceMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
