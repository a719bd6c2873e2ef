// One run: the process under test (replicator, checkpointer, driver: the code that ships, on the
// simulated loop, disk and sockets), the two guests, COLO between them, and what goes wrong.

import { Checkpointer, type CheckpointEvent, ColoSource, WriteBack } from '@gannet/checkpointer';
import { NbdServer } from '@gannet/nbd';
import { QmpColoMonitor, SecondaryDriver } from '@gannet/qmp-driver';
import { recoverBases, Replica } from '@gannet/replicator';
import { QmpClient } from 'qemu-qmp-client';
import { setTimeout as sleep } from 'node:timers/promises';
import { ColoPair } from './colo.js';
import { Commits } from './commits.js';
import { mount, SimulatedDisk } from './disk.js';
import { EventLoop, useLoop } from './event-loop.js';
import { Guest, Violation } from './guest.js';
import { Waits } from './waits.js';
import { applyMutant } from './mutants.js';
import { NbdPeer } from './nbd-peer.js';
import { SimulatedSocket } from './network.js';
import type { Outcome } from './outcome.js';
import { faultsOf, memoryOf, type Plan } from './plan.js';
import { Random } from '@gannet/test-support/random.js';

const DISK_BYTES = 6 * 4096;
const PATIENCE_TURNS = 20_000;

export class Cluster {
  readonly trace: string[] = [];
  readonly #random: Random;
  readonly #loop: EventLoop;
  readonly #waits = new Waits(() => this.#turn(), PATIENCE_TURNS);
  readonly #disk: SimulatedDisk;
  readonly #sockets: SimulatedSocket[] = [];
  readonly #primary: Guest;
  readonly #secondary: Guest;
  readonly #bases: { name: string; base: string; sizeBytes: number }[];
  #replica!: Replica;
  #server!: NbdServer;
  #writeBack!: WriteBack;
  #checkpointer!: Checkpointer;
  #qmpSocket!: SimulatedSocket;
  #colo!: ColoPair;
  #areQemusThere = false;
  #driver!: SecondaryDriver;
  #qmp!: QmpClient;
  readonly #commits: Commits;
  #holds = 0;
  #isProcessAlive = true;
  #wasLinkCut = false;
  /** The link was given up because memory was full. */
  #wasFull = false;
  #isAcknowledged = false;
  #isResidual = false;
  readonly #commitsBehindCut = new Set<'certain' | 'provisional'>();
  #spilledBytes = 0;
  /** How many failovers the operator is at. */
  #operations = 0;
  #isOperatorTold = false;

