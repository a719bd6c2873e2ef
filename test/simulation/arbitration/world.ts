// One run: two hosts, a network between them, a pair of QEMUs, and on each host the daemon that
// ships. Steps of the plan happen to them; in the end all is healed, and the pair has to find its
// way, alone or with the commands that an operator has.

import { Random } from '@gannet/test-support/random.js';
import { Checker, type SeenGuest, Violation } from './checker.js';
import { Colo } from './vm/colo.js';
import { DaemonRun, type RoleName } from './daemon-run.js';
import { type FenceRun, Host } from './host.js';
import { type HostName, Network } from './network.js';
import { usePeers } from './peer-socket.js';
import type { Command, Plan, Step } from './plan.js';
import { type DiskFault, SimulatedQemu } from './vm/qemu.js';
import { useBases } from './vm/replica.js';
import { Process, Scheduler } from './scheduler.js';

/** How a run has ended. */
export interface Outcome {
  readonly callbacks: number;
  readonly simulatedMs: number;
  readonly checkpoints: number;
  readonly takeovers: number;
  readonly fences: number;
  readonly commands: number;
  /** How often an operator has overruled something, and how often both sides then knew it. */
  readonly overrulings: number;
  readonly settled: number;
  readonly splitMs: number;
  readonly longestContactMs: number;
  readonly reprotects: number;
  readonly diskErrors: number;
  /**
   * Who has made a guest run in the end: nobody had to, the VM was started, an operator's command,
   * one with force; or its disks are on the secondary host, and are recovered there by hand.
   */
  readonly end: 'itself' | 'reboot' | 'operator' | 'force' | 'recover';
}

const WRITE_MS = 250;
/** A guest that boots writes nothing, and serves nobody. */
const BOOT_MS = 5000;
/** A pair without faults has found its way by then. */
const SETTLE_MS = 45_000;
const COMMAND_MS = 70_000;
/** What a side needs to know that its own QEMU is hung or gone, and a bit. */
const UNFIT_MS = 9000;
/** What a daemon needs to stop a guest. */
const STALE_MS = 2000;
/** What a daemon needs to be connected with its QEMU. */
const CONNECT_MS = 5000;
/** What an operator needs to see that a failover is over. */
const REPROTECT_MS = 3000;

export class World {
  readonly trace: string[] = [];
  readonly checker = new Checker();
  readonly #time = new Scheduler();
  readonly #random: Random;
  readonly #peer = new Network();
  readonly #data = new Network();
  readonly #hosts: Readonly<Record<HostName, Host>>;
  readonly #daemons: Record<HostName, DaemonRun | undefined> = { a: undefined, b: undefined };
  readonly #colo: Colo;
  /** When the guest that each QEMU boots is up, once its daemon runs. */
  #bootedMs: Record<HostName, number> = { a: 0, b: 0 };
  /** Since when its daemon hears all that its QEMU says. */
  readonly #heedsSinceMs: Record<HostName, number | undefined> = { a: undefined, b: undefined };
  readonly #staleSinceMs: Record<HostName, number | undefined> = { a: undefined, b: undefined };
  #writes = 0;
  #nextPid = 1000;
  #reprotects = 0;
  #diskErrors = 0;
  #hasBegun = false;
  #fences = 0;
  #commands = 0;
  #isFaulty = true;

