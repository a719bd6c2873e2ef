import type { CommittedEpoch, Disk } from '../disk/disk.js';
import { runsOf } from '../disk/merge-epochs.js';
import { ReplicaStateError } from '../errors.js';
import { discardJournal, FRAME_PAYLOAD_MAX, FRAME_ZERO_MAX, Journal } from './journal.js';

/** The journal is emptied, through the bases, before it grows beyond this. */
const JOURNAL_BYTES_MAX = 256 * 1024 * 1024;
/** This much that is not journaled yet is journaled without waiting for a flush of the guest. */
const UNJOURNALED_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Where the durability of a failed-over guest stands.
 *
 *   idle       before the failover: nothing here has to be durable
 *   securing   failed over; what the guest had by then is not durable yet
 *   durable    a crash loses nothing that was flushed: base and journal together are the disk
 *   retiring   all of it is in the bases; the state files are about to say so
 *   retired    the bases alone are the disk; the journal is removed
 *   lost       it can't become durable: what was seeded never reached the disk
 *   closed     the replica lets go of its files
 */
export type FailoverPhase =
  'idle' | 'securing' | 'durable' | 'retiring' | 'retired' | 'lost' | 'closed';

/** The phases that may follow each phase. */
export const FAILOVER_JOURNAL_STEPS: Readonly<Record<FailoverPhase, readonly FailoverPhase[]>> = {
  idle: ['securing', 'lost', 'closed'],
  securing: ['durable', 'lost', 'closed'],
  durable: ['retiring', 'closed'],
  retiring: ['securing', 'retired'],
  retired: [],
  lost: ['closed'],
  closed: [],
};

/** What the phases carry. */
type State =
  | { readonly phase: 'idle' }
  /**
   * The journal, once it is created: from the first state file on it must never be created again.
   */
  | { readonly phase: 'securing'; readonly journal: Journal | undefined }
  | { readonly phase: 'durable' | 'retiring' | 'retired'; readonly journal: Journal }
  | { readonly phase: 'lost'; readonly fault: Error }
  | { readonly phase: 'closed'; readonly journal: Journal | undefined };

/** What the failover journal needs of its replica. */
export interface FailoverJournalOptions {
  /** Where its file goes. */
  readonly journal: string;
  readonly uuid: string;
  readonly disks: readonly Disk[];
  /** Bytes of buffers beyond which a flush waits for write-back (I7). */
  readonly memoryBytesMax: number;
  /** Bytes of buffers in use. */
  readonly usedBytes: () => number;
  /** Settles when what was seeded is on stable storage, or is known not to be. */
  readonly seeded: () => Promise<void>;
  /** Closes the open buffers of all disks as one epoch, if something is in them. */
  readonly sealOpen: () => void;
  /** Has the state files say `failed-over`. */
  readonly recordFailover: () => Promise<void>;
  /** How many of a disk's committed epochs a write-back batch holds, from the oldest on. */
  readonly heldEpochs: (disk: Disk) => number;
  /** Write-back has something to do. */
  readonly onBacklog: () => void;
}

/**
 * Durability after failover (invariant I4): a guest's flush is answered when its data is on stable
 * storage.
 *
 * Everything in memory is journaled in the order of epochs before write-back may take it, so a
 * crash at any point leaves a base and a journal that together make up all that was flushed. One
 * append serves all flushes that came during the one before.
 *
 * What each call does in each phase, and the phase that it leads to; a test visits every cell:
 *
 *              begin      lose     secure     flush      settle      close
 *   idle       securing   lost     refused    refused    refused     closed
 *   securing   refused    lost     durable    durable    retired     closed
 *   durable    refused    -        -          journals   retired     closed
 *   retiring   refused    -        -          refused    (joins)     (waits)
 *   retired    refused    -        -          refused    -           -
 *   lost       refused    -        rejects    rejects    rejects     closed
 *   closed     refused    -        refused    refused    refused     -
 *
 * `retiring` lasts as long as the state files are written. If that fails, what they say is unknown:
 * they have to say `failed-over` again before anything counts as durable (`securing`).
 */
