/**
 * One blockdev-mirror job, from before it starts to after its end.
 *
 *   new ──► running ──► ready ──► ended   (cancelled on our word: the two disks are equal)
 *              │          │
 *              └──────────┴─────► failed  (error kept; also when somebody else ended it)
 *
 * It is told to stop on errors of its target: QEMU must not end it by itself (see #cancelSafely). It keeps what failed in
 * its dirty bitmap, the guest's writes too, which succeed all the same (QEMU block/mirror.c, do_sync_target_write; seen).
 * One that can be resumed then waits in ready() for a new connection and goes on. That ends with seal(): from then on the
 * first error is the end.
 *
 * QEMU dismisses the job at its end, so its error is in BLOCK_JOB_COMPLETED and nowhere else (QEMU
 * blockjob.c, block_job_on_idle_locked; docs/interop/live-block-operations.rst). Cancelling a READY mirror ends with
 * BLOCK_JOB_COMPLETED, cancelling a running one with BLOCK_JOB_CANCELLED. Listening therefore starts
 * before the command that creates the job.
 */
import {
  type BlockDeviceInfo,
  type BlockJobInfo,
  type QmpClient,
  QmpCommandError,
  type QmpEvent,
} from 'qemu-qmp-client';
import { Deadline, type Bounds } from '../deadline.js';
import { SeedError, step } from '../errors.js';
import { mirrorMissesWrites } from '../qemu-quirks.js';
import type { ReadyOptions, SeedProgress } from './seed-options.js';
import { withGuestPaused } from './with-guest-paused.js';

export type MirrorState = 'new' | 'running' | 'ready' | 'ended' | 'failed';

export interface MirrorSource {
  /** Names the disk in messages. */
  readonly device: string;
  readonly job: string;
  readonly node: string;
  readonly target: string;
  /** Whether it is resumed after an error of its target, until it is sealed. */
  readonly resumable?: boolean;
  /** Whether the disk is served in an I/O thread. */
  readonly threaded: boolean;
}

interface EndOptions {
  readonly force: boolean;
  readonly deadline: Deadline;
  readonly commandTimeoutMs: number;
}

const POLL_MS = 50;
/** The most that a mirror copies in one step (QEMU block/mirror.c: 16 requests of 1 MiB). */
const STEP_BYTES_MAX = 16 * 1024 * 1024;
const SEED_AGAIN =
  "See that the replica's base is well (`gannet events` on its host says), then protect again.";
const MAKE_SPACE =
  "Make space on the file system of the replica's base, on the secondary host, then protect again.";
const FAILING = 'has met an I/O error';
/** Breaks in a row without a step of progress in between: then it is not the link. */
const FRUITLESS_MAX = 5;

export class Mirror {
  readonly source: MirrorSource;
  readonly #qmp: QmpClient;
  readonly #unsubscribe: () => void;
  readonly #onFailure: (error: SeedError) => void;
  readonly #woken = new Set<() => void>();
  #state: MirrorState = 'new';
  #error: SeedError | undefined;
  #ending = false;
  /** Stands still after an error, and can be resumed. */
  #isHalted = false;
  #isSealed = false;
  /** It was halted when it was READY already, which it won't be a second time: what is dirty tells. */
  #mayBeBehind = false;
  #haltedAtBytes = -1;
  #fruitless = 0;

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

  get isSealed(): boolean {
    return this.#isSealed;
  }

  /** Takes over a job that runs already, started before this process. */
  adopt(ready: boolean): void {
    this.#isSealed = true;
    this.#setState(ready ? 'ready' : 'running');
  }

  /** Stops listening, whatever becomes of the job. */
  dispose(): void {
    this.#unsubscribe();
  }

