const LONGEST_MS = 60_000;

/** How long to wait before what has failed is tried again: twice as long each time. */
export class Backoff {
  #failures = 0;

  /** @param firstMs the first pause; the longest is a minute */
  nextMs(firstMs: number): number {
    return Math.min(LONGEST_MS, firstMs * 2 ** this.#failures++);
  }

  reset(): void {
    this.#failures = 0;
  }
}
