import type { QmpClient } from 'qemu-qmp-client';
import type { CheckpointRecord, CommitRecord } from '../peer/protocol.js';

export type CheckpointCause = CheckpointRecord['cause'];

/**
 * What the primary knows of each checkpoint and its secondary does not: why it was made, and how long the guest stood
 * still. The secondary's word of the commit and the guest's RESUME come over two sockets, in either order.
 */
export class CheckpointLog {
  #asked: CheckpointCause | undefined;
  #cause: CheckpointCause = 'period';
  #stoppedMs: number | undefined;
  #pausedMs: number | undefined;
  #commit: CommitRecord | undefined;
  #last: CheckpointRecord | undefined;

  constructor(private readonly onDone: (record: CheckpointRecord) => void) {}

  get last(): CheckpointRecord | undefined {
    return this.#last;
  }

  attend(qmp: QmpClient): void {
    qmp.onEvent('STOP', ({ timestamp }) => this.stopped(millisecondsOf(timestamp)));
    qmp.onEvent('RESUME', ({ timestamp }) => this.resumed(millisecondsOf(timestamp)));
  }

  /** The next checkpoint is not the period's. */
  asked(cause: CheckpointCause): void {
    this.#asked = cause;
  }

  stopped(atMs: number): void {
    this.#stoppedMs = atMs;
    this.#cause = this.#asked ?? 'period';
    this.#asked = undefined;
  }

  resumed(atMs: number): void {
    if (this.#stoppedMs === undefined) return;
    this.#pausedMs = atMs - this.#stoppedMs;
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
    this.#cause = 'period';
    this.onDone(this.#last);
  }
}

function millisecondsOf({ seconds, microseconds }: Stamp): number {
  return seconds * 1000 + microseconds / 1000;
}

interface Stamp {
  readonly seconds: number;
  readonly microseconds: number;
}