  /**
   * In an I/O thread the filter is there before the job has run for the first time, and a write of the guest in between
   * looks into a bitmap that is not allocated yet: QEMU 7.2 crashed (block/mirror.c, mirror_start_job, mirror_run). And
   * releases that may miss a write are given none until the job has begun.
   * @throws SeedError `DRIVER_SEED_FAILED`
   */
  async start(speedBytesPerSec: number | undefined, options: Bounds): Promise<void> {
    const { device, job, node, target, threaded } = this.source;
    const args = {
      'job-id': job,
      device: node,
      target,
      sync: 'full',
      'copy-mode': 'write-blocking',
      'on-target-error': 'stop',
      ...(speedBytesPerSec !== undefined && { speed: speedBytesPerSec }),
    } as const;
    const send = (): Promise<unknown> => this.#qmp.execute('blockdev-mirror', args, options);
    const begun = mirrorMissesWrites(this.#qmp.version) ? () => this.#begun(options) : undefined;
    const mayRun = !threaded && begun === undefined;
    await step(
      () => (mayRun ? send() : withGuestPaused(this.#qmp, options, send, begun)),
      (words, cause) => {
        this.dispose();
        const message = `the mirror of ${device} (job ${job}) did not start: ${words}`;
        const remedy = 'See that no other job runs on this disk, and that its node is not in use.';
        return new SeedError('DRIVER_SEED_FAILED', message, remedy, { cause });
      },
    );
    if (this.#state === 'new') this.#setState('running');
  }

  /**
   * Waits for READY: from then on each write is on both disks before the guest hears of it.
   * @throws SeedError `DRIVER_SEED_FAILED` with QEMU's words; WaitError
   */
  async ready(options: ReadyOptions): Promise<void> {
    const { device, job } = this.source;
    const { pollMs, stallTimeoutMs, signal, onProgress, isEnough = () => true } = options;
    const what = `seeding ${device} (job ${job}): one step of progress`;
    const renewed = (): Deadline => new Deadline(what, { timeoutMs: stallTimeoutMs, signal });
    let deadline = renewed();
    let movedMs = performance.now();
    let doneBytes = -1;
    for (;;) {
      const wasHalted = this.#isHalted;
      const info = await this.#info(deadline, options);
      // An answer from before the error does not know what kind it is.
      if (this.#isHalted && !wasHalted) continue;
      const { offset, len, speed: limitBytesPerSec } = info;
      const progress = { device, doneBytes: offset, totalBytes: len, limitBytesPerSec };
      onProgress?.(progress);
      if (this.#isHalted) {
        await this.#goOn(info, progress, options);
        deadline = renewed();
        movedMs = performance.now();
        continue;
      }
      if (this.isReady() && (await this.#hasCaughtUp(info, deadline, options)) && isEnough())
        return;
      if (offset !== doneBytes || this.isReady()) {
        doneBytes = offset;
        movedMs = performance.now();
        deadline = renewed();
      } else if (this.#hangs(movedMs, limitBytesPerSec, options)) {
        await options.reconnection?.cut();
        movedMs = performance.now();
      }
      await this.#change(pollMs, deadline);
    }
  }

  /** Whether it has everything, as far as it is known here. */
  get isComplete(): boolean {
    return this.isReady() && !this.#isHalted && !this.#mayBeBehind;
  }

  /**
   * From now on an error of the target is final. To be called before the link is opened whose loss counts.
   * @throws SeedError `DRIVER_SEED_FAILED`, `DRIVER_SEED_LOST`
   */
  seal(): void {
    this.check();
    this.#isSealed = true;
  }

  /** @param bytesPerSec 0 for no limit @throws SeedError `DRIVER_SEED_FAILED` */
  async setSpeed(bytesPerSec: number, options: Bounds): Promise<void> {
    if (this.isOver()) return;
    await step(
      () =>
        this.#qmp.execute(
          'block-job-set-speed',
          { device: this.source.job, speed: bytesPerSec },
          options,
        ),
      (words, cause) => this.#lost(`does not take a speed of ${bytesPerSec}: ${words}`, cause),
    );
  }

  async #info(deadline: Deadline, { commandTimeoutMs }: ReadyOptions): Promise<BlockJobInfo> {
    this.#checkFailed();
    const jobs = await step(
      () => this.#qmp.execute('query-block-jobs', {}, deadline.options(commandTimeoutMs)),
      (words, cause) => this.#lost(`cannot be watched: ${words}`, cause),
    );
    this.#checkFailed();
    const info = jobs.find((one) => one.device === this.source.job);
    if (info === undefined) throw this.#fail('is gone and left no word');
    return info;
  }

  /** A throttled job sleeps between its steps. */
  #hangs(movedMs: number, limitBytesPerSec: number, { reconnection }: ReadyOptions): boolean {
    if (reconnection === undefined) return false;
    const sleepMs = limitBytesPerSec > 0 ? (STEP_BYTES_MAX / limitBytesPerSec) * 1000 : 0;
    return performance.now() - movedMs > reconnection.stallMs + sleepMs;
  }

  /** After a break: waits for a new connection, and resumes. */
  async #goOn(info: BlockJobInfo, progress: SeedProgress, options: ReadyOptions): Promise<void> {
    const { reconnection, onProgress, commandTimeoutMs, signal } = options;
    if (info['io-status'] === 'nospace')
      throw this.#fail('stands still: no space for the replica', MAKE_SPACE);
    if (reconnection === undefined) throw this.#fail(FAILING);
    this.#fruitless = info.offset === this.#haltedAtBytes ? this.#fruitless + 1 : 0;
    this.#haltedAtBytes = info.offset;
    if (this.#fruitless >= FRUITLESS_MAX) throw this.#fail(`${FAILING} again and again`);
    const startMs = performance.now();
    await reconnection.reconnect(() => {
      const forMs = Math.round(performance.now() - startMs);
      onProgress?.({ ...progress, down: { forMs, limitMs: reconnection.limitMs } });
    });
    this.#isHalted = false;
    const bounds = { timeoutMs: commandTimeoutMs, signal };
    await step(
      () => this.#qmp.execute('block-job-resume', { device: this.source.job }, bounds),
      (words, cause) => this.#lost(`cannot be resumed: ${words}`, cause),
    );
  }

  async #hasCaughtUp(
    { offset, len }: BlockJobInfo,
    deadline: Deadline,
    { commandTimeoutMs }: ReadyOptions,
  ): Promise<boolean> {
    if (!this.#mayBeBehind) return true;
    const nodes = await step(
      () =>
        this.#qmp.execute(
          'query-named-block-nodes',
          { flat: true },
          deadline.options(commandTimeoutMs),
        ),
      (words, cause) => this.#lost(`cannot be watched: ${words}`, cause),
    );
    const dirtyBytes = dirtyBytesOf(nodes.find((one) => one['node-name'] === this.source.node));
    // What is being copied is clean already; if that fails, an event says so.
    if (!this.#isHalted && (dirtyBytes ?? len - offset) === 0) this.#mayBeBehind = false;
    return !this.#mayBeBehind;
  }

  isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Throws if the mirror has failed or is about to. @throws SeedError `DRIVER_SEED_FAILED`, `DRIVER_SEED_LOST` */
  check(): void {
    if (this.#isHalted) throw this.#fail(FAILING);
    this.#checkFailed();
  }

  #checkFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /**
   * Ends the job and waits until it is gone. With `force`, at once, whatever is left to copy; without,
   * a READY job ends with both disks equal, and one that failed is an error here.
   * @throws SeedError `DRIVER_SEED_FAILED`, `DRIVER_SEED_LOST`; WaitError
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

  /** Until it has seen which parts of the disk there are to copy: only then it has a length. */
  #begun(options: Bounds): Promise<void> {
    const { device, job } = this.source;
    const deadline = new Deadline(`the mirror of ${device} (job ${job}): its beginning`, options);
    return this.#jobUntil(
      (info) => info === undefined || info.len > 0 || info.ready || this.#isHalted,
      { deadline, commandTimeoutMs: options.timeoutMs },
    );
  }

  async #end(options: EndOptions): Promise<void> {
    const { force, deadline, commandTimeoutMs } = options;
    if (!force) this.check();
    if (this.#state === 'ended') return;
    if (force) await this.#cancelSafely(options);
    else await this.#cancel(false, deadline.options(commandTimeoutMs));
    await this.#gone(options);
    if (force) return;
    // The job's last event came before the answer without it.
    this.check();
    if (!this.isOver()) throw this.#fail('is gone and left no word');
  }

  #gone(options: EndOptions): Promise<void> {
    return this.#jobUntil((info) => {
      if (info !== undefined && !options.force) this.check();
      return info === undefined;
    }, options);
  }

