/**
 * One blockdev-mirror job, from before it starts until after its end. Its phases are in
 * mirror-state.ts; here is what QEMU is asked, and what its answers and events mean.
 *
 * The job is told to stop on errors of its target, because QEMU must not end it by itself (see
 * #cancelSafely). What it could not write stays in its dirty bitmap. That includes the guest's
 * writes, which succeed all the same (QEMU block/mirror.c, do_sync_target_write; seen). A job that
 * can be resumed then waits in ready() for a new connection. seal() ends that: from then on the
 * first error is final.
 *
 * QEMU dismisses the job at its end, so its error is in BLOCK_JOB_COMPLETED and nowhere else (QEMU
 * blockjob.c, block_job_on_idle_locked; docs/interop/live-block-operations.rst). Cancelling a READY
 * mirror ends with BLOCK_JOB_COMPLETED, cancelling a running one with BLOCK_JOB_CANCELLED.
 * Therefore this listens before the command that creates the job is sent.
 */
import type { BlockJobInfo, QmpClient, QmpEvent } from 'qemu-qmp-client';
import { Deadline, type Bounds } from '../deadline.js';
import { SeedError, step } from '../errors.js';
import { ChangeSignal } from './change-signal.js';
import { mirrorMissesWrites } from '../qemu-quirks.js';
import { cancelJob, dirtyBytesOf, mirrorArguments, type MirrorSource } from './mirror-job.js';
import {
  COMPLETE,
  HALTED,
  type MirrorInput,
  type MirrorPhase,
  nextPhase,
  OVER,
  RESUMABLE,
  WAS_READY,
} from './mirror-state.js';
import type { ReadyOptions, SeedProgress } from './seed-options.js';
import { withGuestPaused } from './with-guest-paused.js';

type MirrorState =
  | { readonly phase: Exclude<MirrorPhase, 'failed'> }
  /** `error` is what failed first. */
  | { readonly phase: 'failed'; readonly error: SeedError };

interface EndOptions {
  /** At once, whatever is left to copy. Without it the disks are equal at the end. */
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
/** After this many breaks in a row without progress, the link is not to blame. */
const FRUITLESS_MAX = 5;

export class Mirror {
  readonly source: MirrorSource;
  readonly #qmp: QmpClient;
  readonly #unsubscribe: () => void;
  readonly #onFailure: (error: SeedError) => void;
  readonly #changes = new ChangeSignal();
  #state: MirrorState = { phase: 'new' };
  #mayHavePivoted = false;
  /** Breaks without progress: where the copy was at the last one, and how many in a row. */
  #fruitless = { offsetBytes: -1, breaks: 0 };

  /** @param onFailure called once, synchronously with QEMU's event, if the mirror fails */
  constructor(qmp: QmpClient, source: MirrorSource, onFailure: (error: SeedError) => void) {
    this.#qmp = qmp;
    this.source = source;
    this.#onFailure = onFailure;
    this.#unsubscribe = qmp.on((event) => this.#onEvent(event));
  }

  get phase(): MirrorPhase {
    return this.#state.phase;
  }

  /** Whether it has all writes, as far as is known here. */
  get isComplete(): boolean {
    return COMPLETE.has(this.phase);
  }

  /** Whether it was READY and is not over, even if it stands still now. */
  get isReady(): boolean {
    return WAS_READY.has(this.phase);
  }

  /** Whether it has ended or failed. */
  get isOver(): boolean {
    return OVER.has(this.phase);
  }

  /** Whether it can go on over another connection if this one breaks. */
  get isResumable(): boolean {
    return this.source.isResumable && RESUMABLE.has(this.phase);
  }

  /** Somebody ended it in good order: cancelled, or completed; then its target is the disk. */
  get mayHavePivoted(): boolean {
    return this.#mayHavePivoted;
  }

  /** Takes over a job that an earlier process has started. */
  adopt(ready: boolean): void {
    this.#take('adopt');
    if (ready) this.#take('READY');
  }

  /** Stops listening, whatever becomes of the job. */
  dispose(): void {
    this.#unsubscribe();
  }

