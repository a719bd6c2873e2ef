import { randomUUID } from 'node:crypto';
import type { NbdExport } from '@gannet/nbd';
import { bufferBudget } from './disk/buffer-budget.js';
import { type BufferBytes, bufferBytesOf, type CommitCounts, Disk } from './disk/disk.js';
import { EpochBatch } from './disk/epoch-batch.js';
import { FailoverJournal } from './durability/failover-journal.js';
import { checkBeforeSeeding } from './durability/recovery.js';
import { ChangeReporter, RetryingFlush } from './durability/retrying-flush.js';
import { StateFiles } from './durability/state-file.js';
import { type BaseImageError, ReplicaStateError, SpillError } from './errors.js';
import { Gate } from './gate.js';
import type { OpenBase } from './images/base-image.js';
import { openBase } from './images/open-base.js';
import { allDone, messageOf } from './io-errors.js';
import type { MemoryBudget } from './memory/memory-budget.js';
import { SlabPool } from './memory/slab-pool.js';
import { openSpillFile, type SpillFile } from './memory/spill-file.js';
import { type CommitResult, type ReplicaEvent, ReplicaEvents } from './replica-events.js';
import {
  checkOptions,
  type DiskOptions,
  journalPathOf,
  type MemoryLimits,
  memoryOf,
  type ReplicaOptions,
  spillOf,
} from './replica-options.js';
import { LEGAL_STEPS, type ReplicaState } from './replica-state.js';
import { exportsOf } from './sessions/export-list.js';
import { PrimaryLink } from './sessions/primary-link.js';
import type { SessionHost } from './sessions/session-host.js';

/**
 * The secondary host's copy of one VM's disks. All its disks commit, fail over and diverge
 * together, in one turn of the event loop, behind one gate.
 */
