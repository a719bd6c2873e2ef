// One run: a replica and its write-back (the code that ships, on the simulated loop, files, storage
// daemons and sockets), from the first copy of the primary's disks to the end of the process.

import { WriteBack } from '@gannet/checkpointer';
import { NbdServer } from '@gannet/nbd';
import { recoverBases, Replica } from '@gannet/replicator';
import { Random } from '@gannet/test-support/random.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { mount, SimulatedDisk } from '../disk.js';
import { EventLoop, useLoop } from '../event-loop.js';
import { Violation } from '../guest.js';
import { Waits } from '../waits.js';
import { SimulatedSocket } from '../network.js';
import { BaseFiles } from './base-files.js';
import { FirstCopy } from './first-copy.js';
import { Peer } from './peer.js';
import type { Outcome, Plan } from './plan.js';
import { sendTo, Side } from './side.js';
import type { Sparse } from './sparse.js';
import { StorageHost, useStorageHost } from './storage-host.js';

const PATIENCE_TURNS = 40_000;
const COMMIT_TURNS = 60;
/** Those that a batch holds, the merged one, and those of a flush under way. */
const EPOCHS_MAX = 16;
/** How long a copy is disturbed, so that it ends. */
const DISTURBED_TURNS = 500;

export class World {
  readonly trace: string[] = [];
  readonly #random: Random;
  readonly #loop: EventLoop;
  readonly #waits = new Waits(() => this.#turn(), PATIENCE_TURNS);
  readonly #disk: SimulatedDisk;
  readonly #host: StorageHost;
  readonly #bases: BaseFiles;
  readonly #primary: Side;
  readonly #secondary: Side;
  readonly #sockets: SimulatedSocket[] = [];
  readonly #commits = new Map<number, readonly Sparse[]>();
  #copy: FirstCopy | undefined;
  #replica!: Replica;
  #server!: NbdServer;
  #writeBack!: WriteBack;
  #isProtected = false;
  #isAcknowledged = false;
  #isPrimaryAlive = true;
  #failoverEpoch = 0;
  #failure: Error | undefined;
  constructor(private readonly plan: Plan) {
    this.#random = new Random(plan.seed);
    this.#loop = new EventLoop(this.#random);
    const files = { errors: 0, shortWrites: 0, latencyMs: plan.latencyMs };
    const mutants = { lazySync: false, shortIsWhole: false, lossySpill: false };
    this.#disk = new SimulatedDisk(this.#loop, this.#random, { ...files, ...mutants });
    const { latencyMs } = plan;
    const faults = { errors: 0, hangs: 0, deaths: 0, latencyMs };
    this.#host = new StorageHost(this.#loop, this.#random, faults, (path) =>
      this.#disk.createForOther(path),
    );
    this.#disk.onWrite = (path) => {
      if (!this.#host.isUnlocked(path)) return;
      this.#failure ??= new Violation('lock', `${path} is written, and others may write it too`);
    };
    useLoop(this.#loop);
    useStorageHost(this.#host);
    mount(this.#disk);
    this.#loop.watch(this.#disk);
    this.#loop.watch(this.#host);
    this.#bases = new BaseFiles(plan, this.#random, this.#disk, this.#host);
    const sizes = this.#bases.all.map(({ sizeBytes }) => sizeBytes);
    const longestZero = (disk: number): number => this.#bases.longestZero(disk);
    this.#primary = new Side(this.#random, {
      ...{ name: 'the primary', sizes, longestZero, onError: () => undefined },
    });
    this.#secondary = new Side(this.#random, {
      ...{ name: 'the secondary', sizes, longestZero },
      onError: (what, errno) => this.#onSecondaryError(what, errno),
    });
  }

  async run(): Promise<Outcome> {
    await this.#open();
    await this.#copyDisks();
    if (this.#isProtected) await this.#live();
    await this.#end();
    return {
      turns: this.#loop.turns,
      simulatedMs: this.#loop.nowMs,
      commits: this.#commits.size,
      reads: this.#secondary.reads,
      writes: this.#primary.writes + this.#secondary.writes,
      endState: this.#isProtected ? this.#replica.state : 'never protected',
    };
  }

  async #open(): Promise<void> {
    this.#bases.make();
    this.#replica = await this.#waits.until(
      Replica.open({
        ...{ vm: 'vm', disks: this.#bases.all, journalPath: '/sim/journal' },
        ...{ overwrite: true, lockBases: true },
      }),
    );
    const replica = this.#replica;
    this.#server = new NbdServer({ exports: replica.exports, admission: replica.gate });
    this.#writeBack = new WriteBack({
      target: replica,
      clock: { now: () => performance.now(), sleep: (ms) => sleep(ms) },
      retryMs: 5,
      onEvent: (event) => {
        if (event.kind === 'retry') this.#note(`write-back: ${event.error.message}`);
      },
    });
    replica.on((event) => {
      if (event.kind === 'backlog') this.#writeBack.kick();
      else if (event.kind === 'state') this.#note(`replica: ${event.to} (${event.reason})`);
      else if (event.kind === 'link-lost') this.#note(`replica: link lost (${event.reason})`);
      else if (event.kind === 'trouble') this.#onTrouble(event.error);
    });
    const { errors, hangs, deaths, diskErrors } = this.plan;
    Object.assign(this.#host.faults, { errors, hangs, deaths });
    this.#disk.faults.errors = diskErrors;
  }

  /** The first copy of all disks, and COLO's start. */
  async #copyDisks(): Promise<void> {
    const { plan } = this;
    const connect = (name: string, isExtended: boolean): Peer => this.#connect(name, isExtended);
    const copy = new FirstCopy(
      ...([plan, this.#random, this.#bases.all, connect, this.#primary] as const),
      (what) => this.#note(what),
    );
    this.#copy = copy;
    this.#primary.isRunning = true;
    for (let turn = 0; this.#isCopying || turn <= (plan.linkBreaksAt ?? 0); turn++) {
      if (turn > PATIENCE_TURNS) throw new Violation('progress', `no end: ${String(copy)}`);
      if (turn === plan.linkBreaksAt) copy.breakLinks();
      if (turn < DISTURBED_TURNS) copy.disturb(turn);
      else if (turn === DISTURBED_TURNS) this.#calmDown();
      await this.#turn();
    }
    this.#host.faults.errors = plan.errors;
    await this.#pausePrimary();
    this.#isProtected = this.#commit();
  }

  get #isCopying(): boolean {
    return this.#replica.state !== 'diverged' && this.#copy?.isUnderWay === true;
  }

  /** A guest that zeroes gigabytes again and again, on a base that fails, never lets a copy end. */
  #calmDown(): void {
    this.#host.faults.errors = 0;
    this.#primary.isRunning = false;
  }

  #connect(name: string, isExtended: boolean): Peer {
    const isLocal = name.endsWith('svm');
    const socket = new SimulatedSocket(name, this.#loop, this.#random, isLocal);
    this.#sockets.push(socket);
    const peer = new Peer(socket, name, isExtended);
    this.#server.handle(socket, name);
    return peer;
  }

  /** @returns whether it was one: only if no write can be missing */
  #commit(): boolean {
    const replica = this.#replica;
    const isFirst = this.#commits.size === 0;
    const isWhole = replica.link.loss === undefined && replica.link.isConnected;
    if (!isWhole || replica.state === 'diverged' || this.#copy?.isGivenUp === true) {
      this.#note(`no commit: ${replica.state}, ${replica.link.loss ?? 'not connected'}`);
      replica.diverge('its link is lost');
      return false;
    }
    replica.gate.close();
    const { epoch } = replica.commit();
    replica.gate.open();
    this.#note(`commit ${epoch}`);
    this.#commits.set(
      epoch,
      this.#primary.disks.map((disk) => disk.clone()),
    );
    this.#secondary.disks = this.#primary.disks.map((disk) => disk.clone());
    if (isFirst) this.#connectSecondary();
    return true;
  }

  #connectSecondary(): void {
    const { all } = this.#bases;
    const readers = all.map(({ name }) => {
      return this.#connect(`${all.length === 1 ? '' : `${name}-`}svm`, this.plan.isExtended);
    });
    this.#secondary.readers = readers;
    this.#secondary.senders = readers.map((reader) => (change, done) => {
      if (reader.isOpen) sendTo(reader, change, done);
      else done(-1);
    });
  }

  /** The guests work, and checkpoints happen. */
  async #live(): Promise<void> {
    const { plan } = this;
    const { readers } = this.#secondary;
    const isConnected = (): boolean => readers.every((one) => one?.isOpen === true);
    const isOver = (): boolean => this.#replica.state === 'diverged';
    await this.#waits.untilSo(() => isConnected() || isOver(), 'the secondary is connected');
    this.#secondary.isRunning = true;
    this.#primary.isRunning = true;
    for (let turn = 0; turn < plan.turns && this.#replica.state !== 'diverged'; turn++) {
      if (turn === plan.failoverAt) await this.#failOver();
      else if (this.#isPrimaryAlive && turn % COMMIT_TURNS === 0) await this.#checkpoint();
      await this.#turn();
    }
  }

  async #checkpoint(): Promise<void> {
    this.#secondary.isRunning = false;
    await this.#pausePrimary();
    await this.#waits.untilSo(() => this.#secondary.isIdle, 'the secondary stops');
    if (!this.#commit()) return;
    this.#secondary.isRunning = true;
    this.#primary.isRunning = true;
  }

  async #pausePrimary(): Promise<void> {
    this.#primary.isRunning = false;
    await this.#waits.untilSo(() => this.#primary.isIdle, 'the primary stops');
  }

  async #failOver(): Promise<void> {
    this.#note('the primary dies');
    this.#isPrimaryAlive = false;
    this.#primary.isRunning = false;
    this.#copy?.cut();
    this.#secondary.isRunning = false;
    await this.#waits.untilSo(() => this.#secondary.isIdle, 'the secondary stops');
    const replica = this.#replica;
    if (!replica.mayFailOver) return;
    replica.gate.close();
    this.#failoverEpoch = replica.failOver().epoch;
    replica.gate.open();
    this.#secondary.takeOver();
    this.#secondary.isRunning = true;
    void this.#acknowledge();
  }

  async #acknowledge(): Promise<void> {
    while (this.#replica.state === 'failed-over') {
      const isDone = await this.#replica.failoverDurable().then(
        () => true,
        () => false,
      );
      if (isDone) {
        this.#isAcknowledged = true;
        this.#note('the failover is acknowledged');
        return;
      }
      await sleep(1);
    }
  }

  async #end(): Promise<void> {
    const { end } = this.plan;
    this.#note(`the end: ${end}`);
    if (end === 'settle') return this.#settle();
    if (end === 'close') await this.#close();
    this.#loop.kill();
    this.#disk.onWrite = () => undefined;
    this.#disk.crash(end);
    this.#host.crash(end === 'power');
    await this.#recover();
  }

  /** The move to the local files: the bases alone are the disks. */
  async #settle(): Promise<void> {
    Object.assign(this.#host.faults, { errors: 0, hangs: 0, deaths: 0 });
    this.#disk.faults.errors = 0;
    this.#primary.isRunning = false;
    this.#secondary.isRunning = false;
    await this.#waits.untilSo(() => this.#secondary.isIdle && this.#primary.isIdle, 'all answers');
    if (this.#isProtected && this.#replica.state !== 'diverged') {
      this.#secondary.readEverything();
      await this.#waits.untilSo(() => this.#secondary.isIdle, 'the last answers');
    }
    const { state } = this.#replica;
    if (state === 'failed-over') {
      await this.#waits.until(this.#replica.flush().catch(() => this.#replica.flush()));
      await this.#expectWrittenBack();
      await this.#retire();
    } else if (state === 'protected') await this.#expectWrittenBack();
    await this.#closeAll([() => this.#replica.close()]);
    if (state !== 'failed-over') return;
    this.#bases.expect(this.#secondary.disks);
    // Their state files say so too.
    const refusal = await this.#waits.until(
      recoverBases(this.#bases.all).then(() => undefined, asError),
    );
    if (refusal) throw new Violation('I6 no mistaken base', `retired: ${refusal.message}`);
  }

  async #retire(): Promise<void> {
    this.#disk.faults.errors = this.plan.diskErrors;
    for (let attempt = 1; ; attempt++) {
      if (attempt === 5) this.#disk.faults.errors = 0;
      const error = await this.#waits.until(this.#replica.settle().then(() => undefined, asError));
      if (error === undefined) break;
      this.#note(`no move to the local file: ${error.message}`);
      if (attempt > 20) throw error;
    }
    this.#disk.faults.errors = 0;
  }

  /** Nothing that was committed stays in memory. */
  async #expectWrittenBack(): Promise<void> {
    const isDone = (): boolean => this.#replica.bufferBytes.committed === 0;
    await this.#waits.untilSo(isDone, 'all that was committed is written');
  }

  /** The process ends in good order, with all that is under way. */
  async #close(): Promise<void> {
    const waiters = [
      this.#replica.settle.bind(this.#replica),
      this.#replica.catchUp.bind(this.#replica),
      this.#replica.flush.bind(this.#replica),
    ];
    const waiting = this.#random.chance(0.6) ? [this.#random.pick(waiters)()] : [];
    let ended = 0;
    for (const one of waiting) {
      one.then(
        () => ended++,
        () => ended++,
      );
    }
    for (let turns = this.#random.below(12); turns > 0; turns--) await this.#turn();
    const steps = [() => this.#server.close(), () => this.#replica.close()];
    await this.#closeAll(this.plan.isReplicaFirst ? steps.reverse() : steps);
    await this.#waits.untilSo(() => ended === waiting.length, 'who waits for a closed replica');
  }

  async #closeAll(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
    await this.#waits.until(this.#writeBack.stop());
    for (const step of steps) {
      await this.#waits.until(step());
    }
    this.#disk.onWrite = () => undefined;
    const { openHandles } = this.#disk;
    if (openHandles > 0) throw new Violation('close', `it left ${openHandles} files open`);
    const { daemonCount } = this.#host;
    if (daemonCount > 0) throw new Violation('close', `it left ${daemonCount} storage daemons`);
  }

  /** Its successor recovers what there is. */
  async #recover(): Promise<void> {
    const { state } = this.#replica;
    const isGuests = state === 'failed-over' || state === 'retired';
    Object.assign(this.#host.faults, { errors: 0, hangs: 0, deaths: 0 });
    this.#disk.faults.errors = 0;
    this.#loop.watch(this.#disk);
    this.#loop.watch(this.#host);
    const recovered = await this.#waits.until(
      recoverBases(this.#bases.all, { acceptLastCommit: true }).then(() => undefined, asError),
    );
    if (recovered !== undefined) {
      this.#note(`recovery: ${recovered.message}`);
      if (!this.#isAcknowledged) return;
      throw new Violation('I4 durability', `not recovered: ${recovered.message}`);
    }
    const commit = [...this.#commits.values()].at(-1);
    const isLastCommit = commit !== undefined && this.#bases.are(commit);
    if (!isGuests && !isLastCommit) {
      throw new Violation('I6 no mistaken base', 'bases pass for a last commit and are not');
    }
    if (!isGuests) return;
    // The failover may not have got to the files yet, and the last commit has.
    if (!this.#isAcknowledged && isLastCommit) return;
    for (const [disk] of this.#bases.all.entries()) {
      this.#secondary.checkSurvived(disk, this.#bases.contents(disk));
    }
  }

  /** Nobody can do anything about a file that the replica has closed itself. */
  #onTrouble({ message }: Error): void {
    this.#note(`replica: ${message}`);
    if (!message.includes('EBADF')) return;
    this.#failure ??= new Violation('close', `a false alarm: ${message}`);
  }

  #onSecondaryError(what: string, errno: number): void {
    const { state, reason } = this.#replica;
    const { errors, deaths, diskErrors, end } = this.plan;
    const isExpected = state === 'diverged' || errors + deaths + diskErrors > 0 || errno < 0;
    if (isExpected || end === 'close') return;
    throw new Violation('availability', `${what} failed with ${errno}: ${state}, ${reason}`);
  }

  async #turn(): Promise<void> {
    await this.#loop.turn(() => this.#surroundings());
    if (this.#failure) throw this.#failure;
    if (this.#failoverEpoch > 0) this.#expectFewEpochs();
  }

  /** I7: however often the guest flushes, while its base hangs. */
  #expectFewEpochs(): void {
    const { committed } = this.#replica.disks[0] ?? {};
    const since = committed?.filter(({ epoch }) => epoch > this.#failoverEpoch).length ?? 0;
    if (since <= EPOCHS_MAX) return;
    throw new Violation('I7 bounded memory', `${since} epochs since the failover are in memory`);
  }

  /** Everything outside of the process, a little of it. */
  #surroundings(): void {
    this.#host.act();
    for (let actions = this.#random.below(5); actions > 0; actions--) {
      const roll = this.#random.next();
      if (roll < 0.55) {
        const all = [...this.#sockets, ...this.#host.sockets];
        const moving = all.filter(({ isMoving }) => isMoving);
        if (moving.length > 0) this.#random.pick(moving).move();
      } else if (roll < 0.68 && this.#copy?.isClosing === false) this.#primary.act();
      else if (roll < 0.82) this.#secondary.act();
      else if (roll < 0.97) this.#copy?.act();
      else this.#copy?.strangerActs();
    }
  }

  #note(what: string): void {
    this.trace.push(`${String(this.#loop.turns).padStart(5)}  ${what}`);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
