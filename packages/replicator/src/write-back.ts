import type { Disk, CommittedEpoch } from './disk.js';
import { runsOf, type Run } from './epoch-runs.js';

/** Longest single write to a base. */
const WRITE_BYTES_MAX = 1024 * 1024;

/** One write to one base image. Doing it twice does no harm. */
export interface WriteBackRun {
  readonly disk: string;
  readonly offset: number;
  readonly length: number;
  write(): Promise<void>;
}

/**
 * All epochs that were committed when it was taken, merged: the latest version of each page, by disk and offset.
 * Its runs overlap nowhere, so they may be written in any order and several at once, but a batch must be finished before the next is begun:
 * that is what keeps an old epoch from being written over a new one.
 */
export class WriteBackBatch {
  readonly epochs: readonly number[];

  constructor(
    private readonly parts: readonly { disk: Disk; epochs: readonly CommittedEpoch[] }[],
    private readonly whenEnded: (isWritten: boolean) => void,
  ) {
    const numbers = parts.flatMap(({ epochs }) => epochs.map(({ epoch }) => epoch));
    this.epochs = [...new Set(numbers)].sort((a, b) => a - b);
  }

  /** Waits until nothing that must not see the new contents is still reading the base. */
  async ready(): Promise<void> {
    for (const { epochs } of this.parts) {
      for (const { earlierReadsDone } of epochs) await earlierReadsDone;
    }
  }

  *runs(): Generator<WriteBackRun> {
    for (const { disk, epochs } of this.parts) {
      const layers = epochs.map(({ overlay }) => overlay);
      for (const run of runsOf(layers, WRITE_BYTES_MAX)) yield toWrite(disk, run);
    }
  }

  /** Puts what was written on stable storage. */
  async sync(): Promise<void> {
    await Promise.all(this.parts.map(({ disk }) => disk.base.sync()));
  }

  /** Everything is written: the memory can go. */
  finish(): void {
    for (const { disk, epochs } of this.parts) disk.forget(epochs.length);
    this.whenEnded(true);
  }

  /** None of its writes is under way any more, and not all were done: the next batch takes its epochs again. */
  abandon(): void {
    this.whenEnded(false);
  }
}

function toWrite(disk: Disk, run: Run): WriteBackRun {
  return {
    disk: disk.name,
    offset: run.offset,
    length: run.length,
    write: () => {
      if (run.kind === 'zero') return disk.base.zero(run.offset, run.length);
      const data = Buffer.allocUnsafe(run.length);
      run.copyTo(data);
      return disk.base.write(run.offset, data);
    },
  };
}
