/** After this many late requests in a row, polling stops. */
const PATIENCE = 4;

/**
 * Keeps the event loop from sleeping for a short interval after each reply. A client with one
 * request in flight is then served without wake-up latency. Polling goes on only while requests
 * arrive within the interval: an idle connection costs nothing, a slow one costs four intervals.
 * QEMU's I/O threads do the same (`poll-max-ns`).
 */
export class BusyPoll {
  /** NaN while a request is under way. */
  #answeredMs = NaN;
  #patience = 0;
  #isPolling = false;

  /**
   * @param forMs the interval; 0 turns polling off
   * @param schedule runs a function after the event loop has looked at its sockets
   */
  constructor(
    private readonly forMs: number,
    private readonly now = (): number => performance.now(),
    private readonly schedule = (run: () => void): void => void setImmediate(run),
  ) {}

  /** Bytes were received. */
  received(): void {
    if (Number.isNaN(this.#answeredMs)) return;
    const isSoon = this.now() - this.#answeredMs < this.forMs;
    this.#patience = isSoon ? PATIENCE : Math.max(0, this.#patience - 1);
    this.#answeredMs = NaN;
  }

  /** What was received has been processed. */
  answered(): void {
    if (this.forMs === 0) return;
    this.#answeredMs = this.now();
    if (this.#patience === 0 || this.#isPolling) return;
    this.#isPolling = true;
    this.schedule(this.#poll);
  }

  /** With an immediate pending, the event loop looks at its sockets but does not wait there. */
  readonly #poll = (): void => {
    this.#isPolling = this.now() - this.#answeredMs < this.forMs;
    if (this.#isPolling) this.schedule(this.#poll);
  };
}
