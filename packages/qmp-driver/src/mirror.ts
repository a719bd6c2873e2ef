/**
 * One blockdev-mirror job, from before it starts to after its end.
 *
 *   new ──► running ──► ready ──► ended   (cancelled on our word: the two disks are equal)
 *              │          │
 *              └──────────┴─────► failed  (error kept; also when somebody else ended it)
 *
 * QEMU dismisses the job at its end, so its error is in BLOCK_JOB_COMPLETED and nowhere else (QEMU
 * blockjob.c, block_job_on_idle_locked; docs/interop/live-block-operations.rst). Cancelling a READY mirror ends with
 * BLOCK_JOB_COMPLETED, cancelling a running one with BLOCK_JOB_CANCELLED. Listening therefore starts
 * before the command that creates the job.
 */
import { type QmpClient, QmpCommandError, type QmpEvent } from 'qemu-qmp-client';
import { Deadline } from './deadline.js';
import { SeedError, step } from './errors.js';

export type MirrorState = 'new' | 'running' | 'ready' | 'ended' | 'failed';

export interface MirrorSource {
  /** Names the disk in messages. */
  readonly device: string;
  readonly job: string;
  readonly node: string;
  readonly target: string;
}

export interface SeedProgress {
  readonly device: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface ReadyOptions {
  readonly pollMs: number;
  /** The longest time without progress. */
  readonly stallTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SeedProgress) => void) | undefined;
}

interface CommandBounds {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface EndOptions {
  readonly force: boolean;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
}

const END_POLL_MS = 50;

export class Mirror {
  readonly source: MirrorSource;
  readonly #qmp: QmpClient;
  readonly #unsubscribe: () => void;
  readonly #onFailure: (error: SeedError) => void;
  readonly #woken = new Set<() => void>();
  #state: MirrorState = 'new';
  #error: SeedError | undefined;
  #ending = false;

  /** `onFailure` hears once, synchronously with the event, that a mirror failed after it was started. */
  constructor(qmp: QmpClient, source: MirrorSource, onFailure: (error: SeedError) => void) {
    this.#qmp = qmp;
    this.source = source;
    this.#onFailure = onFailure;
    this.#unsubscribe = qmp.on((event) => this.#onEvent(event));
  }

  get state(): MirrorState {
    return this.#state;
  }

  /** Takes over a job that runs already, started before this process. */
  adopt(ready: boolean): void {
    this.#setState(ready ? 'ready' : 'running');
  }

  /** Stops listening, whatever becomes of the job. */
  dispose(): void {
    this.#unsubscribe();
  }

  /** @throws SeedError `seed-failed` */
  async start(speedBytesPerSec: number | undefined, options: CommandBounds): Promise<void> {
    const { device, job, node, target } = this.source;
    await step(
      () =>
        this.#qmp.execute(
          'blockdev-mirror',
          {
            'job-id': job,
            device: node,
            target,
            sync: 'full',
            'copy-mode': 'write-blocking',
            ...(speedBytesPerSec !== undefined && { speed: speedBytesPerSec }),
          },
          options,
        ),
      (words, cause) => {
        this.dispose();
        const message = `the mirror of ${device} (job ${job}) did not start: ${words}`;
        const remedy = 'See that no other job runs on this disk, and that its node is not in use.';
        return new SeedError('seed-failed', message, remedy, { cause });
      },
    );
    if (this.#state === 'new') this.#setState('running');
  }

  /**
   * Waits for READY: from then on each write is on both disks before the guest hears of it.
   * @throws SeedError `seed-failed` with QEMU's words; WaitError
   */
  async ready(options: ReadyOptions): Promise<void> {
    const { device, job } = this.source;
    const { pollMs, stallTimeoutMs, commandTimeoutMs, signal, onProgress } = options;
    const what = `seeding ${device} (job ${job}): one step of progress`;
    let deadline = new Deadline(what, { timeoutMs: stallTimeoutMs, signal });
    let doneBytes = -1;
    for (;;) {
      this.check();
      const jobs = await step(
        () => this.#qmp.execute('query-block-jobs', {}, deadline.options(commandTimeoutMs)),
        (words, cause) => this.#lost(`cannot be watched: ${words}`, cause),
      );
      this.check();
      const info = jobs.find((one) => one.device === job);
      if (info === undefined) throw this.#fail('is gone and left no word');
      onProgress?.({ device, doneBytes: info.offset, totalBytes: info.len });
      if (this.isReady()) return;
      if (info.offset !== doneBytes) {
        doneBytes = info.offset;
        deadline = new Deadline(what, { timeoutMs: stallTimeoutMs, signal });
      }
      await this.#change(pollMs, deadline);
    }
  }

  isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Throws if the mirror has failed. @throws SeedError `seed-failed`, `seed-lost` */
  check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /**
   * Ends the job and waits until it is gone. With `force`, at once, whatever is left to copy; without,
   * a READY job ends with both disks equal, and one that failed is an error here.
   * @throws SeedError `seed-failed`, `seed-lost`; WaitError
   */
  async end(options: EndOptions): Promise<void> {
    this.#ending = true;
    try {
      await step(
        () => this.#end(options),
        (words, cause) => this.#lost(`cannot be ended: ${words}`, cause),
      );
    } finally {
      this.#ending = false;
    }
  }

  isOver(): boolean {
    return this.#state === 'ended' || this.#state === 'failed';
  }

  async #end({ force, deadline, commandTimeoutMs }: EndOptions): Promise<void> {
    if (!force) this.check();
    if (this.isOver()) return;
    await this.#cancel(force, deadline.options(commandTimeoutMs));
    while (!this.isOver()) {
      const options = deadline.options(commandTimeoutMs);
      const jobs = await this.#qmp.execute('query-block-jobs', {}, options);
      // The job's last event comes before an answer without it.
      if (this.isOver()) break;
      if (!jobs.some((one) => one.device === this.source.job)) {
        if (force) break;
        throw this.#fail('is gone and left no word');
      }
      await this.#change(END_POLL_MS, deadline);
    }
    if (!force) this.check();
  }

  async #cancel(force: boolean, options: CommandBounds): Promise<void> {
    try {
      await this.#qmp.execute('block-job-cancel', { device: this.source.job, force }, options);
    } catch (error) {
      if (!isNoSuchJob(error)) throw error;
    }
  }

  #onEvent(event: QmpEvent): void {
    const { job } = this.source;
    switch (event.event) {
      case 'BLOCK_JOB_READY':
        if (event.data.device === job) this.#setState('ready');
        return;
      case 'BLOCK_JOB_COMPLETED':
        if (event.data.device === job) this.#over(event.data.error);
        return;
      case 'BLOCK_JOB_CANCELLED':
        if (event.data.device === job) this.#over(this.#ending ? undefined : 'it was cancelled');
        return;
      default:
    }
  }

  #over(qemuError: string | undefined): void {
    this.#unsubscribe();
    if (qemuError === undefined && this.#ending) this.#setState('ended');
    else this.#fail(`ended: ${qemuError ?? 'somebody completed it'}`);
  }

  #fail(what: string): SeedError {
    if (this.#error !== undefined) return this.#error;
    const error = this.#lost(what, undefined);
    this.#error = error;
    this.#setState('failed');
    this.#onFailure(error);
    return error;
  }

  #lost(what: string, cause: unknown): SeedError {
    const { device, job } = this.source;
    const wasReady = this.#state === 'ready';
    return new SeedError(
      wasReady ? 'seed-lost' : 'seed-failed',
      `the mirror of ${device} (job ${job}) ${what}`,
      'Give this attempt up with rollback() and seed again once the replicator is well.',
      cause === undefined ? {} : { cause },
    );
  }

  /** The only place where the state changes; both ends are final. */
  #setState(state: MirrorState): void {
    if (this.isOver()) return;
    this.#state = state;
    for (const wake of [...this.#woken]) wake();
  }

  /** Until the state changes, at most `ms`. @throws WaitError */
  async #change(ms: number, deadline: Deadline): Promise<void> {
    let wake: () => void = () => undefined;
    const changed = new Promise<void>((resolve) => {
      wake = resolve;
      this.#woken.add(resolve);
    });
    try {
      await Promise.race([changed, deadline.pause(ms)]);
    } finally {
      this.#woken.delete(wake);
    }
  }
}

/** The job ended by itself before we got there. */
function isNoSuchJob(error: unknown): boolean {
  return error instanceof QmpCommandError && error.errorClass === 'DeviceNotActive';
}
