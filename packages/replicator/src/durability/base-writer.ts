import type { CommittedEpoch, Disk } from '../disk/disk.js';
import { EpochBatch } from '../disk/epoch-batch.js';
import { eachDone, messageOf } from '../io-errors.js';
import type { ReplicaState } from '../replica-state.js';
import { type Basis, BasisKeeper } from './basis.js';
import { LastCommit } from './last-commit.js';
import type { StateFiles } from './state-file.js';

/** What writing to the bases needs of the replica. */
export interface BaseWriterOptions {
  readonly disks: readonly Disk[];
  readonly uuid: string;
  /** What the bases can be brought up to date from, at the beginning. */
  readonly basis: Basis | undefined;
  readonly stateFiles: Pick<StateFiles, 'claim' | 'keepBasis'>;
  /** The last commit. */
  readonly epoch: () => number;
  /** Whether something was committed and the primary is lost, so that nothing more will be. */
  readonly isAlone: () => boolean;
  readonly state: () => ReplicaState;
  readonly mayWriteBack: (epoch: CommittedEpoch) => boolean;
  readonly onKept: () => void;
  readonly onTrouble: (error: unknown) => void;
  /** What was seeded may not be on stable storage. */
  readonly onSeedLost: (error: Error) => void;
  /** A batch is in the bases, on stable storage. */
  readonly onWritten: () => void;
}

/** What is written to the bases once COLO runs, and what they alone are worth. */
export class BaseWriter {
  readonly lastCommit: LastCommit;
  readonly basis: BasisKeeper;
  readonly #options: BaseWriterOptions;
  /** What write-back has under way. */
  #batch: EpochBatch | undefined;
  #seeded: Promise<void> = Promise.resolve();
  #isSeedDurable = false;

  constructor(options: BaseWriterOptions) {
    this.#options = options;
    const { uuid, disks, epoch, state, stateFiles, basis, onKept, onTrouble } = options;
    this.lastCommit = new LastCommit({
      ...{ onKept, onTrouble },
      record: (isLastCommit) => stateFiles.claim(epoch(), isLastCommit),
      isComplete: () => this.#isComplete,
    });
    const kept = {
      ...{ uuid, disks, epoch, onTrouble },
      // In any other state, memory may have been given up without being written.
      isKept: () => state() === 'protected' && this.#isSeedDurable,
      record: (now: Basis | undefined) => stateFiles.keepBasis(now),
    };
    this.basis = new BasisKeeper(kept, basis);
  }

  /** Settles when what was seeded is on stable storage, or known to be lost. */
  seeded(): Promise<void> {
    return this.#seeded;
  }

  /** How many of a disk's committed epochs a batch holds, from the oldest on. */
  heldEpochs(disk: Disk): number {
    return this.#batch?.heldEpochs(disk) ?? 0;
  }

  /** Seeding has ended: what it wrote has to be on stable storage before anything relies on it. */
  seedEnds(): void {
    this.#seeded = this.#syncSeed();
  }

  /** What write-back should write next: everything committed so far. One batch at a time. */
  nextBatch(): EpochBatch | undefined {
    const { disks, mayWriteBack, onWritten } = this.#options;
    // It is asked for after each commit.
    this.basis.consider();
    if (this.#batch || this.#isWorthless) return undefined;
    const upTo = this.#pinned;
    const isNext = (epoch: CommittedEpoch): boolean => epoch.epoch <= upTo && mayWriteBack(epoch);
    const parts = disks
      .map((disk) => ({ disk, epochs: disk.committed.filter(isNext) }))
      .filter(({ epochs }) => epochs.length > 0);
    if (parts.length === 0) return undefined;
    const onEnd = (isWritten: boolean): void => {
      this.#batch = undefined;
      this.dropWorthless();
      if (!isWritten) return;
      this.lastCommit.consider();
      this.basis.consider();
      onWritten();
    };
    const prepared = async (): Promise<void> => {
      await this.#seeded;
      await this.lastCommit.tear();
    };
    this.#batch = new EpochBatch(parts, onEnd, prepared, () => this.#isWorthless);
    return this.#batch;
  }

  /** The last epoch that may be in the next batch: what a snapshot shows goes by itself, first. */
  get #pinned(): number {
    for (const { pin, committed } of this.#options.disks) {
      if (pin !== undefined && committed.some(({ epoch }) => epoch <= pin.epoch)) return pin.epoch;
    }
    return Infinity;
  }

  /** From now on the state files get no claim about the bases: others may have them soon. */
  leave(): void {
    this.lastCommit.close();
    this.basis.close();
  }

  /** Frees what nobody will ever use, once no batch needs it. */
  dropWorthless(): void {
    if (this.#isWorthless && !this.#batch) for (const disk of this.#options.disks) disk.dropAll();
  }

  async #syncSeed(): Promise<void> {
    const { disks, onSeedLost } = this.#options;
    try {
      await eachDone(disks.map((disk) => () => disk.base.sync()));
      const lost = disks.find(({ base }) => base.losses > 0);
      if (lost) throw new Error(`some of disk ${lost.name} was lost before it was synced`);
      this.#isSeedDurable = true;
      this.basis.consider();
      this.lastCommit.consider();
    } catch (error) {
      onSeedLost(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  get #isWorthless(): boolean {
    return this.#options.state() === 'diverged' && this.lastCommit.phase === 'spent';
  }

  /** Whether the bases are the disks as of the last commit. */
  get #isComplete(): boolean {
    const isPending = this.#options.disks.some(({ committed }) => committed.length > 0);
    return this.#options.isAlone() && this.#isSeedDurable && !this.#batch && !isPending;
  }
}