  /** Looks at the job, at each change and now and then, until it `isSo`. @throws WaitError */
  async #jobUntil(
    isSo: (info: BlockJobInfo | undefined) => boolean,
    { deadline, commandTimeoutMs }: Pick<EndOptions, 'deadline' | 'commandTimeoutMs'>,
  ): Promise<void> {
    for (;;) {
      const options = deadline.options(commandTimeoutMs);
      const jobs = await this.#qmp.execute('query-block-jobs', {}, options);
      if (isSo(jobs.find((one) => one.device === this.source.job))) return;
      await this.#change(POLL_MS, deadline);
    }
  }

  /**
   * A job that is forced to its end frees its bitmap of requests before it drains the disk (QEMU block/mirror.c, mirror_run,
   * immediate_exit), and a guest's write under way then clears its bits in memory that is somebody else's: QEMU 7.2 crashed.
   * A disk in an I/O thread leaves it with `stop` and goes back with `cont`, and then asserts that its jobs are paused, which
   * one that is being cancelled never is (QEMU job.c, job_set_aio_context): there the job has to be gone first.
   */
  #cancelSafely(options: EndOptions): Promise<void> {
    const bounds = options.deadline.options(options.commandTimeoutMs);
    const gone = this.source.threaded ? () => this.#gone(options) : undefined;
    return withGuestPaused(this.#qmp, bounds, () => this.#cancel(true, bounds), gone);
  }

  async #cancel(force: boolean, options: Bounds): Promise<void> {
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
        if (event.data.device === job && event.data.action === 'stop') this.#halt();
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

  #halt(): void {
    if (this.#isSealed || (this.isReady() && this.source.resumable !== true)) {
      if (!this.isOver()) this.#fail(FAILING);
      return;
    }
    this.#isHalted = true;
    this.#mayBeBehind ||= this.isReady();
    this.#wake();
  }

  #over(qemuError: string | undefined): void {
    this.dispose();
    if (qemuError === undefined && this.#ending) this.#setState('ended');
    else this.#fail(`ended: ${qemuError ?? 'somebody completed it'}`);
  }

  #fail(what: string, remedy?: string): SeedError {
    if (this.#error !== undefined) return this.#error;
    const error = this.#lost(what, undefined, remedy);
    this.#error = error;
    this.#setState('failed');
    this.#onFailure(error);
    return error;
  }

  #lost(what: string, cause: unknown, remedy = SEED_AGAIN): SeedError {
    const { device, job } = this.source;
    const wasReady = this.#state === 'ready';
    return new SeedError(
      wasReady ? 'DRIVER_SEED_LOST' : 'DRIVER_SEED_FAILED',
      `the mirror of ${device} (job ${job}) ${what}`,
      remedy,
      cause === undefined ? {} : { cause },
    );
  }

  /** The only place where the state changes; both ends are final. */
  #setState(state: MirrorState): void {
    if (this.isOver()) return;
    this.#state = state;
    this.#wake();
  }

  #wake(): void {
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

/** The mirror's bitmap is the one without a name. Undefined where none is shown. */
function dirtyBytesOf(node: BlockDeviceInfo | undefined): number | undefined {
  const bitmaps = node?.['dirty-bitmaps'] as { name?: string; count: number }[] | undefined;
  const own = bitmaps?.filter(({ name }) => name === undefined) ?? [];
  return own.length === 0 ? undefined : own.reduce((sum, { count }) => sum + count, 0);
}
