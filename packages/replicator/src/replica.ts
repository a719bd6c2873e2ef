import { randomUUID } from 'node:crypto';
import type { NbdExport } from '@gannet/nbd';
import type { OpenBase } from './images/base-image.js';
import { type BufferBytes, bufferBytesOf, type CommitCounts, Disk } from './disk/disk.js';
import { Durability, unjournaledBytesOf } from './durability/durability.js';
import { BaseImageError, ReplicaStateError, ReplicatorError, SpillError } from './errors.js';
import { exportsOf } from './sessions/export-list.js';
import { Gate } from './gate.js';
import { Journal } from './durability/journal.js';
import { messageOf } from './io-errors.js';
import { MemoryBudget } from './memory/memory-budget.js';
import { openBase } from './images/open-base.js';
import { RetryingFlush, ChangeReporter } from './durability/retrying-flush.js';
import { PrimaryLink } from './sessions/primary-link.js';
import { checkBeforeSeeding } from './durability/recovery.js';
import type { CommitResult, ReplicaEvent } from './replica-events.js';
import {
  checkOptions,
  type DiskOptions,
  journalPathOf,
  type MemoryLimits,
  memoryOf,
  type ReplicaOptions,
  spillOf,
} from './replica-options.js';
import { SlabPool } from './memory/slab-pool.js';
import { openSpillFile, type SpillFile } from './memory/spill-file.js';
import { Spill } from './disk/spill.js';
import { LEGAL_STEPS, type ReplicaState } from './replica-state.js';
import { StateFiles } from './durability/state-file.js';
import { EpochBatch } from './disk/epoch-batch.js';

/** After failover, this much unflushed data is sealed and journaled without waiting for a flush. */
const UNFLUSHED_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The secondary host's copy of one VM's disks. All its disks commit, fail over and diverge together, in one turn of
 * the event loop, behind one gate.
 */
