// Two hosts of the arbitration's simulation, driven step by step: a pair is brought to where it
// prints something, and what is printed is carried out. Both daemons are whole ones.

import { describeError, describeEvent, type Status, type TermRecord } from '@gannet/contract';
import type { DaemonEvent } from '@gannet/contract';
import { Random } from '@gannet/test-support/random.js';
import { Daemon } from '#daemon/daemon.js';
import type { Logger } from '#daemon/log.js';
import { TermStore } from '#daemon/terms/term-store.js';
import { Checker, type SeenGuest } from '../arbitration/checker.js';
import { Colo } from '../arbitration/vm/colo.js';
import { Host } from '../arbitration/host.js';
import { type HostName, Network } from '../arbitration/network.js';
import { usePeers } from '../arbitration/peer-socket.js';
import { SimulatedQemu, type Written } from '../arbitration/vm/qemu.js';
import { useBases } from '../arbitration/vm/replica.js';
import { Process, Scheduler } from '../arbitration/scheduler.js';
import { parseCommand } from './command-line.js';
import { configOf, type Setting, TERM_FILE } from './setting.js';
import { methodsOf } from './surroundings.js';

export type RoleName = 'primary' | 'secondary';

/** What came of a command. */
export type Answer =
  | { readonly isDone: true; readonly result: unknown }
  | { readonly isDone: false; readonly message: string; readonly remedy: string };

export interface Seen {
  /** 0: no guest runs; 1: one does; 2: it is protected, too. */
  readonly health: 0 | 1 | 2;
  readonly holder: HostName | undefined;
}

const WRITE_MS = 200;
const BOOT_MS = 300;
/** Longer than any command may take. */
const COMMAND_MS = 90_000;
/** What a command asks the daemon that is not of its own name. */
const METHOD_OF: Readonly<Record<string, string>> = { check: 'inspect' };
const PATIENCE_MS = 120_000;
const LOG = { log: () => undefined, child: () => LOG } as unknown as Logger;

export class Stage {
  readonly checker = new Checker();
  readonly trace: string[] = [];
  readonly peer = new Network();
  readonly data = new Network();
  readonly #time = new Scheduler();
  readonly #random = new Random(14);
  readonly #hosts: Readonly<Record<HostName, Host>>;
  readonly #roles: Record<HostName, RoleName> = { a: 'primary', b: 'secondary' };
  readonly #daemons: Record<HostName, Daemon | undefined> = { a: undefined, b: undefined };
  readonly #troubles: Partial<Record<HostName, unknown>> = {};
  readonly #colo: Colo;
  #writes = 0;
  #disk: Written | undefined;
  #hasBegun = false;
  #nextPid = 1000;

