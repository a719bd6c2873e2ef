/** Pause before a state file that could not be written is tried again. */
const RETRY_MS = 1000;

/**
 * What the bases alone are worth once no commit follows.
 *
 *   behind    memory holds what they lack, or they are being written
 *   claimed   a state file may say that they are the disks as of the last commit
 *   on-disk   they are, and all state files say so: they outlive this process
 *   spent     they never will be: the primary has run on, or some of the commit is gone
 */
export type LastCommitPhase = 'behind' | 'claimed' | 'on-disk' | 'spent';

/** What it needs of its replica. */
export interface LastCommitOptions {
  /** Whether the bases now hold the last commit whole, on stable storage, and nothing writes. */
  readonly isComplete: () => boolean;
  /** Has the state files say whether they do. */
  readonly record: (isLastCommit: boolean) => Promise<void>;
  /** All state files say so. */
  readonly onKept: () => void;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Keeps the last commit of a replica that has lost its primary, whatever becomes of this process
 * and of the secondary VM: once the bases hold it, their state files say so (invariant I6), and
 * take it back before a base is written again.
 */
export class LastCommit {
  #phase: LastCommitPhase = 'behind';
  /** Of what is under way, only the latest decides the phase. */
  #latest = 0;
  #retry: NodeJS.Timeout | undefined;
  #hasFailed = false;
  #isClosed = false;
  #waiters: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(private readonly options: LastCommitOptions) {}

  get phase(): LastCommitPhase {
    return this.#phase;
  }

  /** Something has changed: records the last commit if it is complete now. */
  consider(): void {
    const isUnderWay = this.#phase === 'claimed' && this.#retry === undefined;
    if (this.#isClosed || isUnderWay || this.#phase === 'on-disk' || !this.#isWanted) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#phase = 'claimed';
    const own = ++this.#latest;
    this.options.record(true).then(
      () => {
        if (own !== this.#latest) return;
        this.#phase = 'on-disk';
        this.#hasFailed = false;
        for (const { resolve } of this.#waiters.splice(0)) resolve();
        this.options.onKept();
      },
      (error: unknown) => {
        // Only the first: it is retried for as long as its disk is full.
        if (!this.#hasFailed) this.options.onTrouble(error);
        this.#hasFailed = true;
        if (own !== this.#latest || this.#isClosed) return;
        this.#retry = setTimeout(() => this.consider(), RETRY_MS);
      },
    );
  }

  /** Before a base is written: settles when no state file claims the last commit any more. */
  async tear(): Promise<void> {
    if (this.#phase !== 'claimed' && this.#phase !== 'on-disk') return;
    this.#phase = 'claimed';
    const own = ++this.#latest;
    await this.options.record(false);
    if (own === this.#latest) this.#phase = 'behind';
  }

  /** State files that say something else have been written: they stand for the bases now. */
  replaced(): void {
    this.#latest++;
    if (this.#phase !== 'spent') this.#phase = 'behind';
    this.#reject('the secondary VM has taken over');
  }

  /** Nobody may use it any more. */
  giveUp(reason: string): void {
    this.#reject(`the last commit is of no use: ${reason}`);
    this.replaced();
    this.#phase = 'spent';
  }

  /** Settles when it would survive the end of this process; rejects if it never will. */
  kept(): Promise<void> {
    if (this.#phase === 'on-disk') return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (this.#phase === 'spent') this.#reject('the last commit is of no use');
      else if (this.#isClosed) this.#reject('the replica is closed');
      else this.consider();
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#reject('the replica is closed');
  }

  get #isWanted(): boolean {
    return this.#phase !== 'spent' && this.options.isComplete();
  }

  #reject(why: string): void {
    for (const { reject } of this.#waiters.splice(0)) reject(new Error(why));
  }
}