export class Replica {
  readonly gate = new Gate();
  readonly uuid = randomUUID();
  readonly link: PrimaryLink;
  readonly exports: readonly NbdExport[];
  readonly memory: MemoryLimits;
  readonly guestFlushes: RetryingFlush;
  readonly #pool: SlabPool;
  readonly #budget: MemoryBudget;
  readonly #journalPath: string;
  readonly #listeners = new Set<(event: ReplicaEvent) => void>();
  #state: ReplicaState = 'seeding';
  #reason = 'waiting for the first copy';
  #epoch = 0;
  #firstWriteTold = false;
  #batchUnderWay = false;
  /** From the failover on. */
  #journaling: Durability | undefined;
  /** The same, from when the failover is durable: write-back waits for it. */
  #durability: Durability | undefined;
  #journal: Journal | undefined;
  /** Settles when everything that the guest had at failover is durable; a failure is forgotten, to be tried again. */
  #failoverDurable: Promise<void> | undefined;
  /** Settles when it is known whether what seeding wrote, which nobody has in memory, is on stable storage. */
  #seeded: Promise<void> = Promise.resolve();
  /** It is not, and never will be. */
  #seedFault: Error | undefined;
  #mergeWaiters: (() => void)[] = [];
  readonly #stateFiles: StateFiles;
  /** The last commit before the failover, or that itself. */
  #failoverEpoch = 0;
  readonly #flushing = new ChangeReporter((error) => {
    if (error) this.#report(error);
    this.#emit({ kind: 'flush', trouble: error?.message });
  });

  private constructor(
    readonly vm: string,
    readonly disks: readonly Disk[],
    images: readonly DiskOptions[],
    pool: SlabPool,
    options: ReplicaOptions,
    private readonly spillFile: SpillFile | undefined,
  ) {
    this.#pool = pool;
    this.memory = memoryOf(options);
    const spill =
      spillFile &&
      new Spill({
        ...{ file: spillFile, pool, disks, limits: this.memory },
        isWanted: () => this.#state === 'protected',
        onTrouble: (error) => this.#onSpillTrouble(error),
      });
    this.#budget = new MemoryBudget({
      pool,
      limits: this.memory,
      now: () => performance.now(),
      after: (ms, callback) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
      openBytes: () => this.bufferBytes.primary + this.bufferBytes.secondary,
      onPressure: (usedBytes) => {
        const { softBytes } = this.memory;
        this.#emit({ kind: 'memory-pressure', usedBytes, softBytes });
      },
      onSpill: spill && (() => spill.kick()),
      onFull: () => this.#giveUpForMemory(),
    });
    this.#journalPath = journalPathOf(options);
    const [uuid, journal] = [this.uuid, this.#journalPath];
    this.#stateFiles = new StateFiles({ vm, uuid, disks, images, journal });
    this.guestFlushes = new RetryingFlush({
      flush: () => this.flush(),
      mayRetry: (error) => {
        const isForGood = error === this.#seedFault || error instanceof SpillError;
        return this.#state === 'failed-over' && !isForGood;
      },
    });
    if (options.onEvent) this.#listeners.add(options.onEvent);
    const names = disks.map(({ name }) => name);
    this.link = new PrimaryLink(names, (reason) => {
      if (this.#state === 'protected') this.#emit({ kind: 'link-lost', reason });
    });
    this.exports = exportsOf(this, disks);
  }

  /**
   * Opens the base images and declares them `seeding`: whatever they held is given up.
   *
   * @throws BaseImageError when a base is missing, in the way, or may hold the only copy of somebody's disk
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    checkOptions(options);
    const pool = new SlabPool(memoryOf(options).hardBytes);
    const bases: OpenBase[] = [];
    let replica: Replica | undefined;
    let spillFile: SpillFile | undefined;
    const onTrouble = (error: BaseImageError): void => {
      if (replica) replica.#onBaseTrouble(error);
    };
    const onLost = (error: SpillError): void => {
      if (replica) replica.#onSpillLost(error);
    };
    try {
      const spill = spillOf(options);
      spillFile = spill && (await openSpillFile(options.vm, { ...spill, onLost }));
      for (const disk of options.disks) {
        const base = await openBase(disk, { lock: options.lockBases, onTrouble });
        bases.push(base);
        await checkBeforeSeeding(options.vm, disk, base, options.overwrite ?? false);
      }
      const disks = bases.map((base, at) => new Disk(options.disks[at]?.name ?? '', base, pool));
      replica = new Replica(options.vm, disks, options.disks, pool, options, spillFile);
      await replica.#stateFiles.write(replica.#state, 0);
      return replica;
    } catch (error) {
      await Promise.all([...bases.map((base) => base.close()), spillFile?.close()]);
      throw error;
    }
  }

  get state(): ReplicaState {
    return this.#state;
  }

  /** Why the replica is in its state, for people. */
  get reason(): string {
    return this.#reason;
  }

  /** Number of the last committed epoch; 0 before COLO starts. */
  get epoch(): number {
    return this.#epoch;
  }

  get bufferBytes(): BufferBytes {
    return bufferBytesOf(this.disks);
  }

  /** Bytes that are in the spill file, not in memory. */
  get spilledBytes(): number {
    return this.spillFile?.usedBytes ?? 0;
  }

  /** Writes whose answer was held back for want of memory, ever. */
  get slowedWrites(): number {
    return this.#budget.slowedWrites;
  }

  /** Whether the SVM may take over with what is here (I5). */
  get mayFailOver(): boolean {
    return this.#state === 'protected';
  }

  on(listener: (event: ReplicaEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A checkpoint (or COLO's start): P becomes committed, S is dropped, on all disks. Call with the gate closed. */
  commit(): CommitResult {
    this.#expectGateClosed('commit');
    this.#expectSealed();
    if (this.#state === 'seeding') {
      this.#setState('protected', 'COLO has started');
      this.#seeded = this.#syncSeed();
    }
    this.#expect('protected', 'commit');
    const result = this.#step((disk, epoch) => disk.commit(epoch));
    this.link.epochBegins();
    this.#budget.epochBegins();
    this.#pool.trim();
    return result;
  }

  /** The SVM takes over: P is dropped, S is the disk. Call with the gate closed. */
  failOver(): CommitResult {
    this.#expectGateClosed('fail over');
    this.#expect('protected', 'fail over');
    this.#setState('failed-over', 'the secondary VM has taken over');
    const result = this.#step((disk, epoch) => disk.failOver(epoch));
    this.#failoverEpoch = this.#epoch;
    this.#beDurable().catch(() => undefined);
    return result;
  }

  /** Gives the replica up: its I/O fails from here on, it never takes over, it has to be seeded again (I5). */
  diverge(reason: string): void {
    if (this.#state === 'diverged' || this.#state === 'failed-over' || this.#state === 'retired') {
      return;
    }
    this.#setState('diverged', reason);
    for (const disk of this.disks) if (!this.#batchUnderWay) disk.dropAll();
  }

  /**
   * Settles when a crash of this process would lose nothing that the guest had at failover; then, and not before, a
   * failover has been acknowledged (I4).
   */
  async failoverDurable(): Promise<void> {
    this.#expect('failed-over', 'wait for a durable failover');
    await this.#beDurable();
  }

  flushForGuest(): Promise<void> {
    return this.guestFlushes.flush();
  }

  /** After failover: what was written is durable. A guest's flush takes its time: see `guestFlushes`. */
  async flush(): Promise<void> {
    this.#expect('failed-over', 'flush');
    await this.#beDurable();
    await this.#flushing.watch(this.#durability?.flush());
  }

  /** After failover, after each write: whether it has to wait for a flush, so that buffers stay bounded (I7). */
  mustFlush(): boolean {
    if (!this.#firstWriteTold) {
      this.#firstWriteTold = true;
      this.#emit({ kind: 'first-write' });
    }
    const bytes = unjournaledBytesOf(this.disks, this.#failoverEpoch, this.#journaling);
    return bytes > UNFLUSHED_BYTES_MAX;
  }

  /** What the next write-back should write: everything committed so far. One batch at a time. */
  nextBatch(): EpochBatch | undefined {
    if (this.#batchUnderWay || this.#state === 'diverged') return undefined;
    const durability = this.#durability;
    if (this.#state === 'failed-over' && !durability) return undefined;
    const parts = this.disks
      .map((disk) => ({
        disk,
        epochs: durability
          ? disk.committed.filter((epoch) => durability.isJournaled(epoch))
          : [...disk.committed],
      }))
      .filter(({ epochs }) => epochs.length > 0);
    if (parts.length === 0) return undefined;
    this.#batchUnderWay = true;
    const onEnd = (isWritten: boolean): void => {
      this.#batchUnderWay = false;
      if (this.#state === 'diverged') for (const disk of this.disks) disk.dropAll();
      if (!isWritten) return;
      for (const resolve of this.#mergeWaiters.splice(0)) resolve();
      if (durability) void durability.reset().catch((error: unknown) => this.#report(error));
    };
    return new EpochBatch(parts, onEnd, this.#seeded, () => this.#state === 'diverged');
  }

  /** After failover, with the guest running: puts into the bases what is in memory now, so that less is left to settle. */
  async catchUp(): Promise<void> {
    this.#expect('failed-over', 'catch up');
    await this.flush();
    const upTo = this.#epoch;
    await this.#written(() =>
      this.disks.some((disk) => (disk.committed[0]?.epoch ?? upTo + 1) <= upTo),
    );
  }

  /**
   * After failover, with the guest stopped: puts everything into the base images, and lets go of them. From then on
   * the base alone is the guest's disk.
   */
  async settle(): Promise<void> {
    this.#expect('failed-over', 'settle');
    do {
      await this.flush();
      await this.#merged();
      // A flush of somebody else's may have sealed more meanwhile, and not have journaled it yet.
    } while (this.disks.some((disk) => !disk.isSecondaryEmpty || disk.committed.length > 0));
    this.#setState('retired', 'the base holds everything');
    await this.#stateFiles.write(this.#state, this.#epoch);
    await this.#journal?.remove();
    await this.spillFile?.close();
    await Promise.all(this.disks.map((disk) => disk.base.close()));
  }

  /** Lets go of files. Buffers are lost; state files keep saying what the bases are worth. */
  async close(): Promise<void> {
    this.#budget.release();
    this.guestFlushes.close();
    await this.#stateFiles.idle();
    await this.#failoverDurable?.catch(() => undefined);
    if (this.#state === 'retired') return;
    await this.#journal?.close();
    await this.spillFile?.close();
    await Promise.all(this.disks.map((disk) => disk.base.close()));
  }

  /**
   * Called by sessions after each buffered write: keeps the memory within its limits (I7). The promise, if any, is to
   * settle before the write is answered.
   */
  admitGrowth(bytes: number): void | Promise<void> {
    return this.#state === 'failed-over' ? undefined : this.#budget.charge(bytes);
  }

  /** Called by sessions: a base does not take what is copied to it. The primary is told less than is known here. */
  seedFailed(error: unknown): void {
    this.#report(error);
  }

  /** First P goes, with the protection: the SVM can still take over with the last commit. Then the replica. */
  #giveUpForMemory(): void {
    const reason = `the buffers passed their hard limit of ${this.memory.hardBytes} bytes`;
    if (this.link.loss === undefined) this.link.lose(reason);
    for (const disk of this.disks) disk.dropPrimary();
    if (this.#pool.usedBytes > this.memory.hardBytes) this.diverge(reason);
    this.#budget.release();
  }

  #step(change: (disk: Disk, epoch: number) => CommitCounts): CommitResult {
    this.#epoch++;
    let committedPages = 0;
    let droppedPages = 0;
    for (const disk of this.disks) {
      const counts = change(disk, this.#epoch);
      committedPages += counts.committedPages;
      droppedPages += counts.droppedPages;
    }
    if (this.#state === 'protected') this.#emit({ kind: 'backlog' });
    const unflushedWrites = this.link.writesSinceFlush;
    return { epoch: this.#epoch, committedPages, droppedPages, unflushedWrites };
  }

  #beDurable(): Promise<void> {
    this.#failoverDurable ??= this.#flushing
      .watch(this.#makeFailoverDurable())
      .catch((error: unknown) => {
        this.#failoverDurable = undefined;
        throw error;
      });
    return this.#failoverDurable;
  }

  async #makeFailoverDurable(): Promise<void> {
    await this.#seeded;
    if (this.#seedFault) throw this.#seedFault;
    this.#journal ??= await Journal.create(this.#journalPath, this.uuid);
    // Kept for another try: from the first state file on, the journal must never be made anew.
    this.#journaling ??= new Durability(
      this.#journal,
      this.disks,
      () => this.#sealOpen(),
      () => this.#merged(),
    );
    // Epochs that have left memory before now are in the bases, on stable storage: each batch ends so.
    await this.#journaling.flush();
    await this.#stateFiles.write(this.#state, this.#epoch);
    this.#durability = this.#journaling;
    this.#emit({ kind: 'backlog' });
  }

  #sealOpen(): void {
    if (this.disks.every((disk) => disk.isSecondaryEmpty)) return;
    this.#epoch++;
    for (const disk of this.disks) disk.sealSecondary(this.#epoch);
    this.#emit({ kind: 'backlog' });
  }

  /** Seeding has ended: what it wrote has to be on stable storage before anything relies on it. */
  async #syncSeed(): Promise<void> {
    try {
      await Promise.all(this.disks.map((disk) => disk.base.sync()));
      const lost = this.disks.find(({ base }) => base.losses > 0);
      if (lost) throw new Error(`some of disk ${lost.name} was lost before it was synced`);
    } catch (error) {
      this.#seedFault = error instanceof Error ? error : new Error(messageOf(error));
      this.diverge(`what was seeded may not be on the disk: ${messageOf(error)}`);
    }
  }

  /** A base can't be reached, or has lost what was written to it. What write-back wrote, it writes again. */
  #onBaseTrouble(error: BaseImageError): void {
    this.#report(error);
    const isLost = this.disks.some(({ base }) => base.losses > 0);
    if (isLost && this.#state === 'seeding') this.diverge(`seeding failed: ${error.message}`);
  }

  #onSpillTrouble(error: SpillError | undefined): void {
    if (error) this.#report(error);
    this.#emit({ kind: 'spill', trouble: error?.message });
  }

  /** What was committed, or would have been, is gone: nobody may take over with the rest (I5). */
  #onSpillLost(error: SpillError): void {
    this.#report(error);
    if (this.#state === 'protected') this.diverge(error.message);
  }

  #merged(): Promise<void> {
    return this.#written(() => this.#durability?.isMerging === true);
  }

  async #written(isLeft: () => boolean): Promise<void> {
    while (isLeft()) {
      this.#emit({ kind: 'backlog' });
      await new Promise<void>((resolve) => this.#mergeWaiters.push(resolve));
    }
  }

  #setState(to: ReplicaState, reason: string): void {
    const from = this.#state;
    if (!LEGAL_STEPS[from].includes(to)) {
      throw new ReplicaStateError(
        'REPLICA_STATE',
        `a replica that is ${from} can't become ${to}`,
        'Seed again.',
      );
    }
    this.#state = to;
    this.#reason = reason;
    // Before these two, what they promise has to be made true: their state files are written then.
    if (to !== 'failed-over' && to !== 'retired') {
      const written = this.#stateFiles.write(to, this.#epoch);
      written.catch((error: unknown) => this.#report(error));
    }
    this.#emit({ kind: 'state', from, to, reason });
  }

  #expect(state: ReplicaState, what: string): void {
    if (this.#state === state) return;
    throw new ReplicaStateError(
      'REPLICA_STATE',
      `can't ${what}: the replica is ${this.#state} (${this.#reason})`,
      this.#state === 'diverged' ? 'Seed again.' : `It has to be ${state}.`,
    );
  }

  /** A copy that may break and be resumed could lack a write at this very moment (I5). */
  #expectSealed(): void {
    const disk = this.link.unsealed;
    if (this.#state !== 'seeding' || disk === undefined) return;
    throw new ReplicaStateError(
      'REPLICA_STATE',
      `can't commit: the primary has not linked disk ${disk} after copying it`,
      'Open its export for the link once the copy is complete.',
    );
  }

  #expectGateClosed(what: string): void {
    if (this.gate.isClosed) return;
    throw new ReplicaStateError('REPLICA_STATE', `can't ${what} with the gate open`, 'Close it.');
  }

  #report(error: unknown): void {
    const known =
      error instanceof ReplicatorError
        ? error
        : new ReplicatorError('REPLICA_BASE_IO', messageOf(error), 'See the log.', {
            cause: error,
          });
    this.#emit({ kind: 'trouble', error: known });
  }

  #emit(event: ReplicaEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
