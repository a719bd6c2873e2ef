import { SpillError } from '../errors.js';
import type { ReplicaEvent } from '../replica-events.js';
import type { FailoverJournal } from './failover-journal.js';
import { ChangeReporter, RetryingFlush } from './retrying-flush.js';

/** What the flushes of a guest that has taken over need of its replica. */
export interface GuestFlushesOptions {
  readonly journal: FailoverJournal;
  readonly hasFailedOver: () => boolean;
  readonly emit: (event: ReplicaEvent) => void;
  readonly report: (error: Error) => void;
}

/** The flushes of a guest after its failover, and what is told of them. */
export class GuestFlushes {
  readonly #options: GuestFlushesOptions;
  readonly #retrying: RetryingFlush;
  readonly #trouble: ChangeReporter;
  #hasGuestWritten = false;

  constructor(options: GuestFlushesOptions) {
    const { journal, hasFailedOver, emit, report } = options;
    this.#options = options;
    this.#trouble = new ChangeReporter((error) => {
      if (error) report(error);
      emit({ kind: 'flush', trouble: error?.message });
    });
    this.#retrying = new RetryingFlush({
      flush: () => this.flush(),
      mayRetry: (error) =>
        hasFailedOver() && !journal.isFinal(error) && !(error instanceof SpillError),
    });
  }

  /** @throws as FailoverJournal.secure() */
  secure(): Promise<void> {
    return this.#watched(this.#options.journal.secure());
  }

  /** @throws as FailoverJournal.flush() */
  flush(): Promise<void> {
    return this.#watched(this.#options.journal.flush());
  }

  /** A guest's own flush: retried until it works, as a disk that hangs would. */
  flushForGuest(): Promise<void> {
    return this.#retrying.flush();
  }

  /** After each write: whether it must wait for a flush, to bound memory (I7). */
  mustFlush(): boolean {
    if (!this.#hasGuestWritten) {
      this.#hasGuestWritten = true;
      this.#options.emit({ kind: 'first-write' });
    }
    return this.#options.journal.mustFlush;
  }

  close(): void {
    this.#retrying.close();
  }

  /** Reports when flushes begin to fail, and when they work again. */
  #watched(flushed: Promise<void>): Promise<void> {
    return this.#trouble.watch(flushed, () => this.#options.journal.phase !== 'closed');
  }
}
