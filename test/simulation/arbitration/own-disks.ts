// W2 of a primary whose own disk fails: its guest stops before it reads what its disk lacks, and no
// later one runs on it while the secondary has that.

import { Violation } from './checker.js';
import { HOST_NAMES, type Machines } from './machines.js';
import type { HostName } from './network.js';

/** What a daemon needs to be connected with its QEMU. */
const CONNECT_MS = 5000;
/** What a daemon needs to stop a guest. */
const STOP_MS = 1000;
/** What a daemon needs to write down what it has said. */
const WRITE_DOWN_MS = 200;

export class OwnDisks {
  /** Since when the daemon hears all that its QEMU says. */
  readonly #heardSinceMs = new Map<HostName, number>();
  /** Since when the guest has run on a disk that lacks writes, and its daemon knows it. */
  readonly #staleSinceMs = new Map<HostName, number>();

  /** Whose daemon has said that the secondary is to take over from its disk, and when. */
  readonly #givenUpMs = new Map<HostName, number>();

  constructor(private readonly machines: Pick<Machines, 'hosts' | 'daemons' | 'isReachable'>) {}

  /** What QEMU says now is lost: its monitor has hung up. */
  notHeard(name: HostName, nowMs: number): void {
    this.#heardSinceMs.set(name, nowMs + CONNECT_MS);
  }

  /** A daemon has said that its guest is stopped, so that the secondary takes over. */
  gaveUp(name: HostName, nowMs: number): void {
    if (this.machines.hosts[name].qemu?.lacksSinceMs !== undefined) {
      this.#givenUpMs.set(name, nowMs);
    }
  }

  /** An operator takes the disk as it is. */
  forced(name: HostName): void {
    this.#givenUpMs.delete(name);
  }

  /** That was carried out: what the guest writes from here on is on it. */
  wasForced(name: HostName): void {
    const { qemu } = this.machines.hosts[name];
    if (qemu) qemu.lacksSinceMs = undefined;
  }

  /** @param isOverruled whether an operator lets guests run as they are */
  look(nowMs: number, isOverruled: () => boolean): void {
    for (const name of HOST_NAMES) this.#lookAt(name, nowMs, isOverruled);
  }

  #lookAt(name: HostName, nowMs: number, isOverruled: () => boolean): void {
    const { qemu } = this.machines.hosts[name];
    this.#lookAtGivenUp(name, nowMs);
    if (!this.#isHeard(name)) this.#heardSinceMs.delete(name);
    else if (!this.#heardSinceMs.has(name)) this.notHeard(name, nowMs);
    if (this.knownMs(name, nowMs) === undefined || qemu?.doesRun !== true)
      return void this.#staleSinceMs.delete(name);
    const sinceMs = this.#staleSinceMs.get(name) ?? nowMs;
    this.#staleSinceMs.set(name, sinceMs);
    if (nowMs - sinceMs <= STOP_MS) return;
    if (isOverruled()) return void (qemu.lacksSinceMs = undefined);
    throw new Violation('W2', `${name} runs on a disk that lacks writes since ${sinceMs} ms`);
  }

  /** For how long a daemon knows that its own disk lacks writes; undefined if it does not. */
  knownMs(name: HostName, nowMs: number): number | undefined {
    const { lacksSinceMs } = this.machines.hosts[name].qemu ?? {};
    const heardSinceMs = this.#heardSinceMs.get(name);
    if (lacksSinceMs === undefined || heardSinceMs === undefined) return undefined;
    return heardSinceMs <= lacksSinceMs ? nowMs - lacksSinceMs : undefined;
  }

  #lookAtGivenUp(name: HostName, nowMs: number): void {
    const sinceMs = this.#givenUpMs.get(name);
    if (sinceMs === undefined) return;
    const { qemu, process, role } = this.machines.hosts[name];
    // One that is halted writes nothing down: its time is counted from when it goes on.
    const isHalted = process?.haltedAtMs !== undefined;
    if (isHalted) this.#givenUpMs.set(name, nowMs);
    const hasDied = process?.isDead !== false && (isHalted || nowMs - sinceMs < WRITE_DOWN_MS);
    // As a secondary, its disk is overwritten.
    if (hasDied || role === 'secondary') return void this.#givenUpMs.delete(name);
    if (qemu?.lacksSinceMs !== undefined || !this.machines.isReachable(name)) return;
    throw new Violation('W2', `${name} runs again on a disk that lacks what the secondary has`);
  }

  #isHeard(name: HostName): boolean {
    const { process, qemu } = this.machines.hosts[name];
    const isUp = this.machines.daemons[name]?.isUp === true && process?.isDead === false;
    return isUp && process.haltedAtMs === undefined && qemu?.doesRespond === true;
  }
}
