import type { Disk, CommittedEpoch } from './disk.js';
import { runsOf, type Run } from './merge-epochs.js';
import { BaseImageError } from '../errors.js';
import { eachDone } from '../io-errors.js';

/** Longest single write to a base. */
const WRITE_BYTES_MAX = 1024 * 1024;

/** One write to one base image. It may be repeated. */
export interface BaseWrite {
  readonly disk: string;
  readonly offset: number;
  readonly length: number;
  write(): Promise<void>;
}

/**
 * All epochs that were committed when the batch was taken, merged: the latest version of each page,
 * by disk and offset. Its writes don't overlap, so they may be done in any order and concurrently.
 * But a batch must be finished before the next one is begun: otherwise an old epoch could overwrite
 * a newer one.
 */
export class EpochBatch {
  readonly epochs: readonly number[];
  #lossesBefore: readonly number[] = [];

  constructor(
    private readonly parts: readonly { disk: Disk; epochs: readonly CommittedEpoch[] }[],
    private readonly whenEnded: (isWritten: boolean) => void,
    /** Settles when the bases may be written. */
    private readonly prepared: () => Promise<void> = () => Promise.resolve(),
    /** Whether the replica was given up: then nothing has to be written. */
    private readonly isGivenUp = (): boolean => false,
  ) {
    const numbers = parts.flatMap(({ epochs }) => epochs.map(({ epoch }) => epoch));
    this.epochs = [...new Set(numbers)].sort((a, b) => a - b);
  }

  /** How many of the disk's epochs the batch holds, from the oldest on. */
  heldEpochs(disk: Disk): number {
    return this.parts.find((part) => part.disk === disk)?.epochs.length ?? 0;
  }

  /** Waits until the bases may be written: no read that must see the old contents is left. */
  async ready(): Promise<void> {
    await this.prepared();
    for (const { epochs } of this.parts) {
      for (const { earlierReadsDone } of epochs) await earlierReadsDone;
    }
  }

  /** All writes of the batch; each call begins with the first. */
  *runs(): Generator<BaseWrite> {
    this.#lossesBefore = this.#losses();
    for (const { disk, epochs } of this.parts) {
      const layers = epochs.map(({ overlay }) => overlay);
      for (const run of runsOf(layers, WRITE_BYTES_MAX)) {
        if (this.isGivenUp()) return;
        yield this.#toWrite(disk, run);
      }
    }
  }

  /**
   * Puts what was written on stable storage.
   *
   * @throws BaseImageError REPLICA_BASE_IO if it failed, or if a base lost some of it
   */
  async sync(): Promise<void> {
    await eachDone(
      this.parts.map(
        ({ disk }) =>
          () =>
            disk.base.sync(),
      ),
    );
    const losses = this.#losses();
    const at = losses.findIndex((count, index) => count !== this.#lossesBefore[index]);
    const disk = this.parts[at]?.disk.name;
    if (disk === undefined) return;
    throw new BaseImageError(
      'REPLICA_BASE_IO',
      `some of what was written to the base of disk ${disk} was lost before it was synced`,
      'It is written again.',
    );
  }

  #losses(): readonly number[] {
    return this.parts.map(({ disk }) => disk.base.losses);
  }

  /** Everything is on stable storage: releases the memory. */
  finish(): void {
    for (const { disk, epochs } of this.parts) disk.forget(epochs.length);
    this.whenEnded(true);
  }

  /** Not all was written, and no write is under way: the next batch takes the epochs again. */
  abandon(): void {
    this.whenEnded(false);
  }

  /** What a snapshot needs of the base is kept before it is overwritten. */
  #keep({ pin }: Disk, { offset, length }: Run): Promise<void> | undefined {
    const isNewer = pin !== undefined && (this.epochs.at(-1) ?? 0) > pin.epoch;
    return isNewer ? pin.keep(offset, length) : undefined;
  }

  #toWrite(disk: Disk, run: Run): BaseWrite {
    const write = async (data: Buffer): Promise<void> => {
      await this.#keep(disk, run);
      await disk.base.write(run.offset, data);
    };
    const zero = async (): Promise<void> => {
      await this.#keep(disk, run);
      await disk.base.zero(run.offset, run.length);
    };
    return {
      disk: disk.name,
      offset: run.offset,
      length: run.length,
      write: () => {
        if (this.isGivenUp()) return Promise.resolve();
        if (run.kind === 'pause') return new Promise((resolve) => setImmediate(resolve));
        if (run.kind === 'zero') return zero();
        const data = Buffer.allocUnsafe(run.length);
        const copied = run.copyTo(data);
        return copied ? copied.then(() => write(data)) : write(data);
      },
    };
  }
}