  /**
   * Starts the job, with the guest paused if it has to be. In an I/O thread the job's filter is in
   * the graph before the job has run for the first time. A guest's write in between looks into a
   * bitmap that is not allocated yet: QEMU 7.2 crashed (block/mirror.c, mirror_start_job,
   * mirror_run). Releases that may miss a write get none until the job has begun.
   * @throws SeedError `DRIVER_SEED_FAILED`
   */
  async start(speedBytesPerSec: number | undefined, options: Bounds): Promise<void> {
    const { device, job, isThreaded } = this.source;
    const args = mirrorArguments(this.source, speedBytesPerSec);
    const send = (): Promise<unknown> => this.#qmp.execute('blockdev-mirror', args, options);
    const begun = mirrorMissesWrites(this.#qmp.version) ? () => this.#begun(options) : undefined;
    const mayRun = !isThreaded && begun === undefined;
    await step(
      () => (mayRun ? send() : withGuestPaused(this.#qmp, options, send, begun)),
      (words, cause) => {
        this.dispose();
        const message = `the mirror of ${device} (job ${job}) did not start: ${words}`;
        const remedy = 'See that no other job runs on this disk, and that its node is not in use.';
        return new SeedError('DRIVER_SEED_FAILED', message, remedy, { cause });
      },
    );
    this.#take('started');
  }

  /**
   * Waits for READY: from then on each write is on both disks before the guest hears of it.
   * @throws SeedError `DRIVER_SEED_FAILED` with QEMU's words
   * @throws WaitError
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
      // An answer from before the error does not say what kind of error it is.
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
      if ((await this.#hasCaughtUp(info, deadline, options)) && isEnough()) {
        // READY may have come after that answer.
        if (offset < len) onProgress?.({ ...progress, doneBytes: len });
        return;
      }
      if (offset !== doneBytes || this.isReady) {
        doneBytes = offset;
        movedMs = performance.now();
        deadline = renewed();
      } else if (this.#hangs(movedMs, limitBytesPerSec, options)) {
        await options.reconnection?.cut();
        movedMs = performance.now();
      }
      await this.#changes.next(pollMs, deadline);
    }
  }

  /**
   * From now on an error of the target is final. To be called before the link is opened whose loss
   * counts, and only once ready() has resolved.
   * @throws SeedError `DRIVER_SEED_FAILED`
   * @throws SeedError `DRIVER_SEED_LOST`
   */
  seal(): void {
    this.check();
    this.#take('seal');
  }

  /**
   * @param bytesPerSec 0 for no limit
   * @throws SeedError `DRIVER_SEED_FAILED`
   */
  async setSpeed(bytesPerSec: number, options: Bounds): Promise<void> {
    if (this.isOver) return;
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
    const { offsetBytes, breaks } = this.#fruitless;
    this.#fruitless = {
      offsetBytes: info.offset,
      breaks: info.offset === offsetBytes ? breaks + 1 : 0,
    };
    if (this.#fruitless.breaks >= FRUITLESS_MAX) throw this.#fail(`${FAILING} again and again`);
    const startMs = performance.now();
    await reconnection.reconnect(() => {
      const forMs = Math.round(performance.now() - startMs);
      onProgress?.({ ...progress, down: { forMs, limitMs: reconnection.limitMs } });
    });
    // Somebody may have cancelled it meanwhile.
    if (!this.#isHalted) return;
    this.#take('resume');
    const bounds = { timeoutMs: commandTimeoutMs, signal };
    await step(
      () => this.#qmp.execute('job-resume', { id: this.source.job }, bounds),
      (words, cause) => this.#lost(`cannot be resumed: ${words}`, cause),
    );
  }

  async #hasCaughtUp(
    { offset, len }: BlockJobInfo,
    deadline: Deadline,
    { commandTimeoutMs }: ReadyOptions,
  ): Promise<boolean> {
    if (this.phase !== 'behind') return this.isComplete;
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
    // What is being copied now counts as clean. If that fails, an event reports it.
    if (this.#isNow('behind') && (dirtyBytes ?? len - offset) === 0) this.#take('caught-up');
    return this.isComplete;
  }

  /**
   * Throws if the mirror has failed, or has stopped on an error.
   * @throws SeedError `DRIVER_SEED_FAILED`
   * @throws SeedError `DRIVER_SEED_LOST`
   */
  check(): void {
    if (this.#isHalted) throw this.#fail(FAILING);
    this.#checkFailed();
  }

  #checkFailed(): void {
    if (this.#state.phase === 'failed') throw this.#state.error;
  }

  get #isHalted(): boolean {
    return HALTED.has(this.phase);
  }

  /** The phase may have changed during an await, which the compiler does not know. */
  #isNow(phase: MirrorPhase): boolean {
    return this.phase === phase;
  }

  /**
   * Ends the job and waits until it is gone. With `force` at once, whatever is left to copy.
   * Without, only a READY job can be ended, both disks are equal then, and a job that failed is an
   * error.
   * @throws SeedError `DRIVER_SEED_FAILED`
   * @throws SeedError `DRIVER_SEED_LOST`
   * @throws WaitError
   */
  async end(options: EndOptions): Promise<void> {
    if (this.phase === 'ended') return;
    await step(
      () => (options.force ? this.#cancelSafely(options) : this.#finish(options)),
      (words, cause) => this.#lost(`cannot be ended: ${words}`, cause),
    );
  }

  /** Waits until QEMU has seen which parts of the disk to copy: only then the job has a length. */
  #begun(options: Bounds): Promise<void> {
    const { device, job } = this.source;
    const deadline = new Deadline(`the mirror of ${device} (job ${job}): its beginning`, options);
    return this.#jobUntil(
      (info) => info === undefined || info.len > 0 || info.ready || this.#isHalted,
      { deadline, commandTimeoutMs: options.timeoutMs },
    );
  }

  async #finish(options: EndOptions): Promise<void> {
    this.check();
    if (!this.isReady) throw this.#lost('is not complete yet');
    this.#take('finish');
    const bounds = options.deadline.options(options.commandTimeoutMs);
    await cancelJob(this.#qmp, this.source.job, false, bounds);
    await this.#gone(options);
    // The job's last event came before the answer that does not list it any more.
    this.check();
    if (!this.isOver) throw this.#fail('is gone without a last event');
  }

  #gone(options: EndOptions): Promise<void> {
    return this.#jobUntil((info) => {
      if (info !== undefined && !options.force) this.check();
      return info === undefined;
    }, options);
  }

