/** Pause before a flush that failed is tried again. */
const RETRY_MS = 1000;

export interface RetryingFlushOptions {
  /** Makes durable what has been written. */
  readonly flush: () => Promise<void>;
  /** Whether trying again can help. */
  readonly mayRetry: (error: unknown) => boolean;
}

/**
 * A guest's flushes after a failover (invariant I4). One that fails is tried again until it works, as a write to the base
 * is: the guest waits, as for a disk that hangs, and what it wrote stays in memory. An error would have its file systems
 * give up for good what an operator mends in a minute: this is the only copy by then.
 */
export class RetryingFlush {
  #isClosed = false;
  #pause: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(private readonly options: RetryingFlushOptions) {}

  /** Settles when all that was written before the call is durable; rejects when that will never be. */
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

  /** Nothing is tried again from here on: who still waits is told of the last failure. */
  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** One pause for all that wait. */
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

/** Tells once why something fails, and once that it works again. */
export class ChangeReporter {
  #trouble: string | undefined;

  constructor(private readonly tell: (error: Error | undefined) => void) {}

  async watch(done: Promise<void> | undefined): Promise<void> {
    try {
      await done;
      this.#note(undefined);
    } catch (cause) {
      this.#note(cause instanceof Error ? cause : new Error(String(cause)));
      throw cause;
    }
  }

  #note(error: Error | undefined): void {
    if (error?.message === this.#trouble) return;
    this.#trouble = error?.message;
    this.tell(error);
  }
}