export class FailoverJournal {
  #state: State = { phase: 'idle' };
  readonly #options: FailoverJournalOptions;
  /** Everything that touches the journal's file, one after the other. */
  #tail: Promise<void> = Promise.resolve();
  #securing: Promise<void> | undefined;
  #nextFlush: Promise<void> | undefined;
  #settling: Promise<void> | undefined;
  #journaledUpTo = 0;
  /** The last commit before the failover, or the failover itself. */
  #failoverEpoch = 0;
  /** Told when write-back has finished a batch, or never will. */
  #waiters: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(options: FailoverJournalOptions) {
    this.#options = options;
  }

  get phase(): FailoverPhase {
    return this.#state.phase;
  }

  /** Whether the guest may write: not while or after its disk becomes the base alone. */
  get isWritable(): boolean {
    return this.phase !== 'retiring' && this.phase !== 'retired';
  }

  /** Removes the journal of a replica that had these bases before. @throws JournalError */
  discardOld(): Promise<void> {
    return discardJournal(this.#options.journal);
  }

  /** The VM has failed over with this epoch. */
  begin(epoch: number): void {
    if (this.phase !== 'idle') throw this.#refusal('begin a failover');
    this.#failoverEpoch = epoch;
    this.#setState({ phase: 'securing', journal: undefined });
  }

  /** What was seeded is not on the disk: a failover can't become durable any more. */
  lose(fault: Error): void {
    if (this.#state.phase === 'idle' || this.#state.phase === 'securing') {
      this.#setState({ phase: 'lost', fault });
    }
  }

  /** Whether it is of no use to try again what failed with this error. */
  isFinal(error: unknown): boolean {
    return this.#state.phase === 'lost' ? error === this.#state.fault : this.phase === 'closed';
  }

  /**
   * Settles when everything that the guest had at failover is durable. One that failed is tried
   * again by the next call.
   *
   * @throws JournalError, BaseImageError (state files), or why it can never be durable
   */
  secure(): Promise<void> {
    switch (this.#state.phase) {
      case 'durable':
      case 'retiring':
      case 'retired':
        return Promise.resolve();
      case 'lost':
        return Promise.reject(this.#state.fault);
      case 'idle':
      case 'closed':
        return Promise.reject(this.#refusal('make a failover durable'));
      case 'securing':
        this.#securing ??= this.#secure().finally(() => (this.#securing = undefined));
        return this.#securing;
    }
  }

  async #secure(): Promise<void> {
    await this.#options.seeded();
    // Lost or closed in the meantime.
    if (this.phase !== 'securing') return this.secure();
    if (!('journal' in this.#state) || !this.#state.journal) await this.#create();
    // Epochs that have left memory by now are in the bases, on stable storage: each batch ends so.
    await this.#journalOpen();
    await this.#options.recordFailover();
    // If the replica is being closed it is durable all the same.
    if (this.#state.phase !== 'securing' || !this.#state.journal) return;
    this.#setState({ phase: 'durable', journal: this.#state.journal });
    this.#options.onBacklog();
  }

  async #create(): Promise<void> {
    const journal = await Journal.create(this.#options.journal, this.#options.uuid);
    if (this.#state.phase === 'securing') {
      this.#setState({ phase: 'securing', journal });
      return;
    }
    // The replica was closed in the meantime, and knows of no journal to close.
    await journal.close();
    throw this.#refusal('make a failover durable');
  }

  /** Makes everything that was written up to now durable. @throws as secure() */
  async flush(): Promise<void> {
    await this.secure();
    if (!this.isWritable) throw this.#refusal('flush');
    await this.#journalOpen();
  }

  /** Whether the guest's next write has to wait for a flush, so that memory stays bounded (I7). */
  get mustFlush(): boolean {
    const { disks, usedBytes, memoryBytesMax } = this.#options;
    if (usedBytes() > memoryBytesMax) return true;
    const isLeft = (closed: CommittedEpoch): boolean =>
      closed.epoch > this.#failoverEpoch && !this.isJournaled(closed);
    let bytes = 0;
    for (const disk of disks) bytes += disk.secondaryBytes + disk.committedBytesOf(isLeft);
    return bytes > UNJOURNALED_BYTES_MAX;
  }

  /** Whether the journal holds this epoch on stable storage. */
  isJournaled({ epoch }: CommittedEpoch): boolean {
    return epoch <= this.#journaledUpTo;
  }

  /** Whether write-back may take this epoch: before a failover any, then what is journaled. */
  mayWriteBack(epoch: CommittedEpoch): boolean {
    switch (this.#state.phase) {
      case 'idle':
        return true;
      case 'durable':
      case 'retiring':
        return this.isJournaled(epoch);
      case 'securing':
      case 'retired':
      case 'lost':
      case 'closed':
        return false;
    }
  }

  /** Write-back has put a batch on stable storage. @throws JournalError if it can't be emptied */
  async batchWritten(): Promise<void> {
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    if (this.phase === 'durable' || this.phase === 'retiring') {
      await this.#inTurn(() => this.#resetIfMerged());
    }
  }

  /** Settles when `isLeft` is false; asked after each batch. Rejects when the replica is closed. */
  async written(isLeft: () => boolean): Promise<void> {
    while (isLeft()) {
      if (this.phase === 'closed') throw this.#refusal('write back');
      this.#options.onBacklog();
      await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
  }

  /**
   * With the guest stopped: waits until the bases hold everything, then has `recordRetired` write
   * that to the state files. If it fails the guest may go on as before, and settle() be repeated.
   *
   * @param recordRetired writes the state files
   * @param onRetired the step itself, in the same turn as the phase
   */
  settle(recordRetired: () => Promise<void>, onRetired: () => void): Promise<void> {
    if (this.phase === 'retired') return Promise.resolve();
    this.#settling ??= this.#settle(recordRetired, onRetired).finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #settle(recordRetired: () => Promise<void>, onRetired: () => void): Promise<void> {
    const isLeft = (): boolean =>
      this.#options.disks.some((disk) => !disk.isSecondaryEmpty || disk.committed.length > 0);
    do {
      await this.flush();
      await this.written(() => this.#isMerging);
      // Another flush may have sealed more in the meantime, and not have journaled it yet.
    } while (isLeft());
    if (this.#state.phase !== 'durable') throw this.#refusal('settle');
    const { journal } = this.#state;
    this.#setState({ phase: 'retiring', journal });
    try {
      await recordRetired();
    } catch (error) {
      this.#setState({ phase: 'securing', journal });
      throw error;
    }
    this.#setState({ phase: 'retired', journal });
    onRetired();
  }

  /** Rejects what waits for write-back, now and later. Settles when nothing is under way. */
  async close(): Promise<void> {
    if (this.phase === 'retiring') await Promise.allSettled([this.#settling]);
    if (this.#state.phase !== 'retired' && this.#state.phase !== 'closed') {
      const journal = 'journal' in this.#state ? this.#state.journal : undefined;
      this.#setState({ phase: 'closed', journal });
    }
    for (const { reject } of this.#waiters.splice(0)) reject(this.#refusal('write back'));
    await Promise.allSettled([this.#securing, this.#settling]);
    await this.#tail;
  }

  /** Closes the journal's file, and removes it if the bases hold everything. May be repeated. */
  letGo(): Promise<void> {
    return this.#inTurn(async () => {
      if (!('journal' in this.#state)) return;
      const { phase, journal } = this.#state;
      await (phase === 'retired' ? journal.remove() : journal?.close());
    });
  }

  /** Whether something that is journaled is not in the bases yet. */
  get #isMerging(): boolean {
    return this.#options.disks.some(({ committed }) =>
      committed.some((epoch) => this.isJournaled(epoch)),
    );
  }

  /** Closes the open buffers, and journals all that is not journaled yet. */
  #journalOpen(): Promise<void> {
    this.#nextFlush ??= this.#inTurn(async () => {
      this.#nextFlush = undefined;
      const journal = this.#journal;
      this.#options.sealOpen();
      await this.#makeRoom(journal);
      const before = this.#journaledUpTo;
      try {
        const upTo = await this.#append(journal);
        await journal.sync();
        this.#journaledUpTo = upTo;
      } catch (error) {
        journal.rewind();
        throw error;
      }
      if (this.#journaledUpTo === before) return;
      this.#mergeJournaled();
      this.#options.onBacklog();
    });
    return this.#nextFlush;
  }

  /** @returns the last epoch that is in the journal now */
  async #append(journal: Journal): Promise<number> {
    let upTo = this.#journaledUpTo;
    const fresh = this.#options.disks.map(({ committed }) =>
      committed.filter((epoch) => !this.isJournaled(epoch)),
    );
    const epochs = [...new Set(fresh.flat().map(({ epoch }) => epoch))].sort((a, b) => a - b);
    // A write-back that began before the failover may finish and let go of what is read here.
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
        await journal.append(parts);
        upTo = number;
      }
      return upTo;
    } finally {
      for (const { overlay } of fresh.flat()) overlay.release();
    }
  }

  /**
   * Epochs that are journaled and wait for write-back become one: however often the guest flushes
   * while the base is slow or full, reads pass a few layers, and a page is in memory once.
   */
  #mergeJournaled(): void {
    const { disks, heldEpochs } = this.#options;
    for (const disk of disks) {
      disk.mergeCommitted(
        heldEpochs(disk),
        (closed) => closed.epoch > this.#failoverEpoch && this.isJournaled(closed),
      );
    }
  }

  /** With too much in the journal, or in memory, waits until the bases hold what is journaled. */
  async #makeRoom(journal: Journal): Promise<void> {
    const { usedBytes, memoryBytesMax } = this.#options;
    // Nothing is written back before the failover is durable.
    if (this.phase === 'securing') return;
    if (journal.bytes <= JOURNAL_BYTES_MAX && usedBytes() <= memoryBytesMax) return;
    await this.written(() => this.#isMerging);
    await this.#resetIfMerged(journal);
  }

  async #resetIfMerged(journal = this.#journal): Promise<void> {
    if (!this.#isMerging && journal.bytes > 0) await journal.reset();
  }

  get #journal(): Journal {
    const journal = 'journal' in this.#state ? this.#state.journal : undefined;
    if (!journal) throw this.#refusal('journal');
    return journal;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  #setState(to: State): void {
    const from = this.phase;
    if (from !== to.phase && !FAILOVER_JOURNAL_STEPS[from].includes(to.phase)) {
      throw this.#refusal(`become ${to.phase}`);
    }
    this.#state = to;
  }

  #refusal(what: string): ReplicaStateError {
    return new ReplicaStateError(
      'REPLICA_STATE',
      `can't ${what}: the failover journal is ${this.phase}`,
      REMEDIES[this.phase],
    );
  }
}

const REMEDIES: Readonly<Record<FailoverPhase, string>> = {
  idle: 'Fail over first.',
  securing: 'Ask again once the failover is durable.',
  durable: 'It is durable already.',
  retiring: 'Use the base image once the replica is retired.',
  retired: 'Use the base image: it holds everything.',
  lost: 'Seed again.',
  closed: 'Recover the disk with `gannet recover`.',
};