export class Replica implements SessionHost {
  readonly gate = new Gate();
  readonly uuid = randomUUID();
  readonly link: PrimaryLink;
  readonly exports: readonly NbdExport[];
  readonly memory: MemoryLimits;
  readonly #pool: SlabPool;
  readonly #budget: MemoryBudget;
  readonly #events = new ReplicaEvents();
  readonly #stateFiles: StateFiles;
  readonly #failover: FailoverJournal;
  readonly #guestFlushes: RetryingFlush;
  readonly #flushTrouble = new ChangeReporter((error) => {
    if (error) this.#events.report(error);
    this.#events.emit({ kind: 'flush', trouble: error?.message });
  });
  #state: ReplicaState = 'seeding';
  #reason = 'waiting for the first copy';
  #epoch = 0;
  #hasGuestWritten = false;
  /** What write-back has under way. */
  #batch: EpochBatch | undefined;
  /** Settles when what was seeded is on stable storage, or known to be lost. */
  #seeded: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

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
    if (options.onEvent) this.#events.on(options.onEvent);
    this.#budget = bufferBudget({
      ...{ pool, disks, limits: this.memory, spillFile },
      isSpillWanted: () => this.#state === 'protected',
      onSpillTrouble: (error) => {
        if (error) this.#events.report(error);
        this.#events.emit({ kind: 'spill', trouble: error?.message });
      },
      onPressure: (usedBytes) => {
        const { softBytes } = this.memory;
        this.#events.emit({ kind: 'memory-pressure', usedBytes, softBytes });
      },
      onFull: () => this.#giveUpForMemory(),
    });
    const own = { uuid: this.uuid, disks, journal: journalPathOf(options) };
    this.#stateFiles = new StateFiles({ ...own, vm, images });
    this.#failover = new FailoverJournal({
      ...{ ...own, memoryBytesMax: this.memory.hardBytes },
      usedBytes: () => pool.usedBytes,
      seeded: () => this.#seeded,
      sealOpen: () => this.#sealOpen(),
      recordFailover: () => this.#stateFiles.write('failed-over', this.#epoch),
      heldEpochs: (disk) => this.#batch?.heldEpochs(disk) ?? 0,
      onBacklog: () => this.#events.emit({ kind: 'backlog' }),
    });
    this.#guestFlushes = new RetryingFlush({
      flush: () => this.flush(),
      mayRetry: (error) => {
        const isFinal = this.#failover.isFinal(error) || error instanceof SpillError;
        return this.#state === 'failed-over' && !isFinal;
      },
    });
    const names = disks.map(({ name }) => name);
    this.link = new PrimaryLink(names, (reason) => {
      if (this.#state === 'protected') this.#events.emit({ kind: 'link-lost', reason });
    });
    this.exports = exportsOf(this, disks);
  }

  /**
   * Opens the base images and declares them `seeding`: whatever they held is given up.
   *
   * @throws ConfigurationError REPLICA_OPTIONS
   * @throws BaseImageError if a base is missing, in use, or may hold the only copy of a disk
   * @throws SpillError REPLICA_SPILL_IO if the spill file can't be made
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
      await replica.#failover.discardOld();
      await replica.#stateFiles.write(replica.#state, 0);
      return replica;
    } catch (error) {
      await Promise.allSettled([...bases.map((base) => base.close()), spillFile?.close()]);
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

  /** How many answers to writes were delayed so far because memory was short. */
  get slowedWrites(): number {
    return this.#budget.slowedWrites;
  }

  /** Whether the SVM may take over with what is here (I5). */
  get mayFailOver(): boolean {
    return this.#state === 'protected';
  }

  /** Whether the disks are being handed over to the base images: the guest must not write. */
  get isRetiring(): boolean {
    return this.#failover.phase === 'retiring';
  }

  /** @returns unsubscribes */
  on(listener: (event: ReplicaEvent) => void): () => void {
    return this.#events.on(listener);
  }

  /**
   * A checkpoint (or COLO's start): P becomes committed, S is dropped, on all disks. Call it with
   * the gate closed.
   *
   * @throws ReplicaStateError REPLICA_STATE
   */
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
    this.#events.emit({ kind: 'backlog' });
    return result;
  }

  /**
   * The SVM takes over: P is dropped, S is the disk. Call it with the gate closed.
   *
   * @throws ReplicaStateError REPLICA_STATE
   */
  failOver(): CommitResult {
    this.#expectGateClosed('fail over');
    this.#expect('protected', 'fail over');
    this.#failover.begin(this.#epoch + 1);
    this.#setState('failed-over', 'the secondary VM has taken over');
    const result = this.#step((disk, epoch) => disk.failOver(epoch));
    this.failoverDurable().catch(() => undefined);
    return result;
  }

  /**
   * Gives the replica up: from now on its I/O fails, it never takes over, and it has to be seeded
   * again (I5). After a failover, or once it is given up, it does nothing.
   */
  diverge(reason: string): void {
    if (!LEGAL_STEPS[this.#state].includes('diverged')) return;
    this.#setState('diverged', reason);
    if (!this.#batch) for (const disk of this.disks) disk.dropAll();
  }

  /**
   * Settles when a crash of this process would lose nothing that the guest had at failover. Only
   * then has a failover been acknowledged (I4).
   *
   * @throws JournalError or BaseImageError if a file can't be written: call it again
   */
  async failoverDurable(): Promise<void> {
    this.#expect('failed-over', 'wait for a durable failover');
    await this.#watched(this.#failover.secure());
  }

  /**
   * After failover: settles when everything written before is durable.
   *
   * @throws JournalError or BaseImageError if a file can't be written: call it again
   */
  async flush(): Promise<void> {
    this.#expect('failed-over', 'flush');
    await this.#watched(this.#failover.flush());
  }

  /** A guest's flush: retried until it works, as a disk that hangs would. */
  flushForGuest(): Promise<void> {
    return this.#guestFlushes.flush();
  }

  /** After failover, after each write: whether it must wait for a flush, to bound memory (I7). */
  mustFlush(): boolean {
    if (!this.#hasGuestWritten) {
      this.#hasGuestWritten = true;
      this.#events.emit({ kind: 'first-write' });
    }
    return this.#failover.mustFlush;
  }

  /** What write-back should write next: everything committed so far. One batch at a time. */
  nextBatch(): EpochBatch | undefined {
    if (this.#batch || this.#state === 'diverged') return undefined;
    const parts = this.disks
      .map((disk) => ({
        disk,
        epochs: disk.committed.filter((epoch) => this.#failover.mayWriteBack(epoch)),
      }))
      .filter(({ epochs }) => epochs.length > 0);
    if (parts.length === 0) return undefined;
    const onEnd = (isWritten: boolean): void => {
      this.#batch = undefined;
      if (this.#state === 'diverged') for (const disk of this.disks) disk.dropAll();
      if (!isWritten) return;
      this.#failover.batchWritten().catch((error: unknown) => this.#events.report(error));
    };
    this.#batch = new EpochBatch(parts, onEnd, this.#seeded, () => this.#state === 'diverged');
    return this.#batch;
  }

  /**
   * After failover, with the guest running: puts what is in memory now into the bases, so that
   * settle() has less to do while the guest is stopped.
   */
  async catchUp(): Promise<void> {
    this.#expect('failed-over', 'catch up');
    await this.flush();
    const upTo = this.#epoch;
    await this.#failover.written(() =>
      this.disks.some((disk) => (disk.committed[0]?.epoch ?? upTo + 1) <= upTo),
    );
  }

  /**
   * After failover, with the guest stopped: puts everything into the base images, and closes them.
   * From then on the base alone is the guest's disk. If it fails, the guest may run on, and it can
   * be called again.
   *
   * @throws JournalError or BaseImageError if a file can't be written
   * @throws ReplicaStateError REPLICA_STATE, also if the replica is closed in the meantime
   */
  async settle(): Promise<void> {
    if (this.#state !== 'retired') {
      this.#expect('failed-over', 'settle');
      await this.#failover.settle(
        () => this.#stateFiles.write('retired', this.#epoch),
        () => this.#setState('retired', 'the base holds everything'),
      );
    }
    await this.#letGo();
  }

  /** Closes all files. Buffers are lost; the state files keep saying what the bases are worth. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#budget.release();
    this.#guestFlushes.close();
    await this.#failover.close();
    await this.#stateFiles.idle();
    await this.#letGo();
  }

  #letGo(): Promise<void> {
    const bases = this.disks.map((disk) => disk.base.close());
    return allDone([this.#failover.letGo(), Promise.resolve(this.spillFile?.close()), ...bases]);
  }

  /** Before failover, after each buffered write: keeps the memory within its limits (I7). */
  admitGrowth(bytes: number): void | Promise<void> {
    return this.#state === 'failed-over' ? undefined : this.#budget.charge(bytes);
  }

  /** A write of the first copy failed. The primary is told less than is known here. */
  seedFailed(error: unknown): void {
    this.#events.report(error);
  }

  /** First P goes, with the protection: the SVM can still take over with the last commit. */
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
    const unflushedWrites = this.link.writesSinceFlush;
    return { epoch: this.#epoch, committedPages, droppedPages, unflushedWrites };
  }

  #sealOpen(): void {
    if (this.disks.every((disk) => disk.isSecondaryEmpty)) return;
    this.#epoch++;
    for (const disk of this.disks) disk.sealSecondary(this.#epoch);
  }

  /** Reports when flushes begin to fail, and when they work again. */
  #watched(flushed: Promise<void>): Promise<void> {
    return this.#flushTrouble.watch(flushed, () => this.#failover.phase !== 'closed');
  }

  /** Seeding has ended: what it wrote has to be on stable storage before anything relies on it. */
  async #syncSeed(): Promise<void> {
    try {
      await allDone(this.disks.map((disk) => disk.base.sync()));
      const lost = this.disks.find(({ base }) => base.losses > 0);
      if (lost) throw new Error(`some of disk ${lost.name} was lost before it was synced`);
    } catch (error) {
      this.#failover.lose(error instanceof Error ? error : new Error(messageOf(error)));
      this.diverge(`what was seeded may not be on the disk: ${messageOf(error)}`);
    }
  }

  /** A base can't be reached, or has lost what was written to it. Write-back writes it again. */
  #onBaseTrouble(error: BaseImageError): void {
    this.#events.report(error);
    const isLost = this.disks.some(({ base }) => base.losses > 0);
    if (isLost && this.#state === 'seeding') this.diverge(`seeding failed: ${error.message}`);
  }

  /** Some of what is committed, or would be, is gone: nobody may take over with the rest (I5). */
  #onSpillLost(error: SpillError): void {
    this.#events.report(error);
    if (this.#state === 'protected') this.diverge(error.message);
  }

  #setState(to: ReplicaState, reason: string): void {
    const from = this.#state;
    if (!LEGAL_STEPS[from].includes(to)) {
      refuse(`a replica that is ${from} can't become ${to}`, 'Seed again.');
    }
    this.#state = to;
    this.#reason = reason;
    // What these two promise has to be made true first: their state files are written then.
    if (to !== 'failed-over' && to !== 'retired') {
      const written = this.#stateFiles.write(to, this.#epoch);
      written.catch((error: unknown) => this.#events.report(error));
    }
    this.#events.emit({ kind: 'state', from, to, reason });
  }

  #expect(state: ReplicaState, what: string): void {
    if (this.#state === state) return;
    const message = `can't ${what}: the replica is ${this.#state} (${this.#reason})`;
    refuse(message, this.#state === 'diverged' ? 'Seed again.' : `It has to be ${state}.`);
  }

  /** A copy that may break and be resumed could lack a write at this very moment (I5). */
  #expectSealed(): void {
    const disk = this.link.unsealed;
    if (this.#state !== 'seeding' || disk === undefined) return;
    const message = `can't commit: the primary has not linked disk ${disk} after copying it`;
    refuse(message, 'Open its export for the link once the copy is complete.');
  }

  #expectGateClosed(what: string): void {
    if (!this.gate.isClosed) refuse(`can't ${what} with the gate open`, 'Close it.');
  }
}

function refuse(message: string, remedy: string): never {
  throw new ReplicaStateError('REPLICA_STATE', message, remedy);
}
