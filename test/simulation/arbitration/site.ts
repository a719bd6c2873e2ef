// What the VMs of two hosts share: their power, their clocks, the networks between them.

import { Random } from '@gannet/test-support/random.js';
import type { Host } from './host.js';
import { type HostName, Network } from './network.js';
import { Scheduler } from './scheduler.js';

/** Two of the same VM are one. */
export interface SharedHost {
  powerOff(name: HostName, forMs: number): void;
  suspend(name: HostName, forMs: number): void;
  reset(): void;
  look(): void;
  readonly hosts: Readonly<Record<HostName, Host>>;
}

export class Site {
  readonly time = new Scheduler();
  readonly random: Random;
  readonly peer = new Network();
  readonly data = new Network();
  readonly #vms: SharedHost[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  add(vm: SharedHost): void {
    for (const { hosts } of this.#vms) {
      for (const name of ['a', 'b'] as const) {
        hosts[name].beside = vm.hosts[name];
        vm.hosts[name].beside = hosts[name];
      }
    }
    this.#vms.push(vm);
  }

  /** A host has both VMs: a fence of the one ends the other, too. */
  get hasTwo(): boolean {
    return this.#vms.length > 1;
  }

  powerOff(name: HostName, forMs: number): void {
    for (const vm of this.#vms) vm.powerOff(name, forMs);
  }

  suspend(name: HostName, forMs: number): void {
    for (const vm of this.#vms) vm.suspend(name, forMs);
  }

  reset(): void {
    for (const vm of this.#vms) vm.reset();
  }

  async run(untilMs: number): Promise<void> {
    await this.time.run(untilMs, () => {
      for (const vm of this.#vms) vm.look();
    });
  }
}
