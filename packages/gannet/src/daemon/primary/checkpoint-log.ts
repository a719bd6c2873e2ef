import type { QmpClient } from 'qemu-qmp-client';
import type { CheckpointCause, CheckpointRecord, CommitRecord } from '@gannet/contract';

/**
 * A period runs from one wish for a checkpoint to the next, and the guest stops some time after the
 * wish, once a little later than another time: so much earlier than the period a STOP has to come
 * before it is taken for early.
 */
const EARLY_MS = 50;
const EARLY_SHARE = 0.1;
/** A clock that differs by less was not set: it is slewed, or read a moment later. */
const CLOCK_STEP_MS = 50;

/**
 * What the primary knows of each checkpoint and its secondary does not: why it was made, and how
 * long the guest stood still. The secondary's word of the commit and the guest's RESUME come over
 * two sockets, in either order.
 *
 * QEMU has no word for the cause. What was asked for here is known; of the others, one that comes
 * before its period is colo-compare's, where packets are compared: the outputs of the two guests
 * differed.
 */
export class CheckpointLog {
  #offsetMs = NaN;
  #asked: CheckpointCause | undefined;
  #cause: CheckpointCause = 'period';
  #stoppedMs: number | undefined;
  /**
   * The STOP that the pause under way, or the last one, began with; and that of the last
   * checkpoint.
   */
  #beganMs: number | undefined;
  #lastBeganMs: number | undefined;
  /** null if there was a pause, of unknown length. */
  #pausedMs: number | null | undefined;
  #commit: CommitRecord | undefined;
  #last: CheckpointRecord | undefined;

  /**
   * @param comparedPeriodMs the period, where the guests' packets are compared; undefined where
   * they are not
   */
  constructor(
    private readonly onDone: (record: CheckpointRecord) => void,
    private readonly comparedPeriodMs: () => number | undefined = () => undefined,
    private readonly clock: Clock = {
      wallMs: () => Date.now(),
      steadyMs: () => performance.now(),
    },
  ) {}

  get last(): CheckpointRecord | undefined {
    return this.#last;
  }

  attend(qmp: QmpClient): void {
    qmp.onEvent('STOP', ({ timestamp }) => this.stopped(this.#steady(timestamp)));
    qmp.onEvent('RESUME', ({ timestamp }) => this.resumed(this.#steady(timestamp)));
  }

  /**
   * QEMU's stamps are exact, and of the host's clock, which may be set. So much as it was set
   * between two events is taken off.
   */
  #steady({ seconds, microseconds }: Stamp): number {
    const offsetMs = this.clock.wallMs() - this.clock.steadyMs();
    if (!(Math.abs(offsetMs - this.#offsetMs) < CLOCK_STEP_MS)) this.#offsetMs = offsetMs;
    return seconds * 1000 + microseconds / 1000 - this.#offsetMs;
  }

  /** The next checkpoint is not the period's. */
  asked(cause: CheckpointCause): void {
    this.#asked = cause;
  }

  stopped(atMs: number): void {
    this.#stoppedMs = atMs;
    this.#beganMs = atMs;
    this.#cause = this.#asked ?? (this.#isEarly(atMs) ? 'output' : 'period');
    this.#asked = undefined;
  }

  #isEarly(atMs: number): boolean {
    const periodMs = this.comparedPeriodMs();
    if (periodMs === undefined || this.#lastBeganMs === undefined) return false;
    return atMs - this.#lastBeganMs < periodMs - Math.max(EARLY_MS, EARLY_SHARE * periodMs);
  }

  resumed(atMs: number): void {
    if (this.#stoppedMs === undefined) return;
    const pausedMs = atMs - this.#stoppedMs;
    // The clock was set between the event and its arrival here: nobody knows how long it was.
    this.#pausedMs = pausedMs < 0 ? null : pausedMs;
    this.#stoppedMs = undefined;
    if (this.#commit) this.#finish(this.#commit);
  }

  /** The secondary says that it has committed; again with each heartbeat. */
  committed(commit: CommitRecord | undefined): void {
    const known = this.#commit?.epoch ?? this.#last?.epoch;
    if (!commit || commit.epoch === known) return;
    // Its RESUME was missed: who has waited for it goes without.
    if (this.#commit) this.#finish(this.#commit);
    this.#commit = commit;
    if (this.#pausedMs !== undefined && this.#stoppedMs === undefined) this.#finish(commit);
  }

  #finish(commit: CommitRecord): void {
    const { epoch, committedPages, droppedPages, gateClosedMs } = commit;
    const pausedMs = this.#pausedMs ?? null;
    const known = { epoch, committedPages, droppedPages, gateClosedMs };
    this.#last = { ...known, cause: this.#cause, pausedMs };
    this.#commit = undefined;
    this.#pausedMs = undefined;
    this.#lastBeganMs = this.#beganMs;
    this.#cause = 'period';
    this.onDone(this.#last);
  }
}

interface Stamp {
  readonly seconds: number;
  readonly microseconds: number;
}

/** The clock of the host, and one that nobody sets. */
interface Clock {
  readonly wallMs: () => number;
  readonly steadyMs: () => number;
}
