// One run: two hosts, a network between them, a pair of QEMUs, and on each host the daemon that
// ships. Steps of the plan happen to them; in the end all is healed, and the pair has to find its
// way, alone or with the commands that an operator has.

import type { Random } from '@gannet/test-support/random.js';
import { Checker, type SeenGuest, Violation } from './checker.js';
import type { DaemonWatcher } from './daemon-run.js';
import type { FenceRun, Host } from './host.js';
import { type End, Ending, SETTLE_MS } from './ending.js';
import { HOST_NAMES, Machines, otherOf } from './machines.js';
import type { HostName, Network } from './network.js';
import { OwnDisks } from './own-disks.js';
import type { Command, Plan, Step } from './plan.js';
import type { Scheduler } from './scheduler.js';
import { Site } from './site.js';
import type { DiskFault } from './vm/qemu.js';

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
  /** Fences that have ended another VM's QEMU and daemon, too. */
  readonly crossed: number;
  readonly end: End;
}

const WRITE_MS = 250;
/** What a side needs to know that its own QEMU is hung or gone, and a bit. */
const UNFIT_MS = 9000;
/** What an operator needs to see that a failover is over. */
const REPROTECT_MS = 3000;

export class World {
  readonly trace: string[] = [];
  readonly checker = new Checker();
  readonly #time: Scheduler;
  readonly #random: Random;
  readonly #machines: Machines;
  readonly #hosts: Readonly<Record<HostName, Host>>;
  /** How long a turn of a slow daemon takes. */
  readonly #slowTurns = new Map<HostName, number>();
  readonly #ownDisks: OwnDisks;
  readonly #ending: Ending;
  #crossed = 0;
  #writes = 0;
  #reprotects = 0;
  #diskErrors = 0;
  #hasBegun = false;
  #fences = 0;
  #commands = 0;
  #isFaulty = true;

