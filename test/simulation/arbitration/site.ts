// What the VMs of two hosts share: their power, their clocks, the networks between them. And two VMs
// crosswise: each host has the primary of the one and the secondary of the other.

import { Random } from '@gannet/test-support/random.js';
import type { Host } from './host.js';
import { type HostName, Network } from './network.js';
import type { Plan } from './plan.js';
import { Scheduler } from './scheduler.js';
import { type Outcome, World } from './world.js';

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

/** Each VM has a plan, a checker and an end of its own. */
export class Crosswise {
  readonly #site: Site;
  readonly #worlds: readonly World[];

  constructor(plan: Plan & { readonly beside: Plan }) {
    this.#site = new Site(plan.seed);
    this.#worlds = [new World(plan, this.#site), new World(plan.beside, this.#site, 'b')];
  }

  get trace(): readonly string[] {
    const all = this.#worlds.flatMap(({ trace }, index) =>
      trace.map((line) => `${line.slice(0, 10)}${index === 0 ? 'web' : 'db '} ${line.slice(10)}`),
    );
    return all.sort((one, other) => parseFloat(one) - parseFloat(other));
  }

  get failure(): Error | undefined {
    return this.#worlds.find(({ failure }) => failure !== undefined)?.failure;
  }

  async run(): Promise<Outcome> {
    const worlds = this.#worlds;
    for (const world of worlds) world.begin();
    await this.#site.run(Math.max(...worlds.map(({ troubleMs }) => troubleMs)));
    for (const world of worlds) world.heal();
    await world0(worlds).settle();
    const outcomes: Outcome[] = [];
    for (const world of worlds) outcomes.push(await world.outcome());
    return outcomes.reduce(both);
  }

  end(): void {
    for (const world of this.#worlds) world.end();
  }
}

function world0([first]: readonly World[]): World {
  if (!first) throw new Error('no world');
  return first;
}

/** The VM of which a person had to do more says how it ended. */
const ENDS: readonly Outcome['end'][] = ['itself', 'reboot', 'operator', 'force', 'recover'];

function both(one: Outcome, other: Outcome): Outcome {
  const isMore = ENDS.indexOf(other.end) > ENDS.indexOf(one.end);
  return {
    callbacks: other.callbacks,
    simulatedMs: other.simulatedMs,
    checkpoints: one.checkpoints + other.checkpoints,
    takeovers: one.takeovers + other.takeovers,
    fences: one.fences + other.fences,
    commands: one.commands + other.commands,
    overrulings: one.overrulings + other.overrulings,
    settled: one.settled + other.settled,
    splitMs: one.splitMs + other.splitMs,
    longestContactMs: Math.max(one.longestContactMs, other.longestContactMs),
    reprotects: one.reprotects + other.reprotects,
    diskErrors: one.diskErrors + other.diskErrors,
    crossed: one.crossed + other.crossed,
    end: isMore ? other.end : one.end,
  };
}
