// The two hosts with what runs on them: how QEMUs and daemons begin and end, and what clients and
// disks see of a guest.

import { DaemonRun, type DaemonWatcher } from './daemon-run.js';
import { Host } from './host.js';
import type { HostName, Network } from './network.js';
import { usePeers } from './peer-socket.js';
import type { Plan } from './plan.js';
import { Process, type Scheduler } from './scheduler.js';
import type { Site } from './site.js';
import { Colo, type ColoWatcher } from './vm/colo.js';
import { SimulatedQemu } from './vm/qemu.js';
import { useBases } from './vm/replica.js';

/** A guest that boots writes nothing, and serves nobody. */
export const BOOT_MS = 5000;
export const HOST_NAMES = ['a', 'b'] as const;

export function otherOf(name: HostName): HostName {
  return name === 'a' ? 'b' : 'a';
}

export interface MachinesOptions {
  readonly plan: Plan;
  readonly site: Pick<Site, 'time' | 'random' | 'peer' | 'data'>;
  /** Which host has the primary in the beginning. */
  readonly first: HostName;
  readonly note: (what: string) => void;
  readonly committed: ColoWatcher['committed'];
  readonly watcherOf: (host: Host) => DaemonWatcher;
}

/** Each process is one of a VM, on one host. */
const homes = new WeakMap<Process, Host>();
const others = new WeakMap<object, Host>();

function homeOf(process: Process): Host {
  const host = homes.get(process);
  if (!host) throw new Error('a process has no host');
  return host;
}

export class Machines {
  readonly hosts: Readonly<Record<HostName, Host>>;
  readonly daemons: Record<HostName, DaemonRun | undefined> = { a: undefined, b: undefined };
  readonly peer: Network;
  readonly data: Network;
  readonly colo: Colo;
  readonly #time: Scheduler;
  /** When the guest that each QEMU boots is up, once its daemon runs. */
  readonly #bootedMs: Record<HostName, number> = { a: 0, b: 0 };
  #nextPid = 1000;

  constructor(private readonly options: MachinesOptions) {
    const { site, first, note, committed } = options;
    const { time, random } = site;
    this.#time = time;
    this.peer = site.peer;
    this.data = site.data;
    const vm = first === 'a' ? 'web' : 'db';
    const host = (name: HostName): Host => {
      return new Host(name, time, random, vm, name === first ? 'primary' : 'secondary');
    };
    const hosts = { a: host('a'), b: host('b') };
    this.hosts = hosts;
    others.set(hosts.a, hosts.b).set(hosts.b, hosts.a);
    usePeers({
      ...{ network: this.peer, random, hostOf: homeOf },
      other: (one) => others.get(one) ?? hosts.a,
    });
    useBases(homeOf);
    this.colo = new Colo(time, random, this.data, [hosts.a, hosts.b], {
      ...{ note, committed },
      aborts: (qemu) => this.killQemu(this.nameOf(qemu), true),
    });
  }

  /**
   * Its guest runs, and no write of it waits. What its disk swallows while no daemon listens would
   * never be heard of, which is a known gap (docs/how-to/guest-events.md): so it writes nothing.
   */
  mayWrite(name: HostName): boolean {
    const { qemu, process } = this.hosts[name];
    if (!qemu || !this.isReachable(name) || this.colo.waits(qemu)) return false;
    const isHeard = process?.isDead === false && process.haltedAtMs === undefined;
    return qemu.diskFault !== 'swallows' || isHeard;
  }

  /** Its clients reach it, or it reaches a disk. */
  isReachable(name: HostName): boolean {
    const host = this.hosts[name];
    const { qemu, replica, process } = host;
    if (!qemu?.doesRun || qemu.mode === 'secondary') return false;
    if (host.role === 'primary') return this.#time.nowMs >= this.#bootedMs[name];
    if (replica?.state === 'retired') return true;
    return replica?.state === 'failed-over' && process?.isDead === false;
  }

  areInContact(): boolean {
    if (this.hosts.a.role === this.hosts.b.role) return false;
    return HOST_NAMES.every((name) => this.isWell(name)) && this.peer.isWhole;
  }

  /** Its daemon runs, and its QEMU would answer, if there is one. */
  isWell(name: HostName): boolean {
    const { process, qemu } = this.hosts[name];
    const isHalted = process?.haltedAtMs !== undefined || qemu?.process.haltedAtMs !== undefined;
    return this.daemons[name]?.isUp === true && !isHalted && qemu?.hang === undefined;
  }

  /** Whether a QEMU is there that an operator could make run. */
  hasCopy(): boolean {
    return HOST_NAMES.some((name) => {
      const { role, qemu, replica } = this.hosts[name];
      if (qemu?.isAlive !== true) return false;
      if (role === 'primary') return this.daemons[name]?.isUp === true;
      return replica?.state === 'protected' && qemu.mode === 'secondary' && qemu.hasProtected;
    });
  }

