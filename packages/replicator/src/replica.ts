import { randomUUID } from 'node:crypto';
import type { NbdExport } from '@gannet/nbd';
import { ReplicaBuffers } from './disk/buffers.js';
import { type BufferBytes, type CommitCounts, Disk, sumOf } from './disk/disk.js';
import type { EpochBatch } from './disk/epoch-batch.js';
import { BaseWriter } from './durability/base-writer.js';
import { FailoverJournal } from './durability/failover-journal.js';
import { GuestFlushes } from './durability/guest-flushes.js';
import { StateFiles } from './durability/state-file.js';
import { type BaseImageError, ReplicaStateError, type SpillError } from './errors.js';
import { Gate } from './gate.js';
import { allDone } from './io-errors.js';
import { SlabPool } from './memory/slab-pool.js';
import { type CommitResult, type ReplicaEvent, ReplicaEvents } from './replica-events.js';
import { openFiles, type ReplicaFiles } from './replica-files.js';
import {
  checkOptions,
  journalPathOf,
  type MemoryLimits,
  memoryOf,
  type ReplicaOptions,
  snapshotOf,
} from './replica-options.js';
import { isGuestsDisk, LEGAL_STEPS, type ReplicaState } from './replica-state.js';
import { exportsOf } from './sessions/export-list.js';
import { PrimaryLink } from './sessions/primary-link.js';
import type { SessionHost } from './sessions/session-host.js';
import { Snapshots } from './snapshot/snapshots.js';

/**
 * The secondary host's copy of one VM's disks. All its disks commit, fail over and diverge
 * together, in one turn of the event loop, behind one gate.
 */
export class Replica implements SessionHost {
  readonly gate = new Gate();
  readonly uuid = randomUUID();
  readonly link: PrimaryLink;
  readonly exports: readonly NbdExport[];
  readonly snapshots: Snapshots;
  readonly memory: MemoryLimits;
  readonly basis: BaseWriter['basis'];
  readonly #buffers: ReplicaBuffers;
  readonly #events = new ReplicaEvents();
  readonly #stateFiles: StateFiles;
  readonly #failover: FailoverJournal;
  readonly #writer: BaseWriter;
  readonly #flushes: GuestFlushes;
  #state: ReplicaState = 'seeding';
  #reason = 'waiting for the first copy';
  #epoch = 0;
  #closing: Promise<void> | undefined;
  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close();

