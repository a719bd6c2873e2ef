// Two VMs crosswise: each host has the primary of the one and the secondary of the other.

import type { Plan } from '../plan.js';
import { Site } from '../site.js';
import { type Outcome, World } from '../world.js';

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