  /** @param first which host has the primary in the beginning */
  constructor(
    private readonly plan: Plan,
    private readonly site = new Site(plan.seed),
    private readonly first: HostName = 'a',
  ) {
    this.#time = site.time;
    this.#random = site.random;
    this.#machines = new Machines({
      ...{ plan, site, first },
      note: (what) => this.#note(what),
      committed: (primary, written) => {
        // What the primary's disk lacks, the other side alone has.
        const isLone = primary.wasProtected && primary.lacksSinceMs !== undefined;
        if (written && isLone) this.checker.wroteAlone(this.#machines.nameOf(primary), written);
      },
      watcherOf: (host) => this.#watcherOf(host),
    });
    this.#hosts = this.#machines.hosts;
    this.#ownDisks = new OwnDisks(this.#machines);
    const { a, b } = this.#hosts;
    for (const host of [a, b]) host.onFence = (target) => this.#fence(host, target);
    this.#ending = new Ending({
      ...{ machines: this.#machines, plan },
      wasOverruled: () => this.checker.overrulings > 0,
      now: () => this.#time.nowMs,
      until: (atMs) => site.run(atMs),
      operate: (name, command) => this.#operate(name, command),
    });
    site.add({
      hosts: this.#hosts,
      powerOff: (name, forMs) => this.#machines.powerOff(name, forMs),
      suspend: (name, forMs) => this.#suspend(name, forMs),
      reset: () => this.#machines.colo.reset(),
      look: () => this.#look(),
    });
  }

  get troubleMs(): number {
    return this.plan.troubleMs;
  }

  async run(): Promise<Outcome> {
    this.begin();
    await this.site.run(this.plan.troubleMs);
    this.heal();
    await this.settle();
    return this.outcome();
  }

  begin(): void {
    const { first } = this;
    this.#machines.boot(first, false);
    this.#machines.boot(otherOf(first), true);
    this.#machines.startDaemon(first);
    this.#machines.startDaemon(otherOf(first));
    this.#time.later(WRITE_MS, () => this.#write());
    this.#time.later(1500, () => this.#operate(first, { name: 'protect' }));
    for (const { atMs, ...step } of this.plan.steps) {
      this.#time.later(atMs, () => this.#happen(step));
    }
  }

  /** All that was amiss is healed: the pair finds its way. */
  async settle(): Promise<void> {
    await this.site.run(this.#time.nowMs + SETTLE_MS);
  }

  async outcome(): Promise<Outcome> {
    const end = await this.#ending.find();
    return {
      callbacks: this.#time.callbacks,
      simulatedMs: this.#time.nowMs,
      checkpoints: this.#machines.colo.checkpoints,
      takeovers: this.checker.takeovers,
      fences: this.#fences,
      commands: this.#commands,
      overrulings: this.checker.overrulings,
      settled: this.checker.settled,
      splitMs: this.checker.splitMs,
      longestContactMs: this.checker.longestContactMs,
      reprotects: this.#reprotects,
      diskErrors: this.#diskErrors,
      crossed: this.#crossed,
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

  #look(): void {
    this.checker.look({
      nowMs: this.#time.nowMs,
      guests: [this.#guest('a'), this.#guest('b')],
      areInContact: this.#machines.areInContact(),
    });
    this.#ownDisks.look(this.#time.nowMs, () => this.checker.isOverruled);
    this.#ending.look();
  }

  #guest(name: HostName): SeenGuest {
    const { qemu } = this.#hosts[name];
    const isStopped = qemu?.isAlive === true && qemu.status === 'paused';
    return {
      host: name,
      isReachable: this.#machines.isReachable(name),
      ...{ isStopped, hasFailed: qemu?.hasFailed === true },
      hasGivenUp: isStopped && qemu.wasProtected && this.#machines.isWell(name),
      written: qemu?.written,
    };
  }

  #write(): void {
    this.#time.later(WRITE_MS * (0.5 + this.#random.next()), () => this.#write());
    for (const name of HOST_NAMES) {
      const { qemu } = this.#hosts[name];
      if (!qemu || !this.#machines.mayWrite(name)) continue;
      if (qemu.mode === 'primary') this.#hasBegun = true;
      const hasReplica = this.#machines.colo.takesWritesOf(qemu);
      if (qemu.diskFault !== undefined && !qemu.writesToBadDisk(hasReplica)) continue;
      const isAlone = this.#hasBegun && qemu.mode === 'none';
      qemu.written = { number: ++this.#writes, before: qemu.written, isAlone };
      this.#machines.store(name);
      if (isAlone) this.checker.wroteAlone(name, qemu.written);
    }
  }

  #watcherOf(host: Host): DaemonWatcher {
    const { name } = host;
    return {
      note: (what) => this.#note(`${name}: ${what}`),
      onBug: (what) => void this.#fail(new Violation('W6', what)),
      onAlarm: (newest) =>
        this.#keep(() => {
          const turnMs = this.#slowTurns.get(name) ?? 0;
          this.checker.alarm(newest === host.role ? name : otherOf(name), turnMs);
        }),
      onProtected: () => {
        if (host.qemu) host.qemu.wasProtected = true;
        const { qemu: secondary } = this.#hosts[otherOf(name)];
        if (secondary) secondary.hasProtected = true;
      },
      onGivenUp: () => {
        if (host.qemu) host.qemu.hasFailed = true;
        this.#ownDisks.gaveUp(name, this.#time.nowMs);
      },
      onSurvived: () => {
        if (this.plan.isReprotected) this.#time.later(REPROTECT_MS, () => this.#reprotect());
      },
      onRole: (role) => {
        host.role = role;
        this.#reprotects++;
      },
    };
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
        return this.site.reset();
      case 'kill-daemon':
        return this.#machines.killDaemon(step.host, step.forMs);
      case 'stop-daemon':
        return this.#machines.stopDaemon(step.host, step.forMs);
      case 'halt-daemon':
        return this.#machines.halt(this.#hosts[step.host].process, step.forMs, false);
      case 'kill-qemu':
        return this.#machines.killQemu(step.host, true);
      case 'hang-qemu':
        return this.#hosts[step.host].qemu?.hangs(step.how);
      case 'free-qemu':
        return this.#hosts[step.host].qemu?.freed();
      case 'start-qemu':
        return this.#machines.startQemu(step.host);
      case 'cut-qmp':
        this.#ownDisks.notHeard(step.host, this.#time.nowMs);
        return this.#hosts[step.host].qemu?.hangsUp();
      case 'panic':
        return this.#hosts[this.#primary()].qemu?.panics();
      case 'disk-error':
        return this.#failDisk(step.how, step.forMs);
      case 'suspend-host':
        return this.site.suspend(step.host, step.forMs);
      case 'slow-daemon':
        return this.#slow(step.host, step.forMs);
      case 'power-off':
        return this.site.powerOff(step.host, step.forMs);
      case 'operator':
        return this.#operate(step.host, step.command);
      case 'new-secondary':
        return this.#newSecondary();
      case 'reprotect':
        return this.#reprotect();
    }
  }

  #suspend(name: HostName, forMs: number): void {
    const { process, qemu } = this.#hosts[name];
    for (const each of [process, qemu?.process]) this.#machines.halt(each, forMs, true);
  }

  /** Each turn of its event loop takes more than `lowMs`. */
  #slow(name: HostName, forMs: number): void {
    const { process } = this.#hosts[name];
    this.#slowTurns.delete(name);
    if (!process || process.isDead || forMs <= 0 || !this.#isFaulty) return;
    const turnMs = 2100 + 300 * this.#random.next();
    this.#slowTurns.set(name, turnMs);
    this.#machines.halt(process, turnMs, false);
    this.#time.later(turnMs + 1, () => this.#slow(name, forMs - turnMs));
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
    if (net === 'both') return [this.#machines.peer, this.#machines.data];
    return [net === 'peer' ? this.#machines.peer : this.#machines.data];
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
    this.#machines.killQemu(name, true);
    host.role = 'secondary';
    host.isGuestsDisk = false;
    host.replica = undefined;
    host.stored = undefined;
    this.#machines.killDaemon(name, 100);
    this.#time.later(600, () => this.#machines.startQemu(name));
  }

  /** As docs/how-to/after-a-failover.md says; nobody does it while a guest runs on both. */
  #reprotect(): void {
    const survivor = HOST_NAMES.find((name) => {
      const { role, replica } = this.#hosts[name];
      return (
        role === 'secondary' && replica?.state === 'retired' && this.#machines.isReachable(name)
      );
    });
    if (survivor === undefined) return;
    const [host, other] = [this.#hosts[survivor], this.#hosts[otherOf(survivor)]];
    if (!other.isPowered || this.#machines.isReachable(other.name)) return;
    // Who has forced the other copy to run does not overwrite it.
    if (this.checker.isForced(other.name) && !this.checker.isForced(survivor)) return;
    this.#note(`an operator protects ${survivor}`);
    this.#beginSecondary(other);
    other.mayOverwrite = true;
    if (host.process?.isDead !== false) {
      // Its daemon has ended, and its unit is the primary's now.
      host.role = 'primary';
      this.#machines.startDaemon(survivor);
    }
    this.#time.later(4000, () => this.#operate(survivor, { name: 'reprotect' }));
  }

  #operate(name: HostName, command: Command): void {
    const daemon = this.#machines.daemons[name];
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
    this.#ownDisks.forced(name);
    this.#time.after(process, 0, () => {
      daemon.call(command, (answer) => {
        isAnswered = true;
        if (answer === 'refused') this.checker.refused(forced);
        if (answer === 'done') this.#ownDisks.wasForced(name);
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
    const lackMs = this.#ownDisks.knownMs(host.name, this.#time.nowMs) ?? 0;
    if (lackMs > UNFIT_MS && this.#isFaulty) {
      const what = `${host.name} fences, and its own disk lacks writes since ${lackMs} ms`;
      throw this.#fail(new Violation('W4', what));
    }
    if (target === 'primary' && replica?.state !== 'protected') {
      throw this.#fail(new Violation('W4', `${host.name} fences, and its replica can't take over`));
    }
    const works = this.#random.chance(this.plan.fenceWorks);
    const isSlow = this.#random.chance(0.2);
    const takesMs = (isSlow ? 6000 : 1500) * (0.2 + this.#random.next());
    const hasPower = this.site.hasTwo || this.#random.chance(0.3);
    const effect = (): void => {
      if (!hasPower) return this.#machines.killQemu(name, true);
      if (this.site.hasTwo && this.#hosts[name].isPowered) this.#crossed++;
      this.site.powerOff(name, 8000);
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

  #keep(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (error instanceof Violation) this.#fail(error);
    }
  }

  #fail(violation: Violation): Violation {
    this.failure ??= violation;
    return violation;
  }

  /** Faults end. What has ended stays so, but daemons are started again. */
  heal(): void {
    this.#note('all faults end');
    this.#isFaulty = false;
    this.#machines.peer.heal();
    this.#machines.data.heal();
    for (const name of HOST_NAMES) {
      const host = this.#hosts[name];
      host.isPowered = true;
      for (const process of [host.process, host.qemu?.process]) {
        if (process) this.#time.wake(process, false);
      }
      if (host.qemu?.hang !== undefined) host.qemu.freed();
      this.#machines.startDaemon(name);
    }
  }

  #note(what: string): void {
    this.trace.push(`${(this.#time.nowMs / 1000).toFixed(3).padStart(8)}  ${what}`);
  }
}