  /** What the guest has written is on the disk from which its QEMU would boot. */
  store(name: HostName): void {
    const host = this.hosts[name];
    const { qemu, replica, role } = host;
    const isOnDisk = role === 'primary' || replica?.state === 'retired';
    if (isOnDisk && qemu && qemu.lacksSinceMs === undefined) host.stored = qemu.written;
  }

  boot(name: HostName, isIncoming: boolean): void {
    const host = this.hosts[name];
    const process = new Process(`qemu-${name}`, host.enter);
    homes.set(process, host);
    const written = isIncoming ? undefined : host.stored;
    host.qemu = new SimulatedQemu(this.#nextPid++, process, written, isIncoming, this.colo);
    this.#bootedMs[name] = Infinity;
    if (host.process?.isDead === false && host.process.haltedAtMs === undefined) {
      this.#daemonComes(name);
    }
  }

  /** Whoever starts a VM without its daemon has to wait for it. */
  #daemonComes(name: HostName): void {
    const bootedMs = this.#time.nowMs + BOOT_MS;
    if (this.#time.nowMs < this.#bootedMs[name]) this.#bootedMs[name] = bootedMs;
  }

  #daemonGoes(name: HostName): void {
    if (this.#time.nowMs < this.#bootedMs[name]) this.#bootedMs[name] = Infinity;
  }

  startDaemon(name: HostName): void {
    const host = this.hosts[name];
    if (!host.isPowered || host.process?.isDead === false) return;
    this.#daemonComes(name);
    const process = new Process(`daemon-${name}`, host.enter);
    homes.set(process, host);
    host.process = process;
    host.server = undefined;
    const watcher = this.options.watcherOf(host);
    const daemon = new DaemonRun(host.role, host, this.options.plan, watcher);
    host.mayOverwrite = false;
    this.daemons[name] = daemon;
    this.#time.after(process, 0, () => {
      daemon.start().catch((error: unknown) => {
        watcher.note(`does not start: ${String(error)}`);
        process.kill();
      });
    });
  }

  killDaemon(name: HostName, forMs: number, wasSeen = true): void {
    const host = this.hosts[name];
    host.process?.kill();
    this.daemons[name] = undefined;
    this.#daemonGoes(name);
    host.server = undefined;
    host.disk.crash(wasSeen ? 'process' : 'power');
    if (host.replica) this.colo.replicaEnded(host.replica, wasSeen);
    this.#time.later(forMs, () => this.startDaemon(name));
  }

  stopDaemon(name: HostName, forMs: number): void {
    const daemon = this.daemons[name];
    const { process } = this.hosts[name];
    if (!process || process.isDead || process.haltedAtMs !== undefined) return;
    this.#time.after(process, 0, () => {
      void daemon?.stop().finally(() => {
        this.#time.later(0, () => {
          if (!process.isDead) this.killDaemon(name, forMs);
        });
      });
    });
  }

  halt(process: Process | undefined, forMs: number, stopsClock: boolean): void {
    if (!process || process.isDead) return;
    const name = HOST_NAMES.find((one) => this.hosts[one].process === process);
    process.halt(this.#time.nowMs);
    if (name) this.#daemonGoes(name);
    this.#time.later(forMs, () => {
      this.#time.wake(process, stopsClock);
      if (name && this.hosts[name].process === process) this.#daemonComes(name);
    });
  }

  killQemu(name: HostName, wasSeen: boolean): void {
    const { qemu } = this.hosts[name];
    if (!qemu?.isAlive) return;
    this.options.note(`the QEMU of ${name} ends`);
    qemu.unfitSinceMs ??= this.#time.nowMs;
    if (this.isReachable(name)) this.store(name);
    const { process } = this.hosts[name];
    const isSeen = wasSeen && process?.isDead === false && process.haltedAtMs === undefined;
    if (isSeen && this.daemons[name]?.knows(qemu.pid) === true) qemu.endSeenBy = process;
    qemu.process.kill();
    this.colo.ended(qemu, wasSeen);
  }

  startQemu(name: HostName): void {
    const host = this.hosts[name];
    if (!host.isPowered || host.qemu?.isAlive === true) return;
    // The disks of a secondary that has taken over are started by hand, and are another matter.
    if (host.role === 'primary') this.boot(name, false);
    else if (!host.isGuestsDisk) this.boot(name, true);
  }

  powerOff(name: HostName, forMs: number): void {
    const host = this.hosts[name];
    if (!host.isPowered) return;
    this.options.note(`${name} has no power`);
    host.isPowered = false;
    this.killQemu(name, false);
    this.killDaemon(name, forMs + 1000, false);
    this.#time.later(forMs, () => {
      host.isPowered = true;
    });
  }

  nameOf(qemu: SimulatedQemu): HostName {
    return this.hosts.a.qemu === qemu ? 'a' : 'b';
  }
}
