import type { CommittedEpoch, Disk } from '../disk/disk.js';
import { runsOf } from '../disk/merge-epochs.js';
import { FRAME_PAYLOAD_MAX, FRAME_ZERO_MAX, type Journal } from './journal.js';

/** The journal is emptied, through the bases, before it grows beyond this. */
const JOURNAL_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Durability after failover (invariant I4): a guest's flush is answered when its data is on stable storage.
 *
 * Everything in memory is journaled in the order of epochs before write-back may touch it, so a crash at any point
 * leaves a base and a journal that together make up all that was flushed. One append serves all the flushes that came
 * while the last one was under way.
 */
export class Durability {
  #tail: Promise<void> = Promise.resolve();
  #nextFlush: Promise<void> | undefined;
  #journaledUpTo = 0;

  /**
   * @param sealOpen closes the open buffer of each disk as an epoch
   * @param merged settles when the bases hold all journaled epochs, on stable storage
   */
  constructor(
    private readonly journal: Journal,
    private readonly disks: readonly Disk[],
    private readonly sealOpen: () => void,
    private readonly merged: () => Promise<void>,
  ) {}

  /** Makes everything that was written up to now durable. */
  flush(): Promise<void> {
    this.#nextFlush ??= this.#inTurn(async () => {
      this.#nextFlush = undefined;
      this.sealOpen();
      await this.#makeRoom();
      try {
        const upTo = await this.#journalFresh();
        await this.journal.sync();
        this.#journaledUpTo = upTo;
      } catch (error) {
        this.journal.rewind();
        throw error;
      }
    });
    return this.#nextFlush;
  }

  /** Whether the journal holds this epoch on stable storage, so that write-back may have it. */
  isJournaled({ epoch }: CommittedEpoch): boolean {
    return epoch <= this.#journaledUpTo;
  }

  /** Whether something journaled is not in the bases yet. */
  get isMerging(): boolean {
    return this.disks.some(({ committed }) => committed.some((epoch) => this.isJournaled(epoch)));
  }

  /** Empties the journal if the bases hold all of it; call it when they are synced. */
  reset(): Promise<void> {
    return this.#inTurn(() => this.#resetIfMerged());
  }

  async #resetIfMerged(): Promise<void> {
    if (!this.isMerging && this.journal.bytes > 0) await this.journal.reset();
  }

  async #makeRoom(): Promise<void> {
    if (this.journal.bytes <= JOURNAL_BYTES_MAX) return;
    await this.merged();
    await this.#resetIfMerged();
  }

  /** @returns the last epoch that is in the journal now */
  async #journalFresh(): Promise<number> {
    let upTo = this.#journaledUpTo;
    const fresh = this.disks.map(({ committed }) =>
      committed.filter((epoch) => !this.isJournaled(epoch)),
    );
    const epochs = [...new Set(fresh.flat().map(({ epoch }) => epoch))].sort((a, b) => a - b);
    // A write-back that began before the failover may finish meanwhile and let go of what is read here.
    for (const { overlay } of fresh.flat()) overlay.retain();
    try {
      for (const number of epochs) {
        const parts = fresh.flatMap((committed, disk) =>
          committed
            .filter(({ epoch }) => epoch === number)
            .map(({ overlay }) => ({
              disk,
              runs: runsOf([overlay], FRAME_PAYLOAD_MAX, FRAME_ZERO_MAX),
            })),
        );
        await this.journal.append(parts);
        upTo = number;
      }
      return upTo;
    } finally {
      for (const { overlay } of fresh.flat()) overlay.release();
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

/** Memory of what was written since the failover and has still to be journaled: what is open, and what was closed. */
export function unjournaledBytesOf(
  disks: readonly Disk[],
  failoverEpoch: number,
  durability: Durability | undefined,
): number {
  const isLeft = (closed: CommittedEpoch): boolean =>
    closed.epoch > failoverEpoch && durability?.isJournaled(closed) !== true;
  return disks.reduce((sum, disk) => sum + disk.secondaryBytes + disk.committedBytesOf(isLeft), 0);
}
