// W2 of a primary whose own disk fails: its guest stops before it reads what its disk lacks.

import { Violation } from './checker.js';
import { HOST_NAMES, type Machines } from './machines.js';
import type { HostName } from './network.js';

/** What a daemon needs to be connected with its QEMU. */
const CONNECT_MS = 5000;
/** What a daemon needs to stop a guest. */
const STOP_MS = 1000;

export class OwnDisks {
  /** Since when the daemon hears all that its QEMU says. */
  readonly #heardSinceMs = new Map<HostName, number>();
  /** Since when the guest has run on a disk that lacks writes, and its daemon knows it. */
  readonly #staleSinceMs = new Map<HostName, number>();

  constructor(private readonly machines: Pick<Machines, 'hosts' | 'daemons'>) {}

  /** What QEMU says now is lost: its monitor has hung up. */
  notHeard(name: HostName, nowMs: number): void {
    this.#heardSinceMs.set(name, nowMs + CONNECT_MS);
  }

  /** @param isOverruled whether an operator lets guests run as they are */
  look(nowMs: number, isOverruled: () => boolean): void {
    for (const name of HOST_NAMES) this.#lookAt(name, nowMs, isOverruled);
  }

  #lookAt(name: HostName, nowMs: number, isOverruled: () => boolean): void {
    const { qemu } = this.machines.hosts[name];
    if (!this.#isHeard(name)) this.#heardSinceMs.delete(name);
    else if (!this.#heardSinceMs.has(name)) this.notHeard(name, nowMs);
    const { lacksSinceMs } = qemu ?? {};
    const heardSinceMs = this.#heardSinceMs.get(name);
    const isKnown =
      lacksSinceMs !== undefined && heardSinceMs !== undefined && heardSinceMs <= lacksSinceMs;
    if (!isKnown || qemu?.doesRun !== true) return void this.#staleSinceMs.delete(name);
    const sinceMs = this.#staleSinceMs.get(name) ?? nowMs;
    this.#staleSinceMs.set(name, sinceMs);
    if (nowMs - sinceMs <= STOP_MS) return;
    if (isOverruled()) return void (qemu.lacksSinceMs = undefined);
    throw new Violation('W2', `${name} runs on a disk that lacks writes since ${sinceMs} ms`);
  }

  #isHeard(name: HostName): boolean {
    const { process, qemu } = this.machines.hosts[name];
    const isUp = this.machines.daemons[name]?.isUp === true && process?.isDead === false;
    return isUp && process.haltedAtMs === undefined && qemu?.doesRespond === true;
  }
}