  constructor(private readonly plan: Plan) {
    this.#random = new Random(plan.seed);
    this.#loop = new EventLoop(this.#random);
    this.#disk = new SimulatedDisk(this.#loop, this.#random, faultsOf(plan));
    useLoop(this.#loop);
    mount(this.#disk);
    this.#loop.watch(this.#disk);
    const common = { diskCount: plan.diskCount, diskBytes: DISK_BYTES };
    this.#primary = new Guest(this.#random, {
      ...common,
      ...{ name: 'the primary', reads: false, onError: () => undefined },
    });
    this.#secondary = new Guest(this.#random, {
      ...common,
      ...{ name: 'the secondary', reads: true },
      onError: (what, errno) => this.#onSecondaryError(what, errno),
    });
    this.#bases = Array.from({ length: plan.diskCount }, (_, at) => {
      return { name: `d${at}`, base: `/sim/d${at}`, sizeBytes: DISK_BYTES };
    });
    this.#commits = new Commits(
      this.#disk,
      this.#bases.map(({ base }) => base),
    );
  }

  async run(): Promise<Outcome> {
    try {
      await this.#protect();
      await this.#live();
      await this.#end();
    } catch (error) {
      const isI5 = error instanceof Violation && error.invariant.startsWith('I5');
      if (!(error instanceof Violation && this.#isResidual) || isI5) throw error;
      this.#note(`residual: ${error.message}`);
    }
    return {
      turns: this.#loop.turns,
      simulatedMs: this.#loop.nowMs,
      checkpoints: this.#colo.checkpoints,
      reads: this.#secondary.reads,
      writes: this.#primary.writes + this.#secondary.writes,
      spilledBytes: this.#spilledBytes,
      holds: this.#holds,
      endState: this.#isProcessAlive ? this.#replica.state : 'crashed',
      isResidual: this.#isResidual,
    };
  }

  /** Starts the process, connects the two QEMUs, begins the copy. */
  async #protect(): Promise<void> {
    this.#replica = await this.#waits.until(
      Replica.open({
        ...{ vm: 'vm', disks: this.#bases, journalPath: '/sim/journal' },
        memory: memoryOf(this.plan),
      }),
    );
    const replica = this.#replica;
    this.#server = new NbdServer({ exports: replica.exports, admission: replica.gate });
    this.#writeBack = new WriteBack({
      target: replica,
      clock: { now: () => performance.now(), sleep: (ms) => sleep(ms) },
      retryMs: 5,
    });
    replica.on((event) => {
      if (event.kind === 'backlog') this.#writeBack.kick();
      else if (event.kind === 'state') this.#note(`replica: ${event.to} (${event.reason})`);
      else if (event.kind === 'link-lost') this.#lostPrimary(event.reason);
      else if (event.kind === 'writes-held') void this.#hold();
    });
    this.#qmpSocket = new SimulatedSocket('qmp', this.#loop, this.#random, true);
    this.#sockets.push(this.#qmpSocket);
    this.#colo = new ColoPair(
      ...[this.#random, this.#primary, this.#secondary, this.#qmpSocket],
      ...[this.plan, (what: string) => this.#note(what)],
    );
    this.#areQemusThere = true;
    const target = { kind: 'stream', stream: this.#qmpSocket } as const;
    const qmp = await this.#waits.until(
      QmpClient.connect({ target, idPrefix: 'sim', connectTimeoutMs: 0 }),
    );
    this.#qmp = qmp;
    this.#driver = new SecondaryDriver(qmp, { pollMs: 2 });
    const monitor = applyMutant(this.plan.mutant, new QmpColoMonitor(qmp), replica);
    this.#checkpointer = new Checkpointer({
      source: new ColoSource(monitor, {
        isHolding: () => replica.gate.waiting > 0 || replica.areWritesHeld,
      }),
      ...{ replica, now: () => performance.now() },
      onEvent: (event) => this.#onCheckpoint(event),
    });
    this.#checkpointer.start();
    qmp.onEvent('COLO_EXIT', () => void this.#operate());
    for (const [at] of this.#bases.entries()) {
      this.#connect(this.#primary, at, 'pvm', false);
      this.#connect(this.#secondary, at, 'svm', true);
    }
    await this.#waits.untilSo(
      () => [...this.#primary.peers, ...this.#secondary.peers].every((peer) => peer?.isOpen),
      'the exports are open',
    );
    this.#primary.isRunning = true;
    for (let turn = 0; turn < 40; turn++) await this.#turn();
    this.#disk.faults.errors = this.plan.diskErrors;
    this.#colo.start();
  }

  #connect(guest: Guest, disk: number, side: string, isLocal: boolean): void {
    const prefix = this.plan.diskCount === 1 ? '' : `d${disk}-`;
    const socket = new SimulatedSocket(`${prefix}${side}`, this.#loop, this.#random, isLocal);
    this.#sockets.push(socket);
    guest.peers[disk] = new NbdPeer(socket, `${prefix}${side}`);
    this.#server.handle(socket, socket.name);
  }

  /** The guests work, checkpoints happen, and at its time comes what the plan holds. */
  async #live(): Promise<void> {
    const { plan } = this;
    for (let turn = 0; turn < plan.turns; turn++) {
      if (turn === plan.linkCutAt) this.#cutLink();
      if (turn === plan.primaryDiesAt) this.#killPrimary();
      if (turn === plan.secondaryDiesAt) this.#killSecondary();
      if (turn === plan.processDiesAt) return;
      if (turn === plan.foreignFailoverAt) this.#colo.foreignFailover();
      await this.#turn();
      this.#spilledBytes = Math.max(this.#spilledBytes, this.#replica.spilledBytes);
    }
  }

  /** As if the guest had long written on: nobody decides for hours. */
  #lostPrimary(reason: string): void {
    this.#note(`replica: link lost (${reason})`);
    this.#wasFull ||= reason.includes('hard limit');
    if (this.plan.waits) Object.assign(this.#replica.memory, { softBytes: 1, hardBytes: 1 });
  }

  /** The daemon stops the guest; or its QEMU does not answer. */
  async #hold(): Promise<void> {
    this.#holds++;
    this.#note('replica: writes are held');
    const { drainsBeforeStop } = this.plan;
    if (!drainsBeforeStop && this.#random.chance(0.3)) return;
    const stopping = { isDone: false };
    this.#qmp
      .execute('stop', undefined, { timeoutMs: 2000 })
      .catch((error: unknown) => this.#note(`stop: ${String(error)}`))
      .finally(() => (stopping.isDone = true));
    // No STOP says when the guest waits for its answers: WaitingCopy gives them until it is done.
    while (drainsBeforeStop && !stopping.isDone) {
      this.#replica.answerHeld();
      await sleep(5);
    }
  }

  #cutLink(): void {
    this.#note('the link of the primary is cut, and nothing else');
    this.#wasLinkCut = true;
    const peers = this.#random.chance(0.5) ? this.#primary.peers : this.#primary.peers.slice(0, 1);
    this.#cut(peers);
  }

  #killPrimary(): void {
    this.#note('the primary dies');
    this.#colo.killPrimary();
    this.#cut(this.#primary.peers);
  }

  #killSecondary(): void {
    if (this.#colo.hasFailedOver) return;
    this.#note('the secondary dies');
    this.#colo.phase = 'over';
    this.#secondary.isRunning = false;
    this.#cut(this.#secondary.peers);
    this.#qmpSocket.cut('fin');
  }

  #cut(peers: readonly (NbdPeer | undefined)[]): void {
    for (const peer of peers) {
      peer?.socket.cut(this.#random.pick(['fin', 'reset']));
      peer?.lose();
    }
  }

  async #end(): Promise<void> {
    if (this.plan.processDiesAt !== undefined) return this.#crash();
    this.#disk.faults.errors = 0;
    // A failover that is due, or under way, comes to its end.
    await this.#waits.untilSo(() => {
      const isDue = !this.#colo.primaryIsAlive && this.#colo.isInColo && !this.#isOperatorTold;
      const isOver = this.#colo.phase === 'over' || !isDue;
      return isOver && this.#operations === 0 && !this.#colo.failoverRequested;
    }, 'the failover');
    this.#primary.isRunning = false;
    this.#colo.pause();
    this.#colo.phase = 'over';
    await this.#waits.untilSo(() => this.#secondary.isIdle, 'the last answers');
    this.#expectState();
    await this.#expectLastCommit();
    if (this.#isUsable) await this.#readEverything();
    if (this.#replica.state === 'failed-over') await this.#settle();
  }

  get #isUsable(): boolean {
    const { state } = this.#replica;
    return (state === 'protected' || state === 'failed-over') && !this.#qmpSocket.isCut;
  }

  /** Being always diverged would be safe, and of no use. */
  #expectState(): void {
    const { plan } = this;
    const { state, reason } = this.#replica;
    const isExcused =
      this.#wasLinkCut ||
      this.#colo.wasMeddledWith ||
      plan.secondaryDiesAt !== undefined ||
      /seed(ing failed|ed may not)/.test(reason) ||
      // A failover before QEMU could answer, or before the checkpoint that would have settled it.
      /stopped again before QEMU answered|unknown which RESUME it was/.test(reason) ||
      // Writes come faster than a failing or slow disk takes what is spilled.
      (plan.spills && (this.#wasFull || reason.includes('hard limit')));
    // Until the first checkpoint is over, nothing is protected, and nobody has been told so.
    const wasProtected = this.#colo.checkpoints > (this.#colo.primaryIsAlive ? 0 : 1);
    if (isExcused || !wasProtected || state !== 'diverged') return;
    throw new Violation('availability', `the replica gave up for nothing: ${reason}`);
  }

  async #readEverything(): Promise<void> {
    for (const [disk] of this.#bases.entries()) {
      for (let offset = 0; offset < DISK_BYTES; offset += 4096) {
        this.#secondary.read({ disk, offset, length: 4096 });
        await this.#waits.untilSo(() => this.#secondary.isIdle, 'a read');
      }
    }
  }

  /** The move to the local file: the bases alone are the disks. */
  async #settle(): Promise<void> {
    try {
      await this.#waits.until(this.#replica.settle());
    } catch (error) {
      // A sync that failed once is never trusted again: every later flush fails.
      if (this.plan.diskErrors === 0) throw error;
      return this.#note(`no move to the local file: ${String(error)}`);
    }
    for (const [disk, { base }] of this.#bases.entries()) {
      const found = this.#disk.contents(base);
      if (found?.equals(this.#secondary.disks[disk] as Buffer)) continue;
      throw new Violation('I3 failover', `after the move, ${base} is not what the guest had`);
    }
  }

  /** The process dies, perhaps with its host; its successor recovers what there is. */
  async #crash(): Promise<void> {
    const { state } = this.#replica;
    this.#note(`the replicator ends (${this.plan.crash}), ${state}`);
    if (this.plan.crash === 'close') await this.#close();
    this.#isProcessAlive = false;
    this.#loop.kill();
    this.#disk.crash(this.plan.crash);
    Object.assign(this.#disk.faults, { errors: 0, shortWrites: 0 });
    this.#loop.watch(this.#disk);
    const { kept } = this.#commits;
    const recovered = await this.#waits.until(
      recoverBases(this.#bases, { acceptLastCommit: true }).catch(
        (error: unknown) => error as Error,
      ),
    );
    if (recovered instanceof Error) {
      this.#note(`recovery: ${recovered.message}`);
      if (!this.#isAcknowledged) return;
      throw new Violation('I4 durability', `not recovered: ${recovered.message}`);
    }
    if (kept !== undefined && !this.#isAcknowledged) {
      if (!this.#isResidual) this.#commits.expectInBases(kept);
      return;
    }
    if (state !== 'failed-over' && state !== 'retired') {
      throw new Violation('I6 no mistaken base', `a base that was ${state} passes for a disk`);
    }
    for (const [disk, { base }] of this.#bases.entries()) {
      this.#secondary.checkSurvived(disk, this.#disk.contents(base) ?? Buffer.alloc(0));
    }
  }

  /** As the daemon does it; whatever is under way, it ends, and leaves no file open. */
  async #close(): Promise<void> {
    this.#secondary.isDoomed = !this.#secondary.durable;
    this.#checkpointer.stop();
    await this.#waits.until(this.#writeBack.stop());
    await this.#waits.until(this.#server.close().then(() => this.#replica.close()));
    const { openHandles } = this.#disk;
    if (openHandles > 0) throw new Violation('close', `it left ${openHandles} files open`);
  }

  /** With its primary lost, a copy that nobody has decided about gets to the bases. */
  async #expectLastCommit(): Promise<void> {
    const replica = this.#replica;
    const isHere = replica.state === 'protected' || replica.state === 'diverged';
    const { epoch } = replica;
    if (!isHere || epoch === 0 || replica.link.loss === undefined) return;
    const isKept = await this.#waits.until(
      replica.lastCommitKept().then(
        () => true,
        // Outdated since, or some of it was lost.
        () => false,
      ),
    );
    if (!isKept && replica.isWaiting) throw new Violation('availability', 'the copy is not kept');
    // A failover that somebody else asked for may have come in the meantime.
    const hasStayed = replica.epoch === epoch;
    if (isKept && hasStayed && !this.#isResidual) this.#commits.expectInBases(epoch);
  }

  /** Who watches over the secondary: takes over when its primary is gone. */
  async #operate(): Promise<void> {
    this.#isOperatorTold = true;
    this.#operations++;
    await this.#takeOver().finally(() => {
      this.#operations--;
    });
  }

  async #takeOver(): Promise<void> {
    await sleep(this.#random.next() * (this.plan.waits ? 60 : 20));
    if (!this.#replica.mayFailOver || this.#colo.primaryIsAlive) return;
    this.#replica.secondaryRuns(false);
    await this.#driver.failOver({ timeoutMs: 2000 }).catch((error: unknown) => {
      this.#note(`failover: ${String(error)}`);
    });
    for (let attempt = 0; attempt < 50 && this.#replica.state === 'failed-over'; attempt++) {
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

  #onCheckpoint(event: CheckpointEvent): void {
    this.#note(`checkpointer: ${event.kind}`);
    if (event.kind === 'doubt') this.#secondary.isInDoubt = true;
    if (event.kind === 'commit') this.#commits.add(event.epoch, this.#colo.loaded);
    if (event.kind !== 'commit' || !this.#wasLinkCut || this.#primary.lostWrites === 0) return;
    // Known and written down. One commit while the end of a link that broke alone is on its way, or
    // waits behind the gate; and one where the end arrives in the middle of a checkpoint, which
    // looks like a primary that dies there.
    const kind = event.provisional ? 'provisional' : 'certain';
    if (this.#commitsBehindCut.has(kind)) {
      throw new Violation('I5 no silent divergence', `two ${kind} commits behind a lost link`);
    }
    this.#commitsBehindCut.add(kind);
    this.#isResidual = true;
  }

  #onSecondaryError(what: string, errno: number): void {
    const { state, reason } = this.#replica;
    const isExpected = state === 'diverged' || this.plan.diskErrors > 0 || errno < 0;
    // Nothing of a secondary's is taken before it is known that COLO has started. The next
    // checkpoint replaces it.
    const isUnknown = state === 'seeding' && this.#secondary.isInDoubt;
    if (isExpected || isUnknown) return;
    throw new Violation('availability', `${what} failed with ${errno}: ${state}, ${reason}`);
  }

  async #turn(): Promise<void> {
    await this.#loop.turn(() => this.#surroundings());
  }

  /** Everything outside of the process, a little of it. */
  #surroundings(): void {
    for (let actions = this.#random.below(4); actions > 0; actions--) {
      const roll = this.#random.next();
      if (roll < 0.4) {
        const moving = this.#sockets.filter(({ isMoving }) => isMoving);
        if (moving.length > 0) this.#random.pick(moving).move();
      } else if (roll < 0.55) this.#primary.act();
      else if (roll < 0.7) this.#secondary.act();
      else if (this.#areQemusThere) this.#colo.step();
    }
  }

  #note(what: string): void {
    this.trace.push(`${String(this.#loop.turns).padStart(5)}  ${what}`);
  }
}