  /**
   * Looks at the job, at each change and now and then, until it `isSo`.
   * @throws WaitError
   */
  async #jobUntil(
    isSo: (info: BlockJobInfo | undefined) => boolean,
    { deadline, commandTimeoutMs }: Pick<EndOptions, 'deadline' | 'commandTimeoutMs'>,
  ): Promise<void> {
    for (;;) {
      const options = deadline.options(commandTimeoutMs);
      const jobs = await this.#qmp.execute('query-block-jobs', {}, options);
      if (isSo(jobs.find((one) => one.device === this.source.job))) return;
      await this.#changes.next(POLL_MS, deadline);
    }
  }

  /**
   * A job that is cancelled by force frees its bitmap of requests before it drains the disk (QEMU
   * block/mirror.c, mirror_run, immediate_exit). A guest's write under way then clears its bits in
   * freed memory: QEMU 7.2 crashed. Hence the guest is paused. A disk in an I/O thread leaves that
   * thread with `stop` and returns with `cont`, which asserts that its jobs are paused. A job that
   * is being cancelled never is (QEMU job.c, job_set_aio_context): there the job has to be gone
   * first.
   */
  async #cancelSafely(options: EndOptions): Promise<void> {
    const bounds = options.deadline.options(options.commandTimeoutMs);
    const gone = this.source.isThreaded ? () => this.#gone(options) : undefined;
    const cancel = (): Promise<void> => cancelJob(this.#qmp, this.source.job, true, bounds);
    this.#take('cancel');
    await withGuestPaused(this.#qmp, bounds, cancel, gone);
    await this.#gone(options);
    this.#take('gone');
  }

  #onEvent(event: QmpEvent): void {
    switch (event.event) {
      case 'BLOCK_JOB_READY':
        if (event.data.device === this.source.job) this.#onReady();
        return;
      case 'BLOCK_JOB_ERROR':
        if (event.data.device !== this.source.job || event.data.action !== 'stop') return;
        this.#take('ERROR', FAILING);
        return;
      case 'BLOCK_JOB_COMPLETED':
        if (event.data.device === this.source.job) this.#onCompleted(event.data.error);
        return;
      case 'BLOCK_JOB_CANCELLED':
        if (event.data.device !== this.source.job) return;
        this.dispose();
        this.#take('CANCELLED', 'ended: it was cancelled');
        return;
      default:
    }
  }

  #onReady(): void {
    this.#take('READY');
    if (this.phase === 'ready' && !this.source.isResumable) this.#take('seal');
  }

  #onCompleted(error: string | undefined): void {
    this.dispose();
    this.#mayHavePivoted = error === undefined;
    if (error === undefined) this.#take('COMPLETED', 'ended: somebody completed or cancelled it');
    else this.#take('BROKEN', `ended: ${error}`);
  }

  /** @returns the error that it failed with first, or this one where it was cancelled */
  #fail(what: string, remedy?: string): SeedError {
    this.#take('fail', what, remedy);
    return this.#state.phase === 'failed' ? this.#state.error : this.#lost(what, undefined, remedy);
  }

  #lost(what: string, cause?: unknown, remedy = SEED_AGAIN): SeedError {
    const { device, job } = this.source;
    return new SeedError(
      WAS_READY.has(this.phase) ? 'DRIVER_SEED_LOST' : 'DRIVER_SEED_FAILED',
      `the mirror of ${device} (job ${job}) ${what}`,
      remedy,
      cause === undefined ? {} : { cause },
    );
  }

  /**
   * The only place where the phase changes.
   * @param what went wrong, if this makes the mirror fail
   */
  #take(input: MirrorInput, what: string = input, remedy?: string): void {
    const phase = nextPhase(this.phase, input);
    if (phase === this.phase) return;
    if (phase !== 'failed') {
      this.#state = { phase };
    } else {
      const error = this.#lost(what, undefined, remedy);
      this.#state = { phase, error };
      this.#onFailure(error);
    }
    this.#changes.emit();
  }
}