  constructor(private readonly plan: Plan) {
    this.#random = new Random(plan.seed);
    const hosts = {
      a: new Host('a', this.#time, this.#random),
      b: new Host('b', this.#time, this.#random),
    };
    this.#hosts = hosts;
    const hostOf = ({ name }: Process): Host => (name.endsWith('-a') ? hosts.a : hosts.b);
    usePeers({
      ...{ network: this.#peer, random: this.#random, hostOf },
      other: ({ name }) => hosts[name === 'a' ? 'b' : 'a'],
    });
    useBases(hostOf);
    this.#colo = new Colo(this.#time, this.#random, this.#data, [hosts.a, hosts.b], {
      note: (what) => this.#note(what),
      committed: (primary, written) => {
        // What the primary's disk lacks, the other side alone has.
        const isLone = primary.wasProtected && primary.lacksSinceMs !== undefined;
        if (written && isLone) this.checker.wroteAlone(this.#nameOf(primary), written);
      },
      aborts: (qemu) => this.#killQemu(this.#nameOf(qemu), true),
    });
    for (const host of [hosts.a, hosts.b]) host.onFence = (target) => this.#fence(host, target);
  }

  async run(): Promise<Outcome> {
    this.#boot('a', false);
    this.#boot('b', true);
    this.#startDaemon('a');
    this.#startDaemon('b');
    this.#time.later(WRITE_MS, () => this.#write());
    this.#time.later(1500, () => this.#operate('a', { name: 'protect' }));
    for (const { atMs, ...step } of this.plan.steps) {
      this.#time.later(atMs, () => this.#happen(step));
    }
    await this.#until(this.plan.troubleMs);
    this.#heal();
    await this.#until(this.#time.nowMs + SETTLE_MS);
    const end = await this.#find();
    return {
      callbacks: this.#time.callbacks,
      simulatedMs: this.#time.nowMs,
      checkpoints: this.#colo.checkpoints,
      takeovers: this.checker.takeovers,
      fences: this.#fences,
      commands: this.#commands,
      overrulings: this.checker.overrulings,
      settled: this.checker.settled,
      splitMs: this.checker.splitMs,
      longestContactMs: this.checker.longestContactMs,
      reprotects: this.#reprotects,
      diskErrors: this.#diskErrors,
      end,
    };
  }

  /** Nothing of this run goes on. */
  end(): void {
    for (const host of [this.#hosts.a, this.#hosts.b]) {
      host.process?.kill();
      host.qemu?.process.kill();
    }
  }

  async #until(atMs: number): Promise<void> {
    await this.#time.run(atMs, () => this.#look());
  }

  #look(): void {
    this.checker.look({
      nowMs: this.#time.nowMs,
      guests: [this.#guest('a'), this.#guest('b')],
      areInContact: this.#areInContact(),
    });
    for (const name of ['a', 'b'] as const) this.#expectNotStale(name);
  }

  #guest(name: HostName): SeenGuest {
    const { qemu } = this.#hosts[name];
    const isStopped = qemu?.isAlive === true && qemu.status === 'paused';
    return { host: name, isReachable: this.#isReachable(name), isStopped, written: qemu?.written };
  }

  #nameOf(qemu: SimulatedQemu): HostName {
    return this.#hosts.a.qemu === qemu ? 'a' : 'b';
  }

  /** W2: a guest reads its own disk, which lacks a write that it was told is done. */
  #expectNotStale(name: HostName): void {
    const { qemu, process } = this.#hosts[name];
    const isUp = this.#daemons[name]?.isUp === true && process?.isDead === false;
    const isHalted = process?.haltedAtMs !== undefined || qemu?.doesRespond !== true;
    if (!isUp || isHalted) this.#heedsSinceMs[name] = undefined;
    else this.#heedsSinceMs[name] ??= this.#time.nowMs + CONNECT_MS;
    const { lacksSinceMs = -Infinity } = qemu ?? {};
    const wasHeeded = (this.#heedsSinceMs[name] ?? Infinity) <= lacksSinceMs;
    if (!wasHeeded || qemu?.doesRun !== true) this.#staleSinceMs[name] = undefined;
    else this.#staleSinceMs[name] ??= this.#time.nowMs;
    const staleMs = this.#time.nowMs - (this.#staleSinceMs[name] ?? Infinity);
    if (!qemu || staleMs <= STALE_MS) return;
    // An operator lets it run as it is.
    if (this.checker.isOverruled) return void (qemu.lacksSinceMs = undefined);
    throw new Violation('W2', `${name} runs for ${staleMs} ms on a disk that lacks writes`);
  }

  /** Its clients reach it, or it reaches a disk. */
  #isReachable(name: HostName): boolean {
    const host = this.#hosts[name];
    const { qemu, replica, process } = host;
    if (!qemu?.doesRun || qemu.mode === 'secondary') return false;
    if (host.role === 'primary') return this.#time.nowMs >= this.#bootedMs[name];
    if (replica?.state === 'retired') return true;
    return replica?.state === 'failed-over' && process?.isDead === false;
  }