  constructor(private readonly setting: Setting = {}) {
    const hosts = {
      a: new Host('a', this.#time, this.#random),
      b: new Host('b', this.#time, this.#random),
    };
    this.#hosts = hosts;
    const hostOf = ({ name }: Process): Host => (name.endsWith('-a') ? hosts.a : hosts.b);
    usePeers({
      ...{ network: this.peer, random: this.#random, hostOf },
      other: ({ name }) => hosts[otherHost(name)],
    });
    useBases(hostOf);
    this.#colo = new Colo(this.#time, this.#random, this.data, [hosts.a, hosts.b], {
      note: (what) => this.#note(what),
      committed: () => undefined,
      aborts: (qemu) => this.endQemu(hosts.a.qemu === qemu ? 'a' : 'b'),
    });
    for (const host of [hosts.a, hosts.b]) {
      host.onFence = () => {
        const succeeds = setting.fences?.[host.name] === 'works';
        const effect = (): void => this.endQemu(otherHost(host.name));
        return {
          ...{ code: succeeds ? 0 : 1, takesMs: 400, effectMs: 200 },
          effect: succeeds ? effect : undefined,
        };
      };
    }
    this.#time.later(WRITE_MS, () => this.#write());
  }

  /** A pair of daemons with their QEMUs, not protected yet. */
  async start(): Promise<void> {
    this.startQemu('a');
    this.startQemu('b');
    await this.startDaemon('b');
    await this.startDaemon('a');
    await this.pass(1000);
  }

  /** The same, protected. */
  async protect(): Promise<void> {
    await this.start();
    const answer = await this.run('a', ['protect', 'web']);
    if (!answer.isDone) throw new Error(`the pair can't be protected: ${answer.message}`);
    await this.pass(3000);
  }

  /** Nothing of this run goes on. */
  end(): void {
    for (const { process, qemu } of [this.#hosts.a, this.#hosts.b]) {
      process?.kill();
      qemu?.process.kill();
    }
  }

  qemu(name: HostName): SimulatedQemu {
    const { qemu } = this.#hosts[name];
    if (!qemu) throw new Error(`${name} has no QEMU`);
    return qemu;
  }

  /** Of the host that a text means. @param at where it is printed */
  placeOf(place: string, at: HostName): HostName {
    if (place === 'alpha' || place === 'beta') return place === 'alpha' ? 'a' : 'b';
    if (place === 'here') return at;
    if (place === 'there') return otherHost(at);
    return this.#roles.a === place ? 'a' : 'b';
  }

  startQemu(name: HostName): void {
    const host = this.#hosts[name];
    if (host.qemu?.isAlive === true) throw new Error(`the QEMU of ${name} runs`);
    const isIncoming = this.#roles[name] === 'secondary';
    const process = new Process(`qemu-${name}`, host.enter);
    const written = isIncoming ? undefined : this.#disk;
    host.qemu = new SimulatedQemu(this.#nextPid++, process, written, isIncoming, this.#colo);
  }

  endQemu(name: HostName): void {
    const { qemu } = this.#hosts[name];
    if (!qemu?.isAlive) return;
    this.#note(`the QEMU of ${name} ends`);
    qemu.process.kill();
    this.#colo.ended(qemu, true);
  }

  /** What an earlier life has left in a term file. */
  async writeTerm(name: HostName, change: Partial<TermRecord>): Promise<void> {
    const host = this.#hosts[name];
    const process = new Process(`before-${name}`, host.enter);
    let isOver = false;
    const write = async (): Promise<void> => {
      const terms = await TermStore.open({ file: TERM_FILE, vm: 'web' });
      await terms.update((own) => ({ ...own, ...change }));
      await terms.close();
      isOver = true;
    };
    this.#time.after(process, 0, () => void write());
    await this.until('a term file', () => isOver);
    process.kill();
  }

  /** As by a service manager. @throws what the daemon says when it does not start */
  async startDaemon(name: HostName, changes: Setting = {}): Promise<void> {
    const host = this.#hosts[name];
    this.killDaemon(name);
    const process = new Process(`daemon-${name}`, host.enter);
    host.process = process;
    const role = this.#roles[name];
    const config = configOf(name, { ...this.setting, ...changes });
    let isOver = false;
    this.#time.after(process, 0, () => {
      Daemon.start(config, role, LOG).then(
        (daemon) => {
          this.#daemons[name] = daemon;
          isOver = true;
        },
        (error: unknown) => {
          this.#troubles[name] = error;
          isOver = true;
        },
      );
    });
    await this.until(`the daemon of ${name}`, () => isOver);
    const trouble = this.#troubles[name];
    this.#troubles[name] = undefined;
    if (trouble === undefined) return;
    process.kill();
    throw trouble instanceof Error ? trouble : new Error('no daemon');
  }

  killDaemon(name: HostName): void {
    const host = this.#hosts[name];
    if (!host.process || host.process.isDead) return;
    host.process.kill();
    this.#daemons[name] = undefined;
    host.server = undefined;
    host.disk.crash('process');
    if (host.replica) this.#colo.replicaEnded(host.replica, true);
  }

  async reload(name: HostName, changes: Setting): Promise<void> {
    const daemon = this.#daemons[name];
    const { process } = this.#hosts[name];
    if (!daemon || !process) throw new Error(`${name} has no daemon`);
    let isOver = false;
    const config = configOf(name, { ...this.setting, ...changes });
    this.#time.after(process, 0, () => void daemon.reload(config).finally(() => (isOver = true)));
    await this.until('the reload', () => isOver);
  }

  /** The secondary's daemon, then its QEMU with -incoming: what many remedies begin with. */
  async restartSecondary(name: HostName = 'b'): Promise<void> {
    this.endQemu(name);
    this.killDaemon(name);
    await this.startDaemon(name);
    this.startQemu(name);
    await this.pass(1500);
  }

  /** A host gets a role for its next daemon: the survivor's new secondary. */
  async becomeSecondary(name: HostName): Promise<void> {
    this.endQemu(name);
    this.killDaemon(name);
    this.#roles[name] = 'secondary';
    this.#roles[otherHost(name)] = 'primary';
    await this.startDaemon(name);
    this.startQemu(name);
    await this.pass(1500);
  }

  /** A command of the command line, on this host. */
  async run(name: HostName, argv: readonly string[]): Promise<Answer> {
    this.#note(`${name}: gannet ${argv.join(' ')}`);
    const { name: command, options } = parseCommand(argv);
    // These are daemons themselves.
    const isStart = command === 'secondary' || command === 'primary';
    const answer = await (isStart
      ? this.#start(name, command, options['overwrite'] === true)
      : this.#call(name, argv));
    this.#note(`${name}: ${answer.isDone ? 'done' : answer.message}`);
    return answer;
  }

  async #start(name: HostName, role: RoleName, overwrites: boolean): Promise<Answer> {
    this.#roles[name] = role;
    try {
      await this.startDaemon(name, { overwrites });
      return { isDone: true, result: 'started' };
    } catch (error) {
      const { message, remedy } = describeError(error);
      return { isDone: false, message, remedy };
    }
  }

  /** Begins a command, which the next ones do not wait for. */
  begin(name: HostName, argv: readonly string[]): Promise<Answer> {
    this.#note(`${name}: gannet ${argv.join(' ')}`);
    return this.#ask(name, argv);
  }

  #call(name: HostName, argv: readonly string[]): Promise<Answer> {
    return this.answered(this.#ask(name, argv));
  }

  /** Time passes until there is an answer. */
  async answered(asked: Promise<Answer>): Promise<Answer> {
    let isOver = false;
    void asked.then(() => (isOver = true));
    await this.until('an answer', () => isOver, COMMAND_MS);
    return asked;
  }

  #ask(name: HostName, argv: readonly string[]): Promise<Answer> {
    const { name: command, options } = parseCommand(argv);
    const { process } = this.#hosts[name];
    const method = methodsOf(process)?.[METHOD_OF[command] ?? command];
    if (!process || !method) throw new Error(`no daemon of ${name} knows ${command}`);
    let isAnswered = false;
    const forced = { host: name, isPending: () => !isAnswered && !process.isDead };
    if (options['force'] === true) this.checker.force(forced);
    return new Promise((resolve) => {
      this.#time.after(process, 0, () => {
        Promise.resolve()
          .then(() => method(paramsOf(command, options), () => undefined))
          .then(
            (result) => resolve({ isDone: true, result }),
            (error: unknown) => {
              this.checker.refused(forced);
              const { message, remedy } = describeError(error);
              resolve({ isDone: false, message, remedy });
            },
          )
          .finally(() => (isAnswered = true));
      });
    });
  }

  async status(name: HostName): Promise<Status> {
    const answer = await this.#call(name, ['status', 'web']);
    if (!answer.isDone) throw new Error(answer.message);
    return answer.result as Status;
  }

  async events(name: HostName): Promise<readonly DaemonEvent[]> {
    const answer = await this.#call(name, ['events', 'web']);
    if (!answer.isDone) throw new Error(answer.message);
    return answer.result as readonly DaemonEvent[];
  }

  async pass(ms: number): Promise<void> {
    await this.#time.run(this.#time.nowMs + ms, () => this.#check());
  }

  async until(what: string, isSo: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
    const endMs = this.#time.nowMs + patienceMs;
    while (!isSo()) {
      if (this.#time.nowMs > endMs) throw new Error(`timed out waiting for ${what}`);
      await this.pass(20);
    }
  }

  /** How the VM is, seen from outside; a checkpoint, at which every guest pauses, is waited for. */
  async look(): Promise<Seen> {
    let best: Seen = this.#seen;
    for (let passedMs = 0; passedMs < 200; passedMs += 20) {
      await this.pass(20);
      if (this.#seen.health > best.health) best = this.#seen;
    }
    return best;
  }

  get #seen(): Seen {
    const holder = (['a', 'b'] as const).find((name) => this.#isReachable(name));
    if (holder === undefined) return { health: 0, holder };
    const { replica } = this.#hosts[otherHost(holder)];
    const isCopied = replica?.state === 'protected' && replica.link.isConnected;
    return { health: isCopied && this.qemu(holder).mode === 'primary' ? 2 : 1, holder };
  }

  #check(): void {
    this.checker.look({
      nowMs: this.#time.nowMs,
      guests: [this.#guest('a'), this.#guest('b')],
      areInContact:
        this.peer.isWhole && this.#daemons.a !== undefined && this.#daemons.b !== undefined,
    });
  }

  #guest(name: HostName): SeenGuest {
    const { qemu } = this.#hosts[name];
    const isStopped = qemu?.isAlive === true && qemu.status === 'paused';
    const isReachable = this.#isReachable(name);
    const hasGivenUp = isStopped && qemu.wasProtected;
    const seen = { isReachable, isStopped, hasFailed: qemu?.hasFailed === true, hasGivenUp };
    return { host: name, ...seen, written: qemu?.written };
  }

  #isReachable(name: HostName): boolean {
    const { qemu, replica, process } = this.#hosts[name];
    if (!qemu?.doesRun || qemu.mode === 'secondary') return false;
    // A guest that boots serves nobody before its daemon has found it.
    if (replica === undefined) return this.#time.nowMs >= qemu.startedMs + BOOT_MS;
    if (replica.state === 'retired') return true;
    return replica.state === 'failed-over' && process?.isDead === false;
  }

  #write(): void {
    this.#time.later(WRITE_MS, () => this.#write());
    for (const name of ['a', 'b'] as const) {
      const { qemu } = this.#hosts[name];
      if (!qemu || !this.#isReachable(name) || this.#colo.waits(qemu)) continue;
      if (qemu.mode === 'primary') this.#hasBegun = true;
      const isAlone = this.#hasBegun && qemu.mode === 'none';
      qemu.written = { number: ++this.#writes, before: qemu.written, isAlone };
      if (this.#roles[name] === 'primary') this.#disk = qemu.written;
      if (isAlone) this.checker.wroteAlone(name, qemu.written);
    }
  }

  #note(what: string): void {
    this.trace.push(`${(this.#time.nowMs / 1000).toFixed(3).padStart(8)}  ${what}`);
  }
}

export function otherHost(name: HostName): HostName {
  return name === 'a' ? 'b' : 'a';
}

/** As the commands make them (packages/gannet/src/cli/commands). */
function paramsOf(
  command: string,
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { force = false, overrulePeer = false } = options;
  if (command === 'failover') return { force, overrulePeer };
  if (command === 'check') return { peer: true };
  if (command === 'seed-rate') return { bytesPerSec: options['rate'] };
  return command === 'detach' ? { force } : {};
}

/** What an event says to do, for the log's reader. */
export function remedyOf(event: DaemonEvent): string {
  return describeEvent(event, 'web').remedy;
}
