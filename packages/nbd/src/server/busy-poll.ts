/** So many late requests in a row, and nothing more is expected in time. */
const PATIENCE = 4;

/**
 * Keeps the event loop awake for a while after an answer, instead of letting it sleep in the kernel: who waits for each
 * answer before he asks again is served without the time that it takes to wake a processor and a process. It goes on
 * only as long as requests do come within that while, so a quiet connection costs nothing, and a slow one four
 * whiles. QEMU's I/O threads do the same (`poll-max-ns`).
 */
export class BusyPoll {
  /** NaN while a request is under way. */
  #answeredMs = NaN;
  #patience = 0;
  #isPolling = false;

  /** @param forMs 0 for never */
  constructor(
    private readonly forMs: number,
    private readonly now = (): number => performance.now(),
    private readonly afterALook = (run: () => void): void => void setImmediate(run),
  ) {}

  /** Bytes have come. */
  asked(): void {
    if (Number.isNaN(this.#answeredMs)) return;
    const isSoon = this.now() - this.#answeredMs < this.forMs;
    this.#patience = isSoon ? PATIENCE : Math.max(0, this.#patience - 1);
    this.#answeredMs = NaN;
  }

  /** What had come is dealt with. */
  answered(): void {
    if (this.forMs === 0) return;
    this.#answeredMs = this.now();
    if (this.#patience === 0 || this.#isPolling) return;
    this.#isPolling = true;
    this.afterALook(this.#poll);
  }

  /** An immediate that calls for the next: the event loop looks at its sockets in between, and does not wait there. */
  readonly #poll = (): void => {
    this.#isPolling = this.now() - this.#answeredMs < this.forMs;
    if (this.#isPolling) this.afterALook(this.#poll);
  };
}
