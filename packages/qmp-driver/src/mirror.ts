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
/**
 * A job reports an I/O error without a reason; the reason comes with its end, mostly in the same breath,
 * but a throttled job sleeps its time first. So long we wait for the better words.
 */
const WORDS_GRACE_MS = 200;
const FAILING = 'has met an I/O error';

export class Mirror {
  readonly source: MirrorSource;
  readonly #qmp: QmpClient;
  readonly #unsubscribe: () => void;
  readonly #onFailure: (error: SeedError) => void;
  readonly #woken = new Set<() => void>();
  #state: MirrorState = 'new';
  #error: SeedError | undefined;
  #ending = false;
  /** Runs between a job's I/O error and its end. */
  #doom: NodeJS.Timeout | undefined;

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
    clearTimeout(this.#doom);
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
      this.#checkFailed();
      const jobs = await step(
        () => this.#qmp.execute('query-block-jobs', {}, deadline.options(commandTimeoutMs)),
        (words, cause) => this.#lost(`cannot be watched: ${words}`, cause),
      );
      this.#checkFailed();
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

  /** Throws if the mirror has failed or is about to. @throws SeedError `seed-failed`, `seed-lost` */
  check(): void {
    if (this.#doom !== undefined) throw this.#fail(FAILING);
    this.#checkFailed();
  }

  #checkFailed(): void {
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
    if (this.#state === 'ended') return;
    await this.#cancel(force, deadline.options(commandTimeoutMs));
    for (;;) {
      const options = deadline.options(commandTimeoutMs);
      const jobs = await this.#qmp.execute('query-block-jobs', {}, options);
      if (!jobs.some((one) => one.device === this.source.job)) break;
      await this.#change(END_POLL_MS, deadline);
    }
    if (force) return;
    // The job's last event came before the answer without it.
    this.check();
    if (!this.isOver()) throw this.#fail('is gone and left no word');
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
      case 'BLOCK_JOB_ERROR':
        if (event.data.device === job && event.data.action === 'report') {
          this.#doom ??= setTimeout(() => this.#fail(FAILING), WORDS_GRACE_MS);
        }
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
    this.dispose();
    if (qemuError === undefined && this.#ending) this.#setState('ended');
    else this.#fail(`ended: ${qemuError ?? 'somebody completed it'}`);
  }

  #fail(what: string): SeedError {
    clearTimeout(this.#doom);
    this.#doom = undefined;
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