  private constructor(
    readonly vm: string,
    readonly disks: readonly Disk[],
    pool: SlabPool,
    options: ReplicaOptions,
    private readonly files: ReplicaFiles,
  ) {
    this.memory = memoryOf(options);
    if (options.onEvent) this.#events.on(options.onEvent);
    const emit = (event: ReplicaEvent): void => this.#events.emit(event);
    const report = (error: unknown): void => this.#events.report(error);
    const own = { uuid: this.uuid, disks, journal: journalPathOf(options) };
    this.#stateFiles = new StateFiles({ ...own, vm, images: options.disks }, files.basis);
    this.#failover = new FailoverJournal({
      ...{ ...own, memoryBytesMax: this.memory.hardBytes },
      usedBytes: () => pool.usedBytes,
      seeded: () => this.#writer.seeded(),
      sealOpen: () => this.#sealOpen(),
      recordFailover: async () => {
        await this.#stateFiles.write('failed-over', this.#epoch);
        this.#writer.lastCommit.replaced();
      },
      heldEpochs: (disk) => this.#writer.heldEpochs(disk),
      onBacklog: () => emit({ kind: 'backlog' }),
    });
    this.#writer = new BaseWriter({
      ...{ disks, uuid: this.uuid, basis: files.basis, stateFiles: this.#stateFiles },
      ...{ state: () => this.#state, epoch: () => this.#epoch, isAlone: () => this.#isAlone },
      mayWriteBack: (epoch) => this.#failover.mayWriteBack(epoch),
      onKept: () => emit({ kind: 'last-commit-kept', epoch: this.#epoch }),
      onTrouble: report,
      onSeedLost: (error) => {
        this.#failover.lose(error);
        this.outdate(`what was seeded may not be on the disk: ${error.message}`);
      },
      onWritten: () => {
        this.#buffers.hasShrunk();
        this.#failover.batchWritten().catch(report);
      },
    });
    this.basis = this.#writer.basis;
    const hasFailedOver = (): boolean => this.#state === 'failed-over';
    this.#flushes = new GuestFlushes({ journal: this.#failover, hasFailedOver, emit, report });
    const names = disks.map(({ name }) => name);
    this.link = new PrimaryLink(names, (reason) => {
      if (this.#state === 'protected') emit({ kind: 'link-lost', reason });
      this.#writer.lastCommit.consider();
    });
    this.#buffers = new ReplicaBuffers({
      ...{ pool, disks, limits: this.memory, link: this.link, emit, report },
      ...{ state: () => this.#state, spillFile: files.spillFile },
    });
    this.snapshots = new Snapshots(this, pool, snapshotOf(options), emit);
    this.exports = [...exportsOf(this, disks), ...this.snapshots.exports];
  }

  /**
   * Opens the base images and declares them `seeding`: nobody may boot what they hold.
   *
   * @throws ConfigurationError REPLICA_OPTIONS
   * @throws BaseImageError if a base is missing, in use, or may hold the only copy of a disk
   * @throws SpillError REPLICA_SPILL_IO if the spill file can't be made
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    checkOptions(options);
    const pool = new SlabPool(memoryOf(options).hardBytes);
    let replica: Replica | undefined;
    const files = await openFiles(options, {
      onTrouble: (error) => replica && replica.#onBaseTrouble(error),
      onLost: (error) => replica && replica.#onSpillLost(error),
    });
    try {
      const disks = files.bases.map((on, at) => new Disk(options.disks[at]?.name ?? '', on, pool));
      replica = new Replica(options.vm, disks, pool, options, files);
      await replica.#failover.discardOld();
      await replica.#stateFiles.write(replica.#state, 0);
      return replica;
    } catch (error) {
      await files.close();
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

  /** Of the last commit; 0 before COLO starts. */
  get epoch(): number {
    return this.#epoch;
  }

  get bufferBytes(): BufferBytes {
    return this.#buffers.bytes;
  }

  /** Bytes that are in the spill file, not in memory. */
  get spilledBytes(): number {
    return this.files.spillFile?.usedBytes ?? 0;
  }

  /** How many answers to writes were delayed so far because memory was short. */
  get slowedWrites(): number {
    return this.#buffers.slowedWrites;
  }

  /** Whether the SVM may take over with what is here (I5). */
  get mayFailOver(): boolean {
    return this.#state === 'protected';
  }

  /** The primary is lost, and nobody has taken over yet: this may be the only copy of the VM. */
  get isWaiting(): boolean {
    return this.#state === 'protected' && this.link.loss !== undefined;
  }

  /** Whether the bases hold the last commit, so that it would survive the end of this process. */
  get isLastCommitKept(): boolean {
    return this.#writer.lastCommit.phase === 'on-disk';
  }

  /** Whether the secondary VM's writes are not answered until it stops, for lack of memory. */
  get areWritesHeld(): boolean {
    return this.#buffers.areWritesHeld;
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
   * A checkpoint (or COLO's start), with the gate closed: P is committed, S dropped, on all disks.
   *
   * @throws ReplicaStateError REPLICA_STATE
   */
  commit(): CommitResult {
    this.#expectGateClosed('commit');
    this.#expectSealed();
    if (this.#state === 'seeding') {
      this.#setState('protected', 'COLO has started');
      this.#writer.seedEnds();
    }
    this.#expect('protected', 'commit');
    const result = this.#step((disk, epoch) => disk.commit(epoch));
    this.link.epochBegins();
    this.#buffers.epochBegins();
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
    this.#buffers.answerAll();
    this.#setState('failed-over', 'the secondary VM has taken over');
    const result = this.#step((disk, epoch) => disk.failOver(epoch));
    this.failoverDurable().catch(() => undefined);
    return result;
  }

  /** The secondary VM has stopped, or resumed. One that stops waits for all of its answers. */
  secondaryRuns(isRunning: boolean): void {
    this.#buffers.secondaryRuns(isRunning);
  }

  /** Answers the writes that are held so far, and holds later ones. */
  answerHeld(): void {
    this.#buffers.answerHeld();
  }

  /**
   * Gives the replica up: its I/O fails, it never takes over, and it has to be seeded again (I5).
   * What was committed still gets to the bases: it may be the only copy of the disks.
   */
  diverge(reason: string): void {
    if (!LEGAL_STEPS[this.#state].includes('diverged')) return;
    if (this.#epoch === 0) this.#writer.lastCommit.giveUp(reason);
    this.#setState('diverged', reason);
    this.#buffers.answerAll();
    for (const disk of this.disks) disk.dropOpen();
    this.#writer.dropWorthless();
    this.#writer.lastCommit.consider();
    this.#events.emit({ kind: 'backlog' });
  }

  /** Diverges, and what was committed is of no use either: the primary has continued without it. */
  outdate(reason: string): void {
    if (isGuestsDisk(this.#state) || this.#writer.lastCommit.phase === 'spent') return;
    this.#writer.lastCommit.giveUp(reason);
    if (this.#state !== 'diverged') return this.diverge(reason);
    this.#writer.dropWorthless();
    this.#record('diverged');
  }

  /** This process is about to cut the primary off: from now on it claims nothing new. */
  leave(): void {
    this.#writer.leave();
  }

  /**
   * With the primary lost: settles when the bases hold the last commit, so that the end of this
   * process does not lose it. Write-back has to run.
   *
   * @throws Error if nothing was committed, or the primary has continued without this replica
   */
  lastCommitKept(): Promise<void> {
    return this.#writer.lastCommit.kept();
  }

  /**
   * Settles when a crash of this process would lose nothing that the guest had at failover. Only
   * then has a failover been acknowledged (I4).
   *
   * @throws JournalError or BaseImageError if a file can't be written: call it again
   */
  async failoverDurable(): Promise<void> {
    this.#expect('failed-over', 'wait for a durable failover');
    await this.#flushes.secure();
  }

  /**
   * After failover: settles when everything written before is durable.
   *
   * @throws JournalError or BaseImageError if a file can't be written: call it again
   */
  async flush(): Promise<void> {
    this.#expect('failed-over', 'flush');
    await this.#flushes.flush();
  }

  /** A guest's flush: retried until it works, as a disk that hangs would. */
  flushForGuest(): Promise<void> {
    return this.#flushes.flushForGuest();
  }

  /** After failover, after each write: whether it must wait for a flush, to bound memory (I7). */
  mustFlush(): boolean {
    return this.#flushes.mustFlush();
  }

  /** What write-back should write next: everything committed so far. One batch at a time. */
  nextBatch(): EpochBatch | undefined {
    return this.#writer.nextBatch();
  }

  /** After failover: writes all that is in memory now, so that settle() has less to do. */
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
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#buffers.answerAll();
    this.#flushes.close();
    this.leave();
    await this.#failover.close();
    await this.#stateFiles.idle();
    await this.#letGo();
  }

  async #letGo(): Promise<void> {
    await this.snapshots.close();
    const bases = this.disks.map((disk) => disk.base.close());
    await allDone([
      this.#failover.letGo(),
      Promise.resolve(this.files.spillFile?.close()),
      ...bases,
    ]);
  }

  /** Before failover, after each buffered write: keeps the memory within its limits (I7). */
  admitGrowth(bytes: number): void | Promise<void> {
    return this.#state === 'failed-over' ? undefined : this.#buffers.charge(bytes);
  }

  /** A write of the first copy failed. The primary is told less than is known here. */
  seedFailed(error: unknown): void {
    this.#events.report(error);
  }

  /** Something was committed, and no primary adds to it. */
  get #isAlone(): boolean {
    const isHere = this.#state === 'protected' || this.#state === 'diverged';
    return isHere && this.#epoch > 0 && this.link.loss !== undefined;
  }

  #step(change: (disk: Disk, epoch: number) => CommitCounts): CommitResult {
    this.#epoch++;
    const counts = sumOf(this.disks.map((disk) => change(disk, this.#epoch)));
    return { epoch: this.#epoch, ...counts, unflushedWrites: this.link.writesSinceFlush };
  }

  #sealOpen(): void {
    if (this.disks.every((disk) => disk.isSecondaryEmpty)) return;
    this.#epoch++;
    for (const disk of this.disks) disk.sealSecondary(this.#epoch);
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
    if (this.#state !== 'protected' && this.#state !== 'diverged') return;
    // What is in the bases already is whole.
    if (this.isLastCommitKept) this.diverge(error.message);
    else this.outdate(error.message);
  }

  #setState(to: ReplicaState, reason: string): void {
    const from = this.#state;
    if (!LEGAL_STEPS[from].includes(to)) refuse(`a ${from} replica can't be ${to}`, 'Seed again.');
    this.#state = to;
    this.#reason = reason;
    // What these two promise has to be made true first: their state files are written then.
    if (!isGuestsDisk(to)) this.#record(to);
    this.#events.emit({ kind: 'state', from, to, reason });
  }

  #record(state: ReplicaState): void {
    const written = this.#stateFiles.write(state, this.#epoch, this.isLastCommitKept);
    written.catch((error: unknown) => this.#events.report(error));
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
    if (this.#closing) refuse(`can't ${what}: the replica is closed`, 'Open it again.');
    if (!this.gate.isClosed) refuse(`can't ${what} with the gate open`, 'Close it.');
  }
}

function refuse(message: string, remedy: string): never {
  throw new ReplicaStateError('REPLICA_STATE', message, remedy);
}
