/** Pause before a flush that failed is retried. */
const RETRY_MS = 1000;

/** What a RetryingFlush works with. */
export interface RetryingFlushOptions {
  /** Makes durable what has been written. */
  readonly flush: () => Promise<void>;
  /** Whether a retry can help after this error. */
  readonly mayRetry: (error: unknown) => boolean;
}

/**
 * A guest's flushes after a failover (invariant I4). One that fails is retried until it works, like
 * a write to the base: the guest waits, as for a disk that hangs, and what it wrote stays in
 * memory. An error would make its file systems give up on what an operator can fix within a minute,
 * and this is the only copy by then.
 */
export class RetryingFlush {
  #isClosed = false;
  #pause: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(private readonly options: RetryingFlushOptions) {}

  /** Settles when all that was written before the call is durable; rejects if it never will be. */
  async flush(): Promise<void> {
    for (;;) {
      try {
        await this.options.flush();
        return;
      } catch (error) {
        const mayRetry = (): boolean => !this.#isClosed && this.options.mayRetry(error);
        if (mayRetry()) await this.#rest();
        if (!mayRetry()) throw error;
      }
    }
  }

  /** Ends all retries: flushes that still wait reject with their last failure. */
  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** One pause for all flushes that wait. */
  #rest(): Promise<void> {
    this.#pause ??= new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => (this.#pause = this.#wake = undefined));
    return this.#pause;
  }
}

/** Reports once why something fails, and once that it works again. */
export class ChangeReporter {
  #trouble: string | undefined;

  constructor(private readonly report: (error: Error | undefined) => void) {}

  /** @param isNews whether a failure is worth a report; asked when it has failed */
  async watch(work: Promise<void>, isNews: () => boolean = () => true): Promise<void> {
    try {
      await work;
      this.#note(undefined);
    } catch (cause) {
      if (isNews()) this.#note(cause instanceof Error ? cause : new Error(String(cause)));
      throw cause;
    }
  }

  #note(error: Error | undefined): void {
    if (error?.message === this.#trouble) return;
    this.#trouble = error?.message;
    this.report(error);
  }
}