  #areInContact(): boolean {
    if (this.#hosts.a.role === this.#hosts.b.role) return false;
    const areWell = (['a', 'b'] as const).every((name) => {
      const { process, qemu } = this.#hosts[name];
      const isHalted = process?.haltedAtMs !== undefined || qemu?.process.haltedAtMs !== undefined;
      return this.#daemons[name]?.isUp === true && !isHalted && qemu?.hang === undefined;
    });
    return areWell && this.#peer.isWhole;
  }

  #write(): void {
    this.#time.later(WRITE_MS * (0.5 + this.#random.next()), () => this.#write());
    for (const name of ['a', 'b'] as const) {
      const { qemu } = this.#hosts[name];
      if (!qemu || !this.#isReachable(name) || this.#colo.waits(qemu)) continue;
      if (qemu.mode === 'primary') this.#hasBegun = true;
      if (qemu.diskFault !== undefined && !this.#writesToBadDisk(qemu)) continue;
      const isAlone = this.#hasBegun && qemu.mode === 'none';
      qemu.written = { number: ++this.#writes, before: qemu.written, isAlone };
      this.#store(name);
      if (isAlone) this.checker.wroteAlone(name, qemu.written);
    }
  }

  #writesToBadDisk(qemu: SimulatedQemu): boolean {
    return qemu.writesToBadDisk(this.#colo.takesWritesOf(qemu));
  }

  /** What the guest has written is on the disk from which its QEMU would boot. */
  #store(name: HostName): void {
    const host = this.#hosts[name];
    const { qemu, replica, role } = host;
    const isOnDisk = role === 'primary' || replica?.state === 'retired';
    if (isOnDisk && qemu && qemu.lacksSinceMs === undefined) host.stored = qemu.written;
  }

  #boot(name: HostName, isIncoming: boolean): void {
    const host = this.#hosts[name];
    const process = new Process(`qemu-${name}`, host.enter);
    const written = isIncoming ? undefined : host.stored;
    host.qemu = new SimulatedQemu(this.#nextPid++, process, written, isIncoming, this.#colo);
    this.#bootedMs[name] = this.#time.nowMs + BOOT_MS;
  }

  #startDaemon(name: HostName): void {
    const host = this.#hosts[name];
    if (!host.isPowered || host.process?.isDead === false) return;
    // Whoever starts a VM without its daemon has to wait for it.
    if (this.#time.nowMs < this.#bootedMs[name]) this.#bootedMs[name] = this.#time.nowMs + BOOT_MS;
    const process = new Process(`daemon-${name}`, host.enter);
    host.process = process;
    host.server = undefined;
    const daemon = new DaemonRun(host.role, name, this.plan, {
      note: (what) => this.#note(`${name}: ${what}`),
      onBug: (what) => void this.#fail(new Violation('W6', what)),
      onAlarm: (newest) => this.checker.alarm(newest === host.role ? name : otherOf(name)),
      onProtected: () => {
        if (host.qemu) host.qemu.wasProtected = true;
      },
      onSurvived: () => {
        if (this.plan.isReprotected) this.#time.later(REPROTECT_MS, () => this.#reprotect());
      },
      onRole: (role: RoleName) => {
        host.role = role;
        this.#reprotects++;
      },
    });
    this.#daemons[name] = daemon;
    this.#time.after(process, 0, () => {
      daemon.start().catch((error: unknown) => {
        this.#note(`${name}: does not start: ${String(error)}`);
        process.kill();
      });
    });
  }

  #happen(step: Step): void {
    this.#note(JSON.stringify(step));
    switch (step.kind) {
      case 'silence':
        for (const network of this.#nets(step.net)) {
          if (step.from !== 'b') network.silence('a');
          if (step.from !== 'a') network.silence('b');
        }
        return;
      case 'heal':
        for (const network of this.#nets(step.net)) network.heal();
        return;
      case 'reset':
        return this.#colo.reset();
      case 'kill-daemon':
        return this.#killDaemon(step.host, step.forMs);
      case 'stop-daemon':
        return this.#stopDaemon(step.host, step.forMs);
      case 'halt-daemon':
        return this.#halt(this.#hosts[step.host].process, step.forMs, false);
      case 'kill-qemu':
        return this.#killQemu(step.host, true);
      case 'hang-qemu':
        return this.#hosts[step.host].qemu?.hangs(step.how);
      case 'free-qemu':
        return this.#hosts[step.host].qemu?.freed();
      case 'start-qemu':
        return this.#startQemu(step.host);
      case 'cut-qmp':
        this.#heedsSinceMs[step.host] = this.#time.nowMs + CONNECT_MS;
        return this.#hosts[step.host].qemu?.hangsUp();
      case 'panic':
        return this.#hosts[this.#primary()].qemu?.panics();
      case 'disk-error':
        return this.#failDisk(step.how, step.forMs);
      case 'suspend-host':
        for (const process of [
          this.#hosts[step.host].process,
          this.#hosts[step.host].qemu?.process,
        ]) {
          this.#halt(process, step.forMs, true);
        }
        return;
      case 'power-off':
        return this.#powerOff(step.host, step.forMs);
      case 'operator':
        return this.#operate(step.host, step.command);
      case 'new-secondary':
        return this.#newSecondary();
      case 'reprotect':
        return this.#reprotect();
    }
  }

  /** The host whose daemon protects the other's. */
  #primary(): HostName {
    return this.#hosts.b.role === 'primary' ? 'b' : 'a';
  }

  #failDisk(how: DiskFault, forMs: number): void {
    const { qemu } = this.#hosts[this.#primary()];
    if (!qemu?.isAlive) return;
    this.#diskErrors++;
    qemu.diskFault = how;
    this.#time.later(forMs, () => (qemu.diskFault = undefined));
  }

  #nets(net: 'peer' | 'data' | 'both'): Network[] {
    if (net === 'both') return [this.#peer, this.#data];
    return [net === 'peer' ? this.#peer : this.#data];
  }

  #killDaemon(name: HostName, forMs: number, wasSeen = true): void {
    const host = this.#hosts[name];
    host.process?.kill();
    host.server = undefined;
    host.disk.crash(wasSeen ? 'process' : 'power');
    if (host.replica) this.#colo.replicaEnded(host.replica, wasSeen);
    this.#time.later(forMs, () => this.#startDaemon(name));
  }

  #stopDaemon(name: HostName, forMs: number): void {
    const daemon = this.#daemons[name];
    const { process } = this.#hosts[name];
    if (!process || process.isDead || process.haltedAtMs !== undefined) return;
    this.#time.after(process, 0, () => {
      void daemon?.stop().finally(() => {
        this.#time.later(0, () => {
          if (!process.isDead) this.#killDaemon(name, forMs);
        });
      });
    });
  }

  #halt(process: Process | undefined, forMs: number, stopsClock: boolean): void {
    if (!process || process.isDead) return;
    process.halt(this.#time.nowMs);
    this.#time.later(forMs, () => this.#time.wake(process, stopsClock));
  }

  #killQemu(name: HostName, wasSeen: boolean): void {
    const { qemu } = this.#hosts[name];
    if (!qemu?.isAlive) return;
    this.#note(`the QEMU of ${name} ends`);
    qemu.unfitSinceMs ??= this.#time.nowMs;
    if (this.#isReachable(name)) this.#store(name);
    qemu.process.kill();
    this.#colo.ended(qemu, wasSeen);
  }

  #startQemu(name: HostName): void {
    const host = this.#hosts[name];
    if (!host.isPowered || host.qemu?.isAlive === true) return;
    // The disks of a secondary that has taken over are started by hand, and are another matter.
    if (host.role === 'primary') this.#boot(name, false);
    else if (!host.isGuestsDisk) this.#boot(name, true);
  }

  #powerOff(name: HostName, forMs: number): void {
    const host = this.#hosts[name];
    if (!host.isPowered) return;
    this.#note(`${name} has no power`);
    host.isPowered = false;
    this.#killQemu(name, false);
    this.#killDaemon(name, forMs + 1000, false);
    this.#time.later(forMs, () => {
      host.isPowered = true;
    });
  }

  #newSecondary(): void {
    const primary = this.#primary();
    const host = this.#hosts[otherOf(primary)];
    if (host.isGuestsDisk || !host.isPowered || host.role !== 'secondary') return;
    this.#beginSecondary(host);
    this.#time.later(4000, () => this.#operate(primary, { name: 'protect' }));
  }

  /** Nothing of what was there before is left. */
  #beginSecondary(host: Host): void {
    const { name } = host;
    this.#killQemu(name, true);
    host.role = 'secondary';
    host.isGuestsDisk = false;
    host.replica = undefined;
    host.stored = undefined;
    this.#killDaemon(name, 100);
    this.#time.later(600, () => this.#startQemu(name));
  }

  /** As docs/how-to/after-a-failover.md says; nobody does it while a guest runs on both. */
  #reprotect(): void {
    const survivor = (['a', 'b'] as const).find((name) => {
      const { role, replica } = this.#hosts[name];
      return role === 'secondary' && replica?.state === 'retired' && this.#isReachable(name);
    });
    if (survivor === undefined) return;
    const [host, other] = [this.#hosts[survivor], this.#hosts[otherOf(survivor)]];
    if (!other.isPowered || this.#isReachable(other.name)) return;
    this.#note(`an operator protects ${survivor}`);
    this.#beginSecondary(other);
    if (host.process?.isDead !== false) {
      // Its daemon has ended, and its unit is the primary's now.
      host.role = 'primary';
      this.#startDaemon(survivor);
    }
    this.#time.later(4000, () => this.#operate(survivor, { name: 'reprotect' }));
  }

  #operate(name: HostName, command: Command): void {
    const daemon = this.#daemons[name];
    const { process } = this.#hosts[name];
    if (!process || process.isDead || daemon?.isUp !== true) return;
    this.#commands++;
    if (!('force' in command) || !command.force) {
      this.#time.after(process, 0, () => daemon.call(command));
      return;
    }
    let isAnswered = false;
    const forced = { host: name, isPending: () => !isAnswered && !process.isDead };
    this.checker.force(forced);
    this.#time.after(process, 0, () => {
      daemon.call(command, (answer) => {
        isAnswered = true;
        if (answer === 'refused') this.checker.refused(forced);
      });
    });
  }

  /** W4: whoever fences is fit to run. */
  #fence(host: Host, target: string): FenceRun {
    const { qemu, replica } = host;
    this.#fences++;
    const name = otherOf(host.name);
    const unfitMs = this.#time.nowMs - (qemu?.unfitSinceMs ?? this.#time.nowMs);
    if (unfitMs > UNFIT_MS && this.#isFaulty) {
      throw this.#fail(
        new Violation('W4', `${host.name} fences, and its own QEMU is unfit since ${unfitMs} ms`),
      );
    }
    if (target === 'primary' && replica?.state !== 'protected') {
      throw this.#fail(new Violation('W4', `${host.name} fences, and its replica can't take over`));
    }
    const works = this.#random.chance(this.plan.fenceWorks);
    const isSlow = this.#random.chance(0.2);
    const takesMs = (isSlow ? 6000 : 1500) * (0.2 + this.#random.next());
    const hasPower = this.#random.chance(0.3);
    const effect = (): void => {
      if (hasPower) this.#powerOff(name, 8000);
      else this.#killQemu(name, true);
    };
    this.#note(`${host.name} fences ${name}: it will ${works ? 'succeed' : 'fail'}`);
    const isHalfDone = !works && this.#random.chance(0.2);
    return {
      code: works ? 0 : 1,
      takesMs,
      effect: works || isHalfDone ? effect : undefined,
      effectMs: takesMs * this.#random.next(),
    };
  }

  /** Thrown where the code under test would catch it: kept for the run. */
  failure: Violation | undefined;

  #fail(violation: Violation): Violation {
    this.failure ??= violation;
    return violation;
  }

  /** Faults end. What has ended stays so, but daemons are started again. */
  #heal(): void {
    this.#note('all faults end');
    this.#isFaulty = false;
    this.#peer.heal();
    this.#data.heal();
    for (const name of ['a', 'b'] as const) {
      const host = this.#hosts[name];
      host.isPowered = true;
      for (const process of [host.process, host.qemu?.process]) {
        if (process) this.#time.wake(process, false);
      }
      if (host.qemu?.hang !== undefined) host.qemu.freed();
      this.#startDaemon(name);
    }
  }

  /** A method: it may become true while something is awaited. */
  #runs(): boolean {
    return this.#isReachable('a') || this.#isReachable('b');
  }

  /** W5: a guest runs, or a command of the operator's makes one run; W6: it can be repeated. */
  async #find(): Promise<Outcome['end']> {
    if (this.#runs()) return 'itself';
    const isBooted = !this.#hasCopy();
    if (isBooted) {
      // The disk of the primary's host is there.
      for (const name of ['a', 'b'] as const) {
        if (this.#hosts[name].role === 'primary') this.#startQemu(name);
      }
      await this.#until(this.#time.nowMs + BOOT_MS + SETTLE_MS);
      if (this.#runs()) return 'reboot';
    }
    const plain = { name: 'failover', force: false, overrulePeer: false } as const;
    const forced = { name: 'failover', force: true, overrulePeer: true } as const;
    for (const [command, end] of [
      [plain, 'operator'],
      [forced, 'force'],
    ] as const) {
      for (const name of ['b', 'a'] as const) {
        for (let attempt = 0; attempt < 2; attempt++) {
          await this.#carryOut(name, command);
          if (!this.#runs()) continue;
          // What was overruled becomes known.
          if (end === 'force') await this.#until(this.#time.nowMs + SETTLE_MS);
          return end;
        }
      }
    }
    const { a, b } = this.#hosts;
    const broken = [a, b].find(({ role, qemu }) => role === 'primary' && qemu?.hadDiskFault);
    if (broken) {
      // As the daemon says: repair the storage, and restart the VM.
      this.#killQemu(broken.name, true);
      this.#startQemu(broken.name);
      await this.#until(this.#time.nowMs + BOOT_MS + SETTLE_MS);
      if (this.#runs()) return 'reboot';
    }
    if (isBooted && (a.isGuestsDisk || b.isGuestsDisk)) return 'recover';
    throw new Violation('W5', 'a QEMU is there with a copy that may run, and nobody makes it run');
  }

  /** Until there is an answer, and a moment longer. */
  async #carryOut(name: HostName, command: Command): Promise<void> {
    const endMs = this.#time.nowMs + COMMAND_MS;
    this.#operate(name, command);
    do {
      await this.#until(this.#time.nowMs + 500);
    } while (this.#daemons[name]?.isBusy === true && this.#time.nowMs < endMs);
    await this.#until(this.#time.nowMs + 1500);
  }

  /** Whether a QEMU is there that an operator could make run. */
  #hasCopy(): boolean {
    return (['a', 'b'] as const).some((name) => {
      const { role, qemu, replica } = this.#hosts[name];
      if (qemu?.isAlive !== true) return false;
      if (role === 'primary') return this.#daemons[name]?.isUp === true;
      return replica?.state === 'protected' && qemu.mode === 'secondary';
    });
  }

  #note(what: string): void {
    this.trace.push(`${(this.#time.nowMs / 1000).toFixed(3).padStart(8)}  ${what}`);
  }
}

function otherOf(name: HostName): HostName {
  return name === 'a' ? 'b' : 'a';
}
