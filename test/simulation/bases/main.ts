// Large disks and storage daemons, in a simulation: runs seeds, says what it found, shrinks what
// fails.
//
//   node test/simulation/dist/bases/main.js [--seeds N] [--from SEED] [--seed SEED [--trace]]
//     [--mutant NAME]

import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installDisk } from '../disk.js';
import { installLoop } from '../event-loop.js';
import { type Attempt, attempt, expectMutant, mutantRun, OPTIONS, Search } from '../search.js';
import { type Mutant, MUTANTS, type MutantName } from './mutants.js';
import { type Outcome, type Plan, planOf, simplerPlans } from './plan.js';
import { installStorageHost } from './storage-host.js';

const USAGE = `Runs a replica with large disks and storage daemons in a simulated world, from seeds.

  node test/simulation/dist/bases/main.js
                      a fixed set of seeds, some new ones, and every mutant
  --seeds 100000      100000 new seeds, beginning with --from SEED
  --seed 4711         repeats one seed; --trace prints what happens
  --mutant NAME       runs code with a deliberate bug, one of:
                      ${Object.keys(MUTANTS).join(', ')}

Exits with 1 if an invariant was violated or a mutant was not caught.`;

const { values } = parseArgs({ options: OPTIONS });

const FIXED_SEEDS = 20;
const FRESH_SEEDS = 10;
const MUTANT_SEEDS = 200;
const SCRIPT = fileURLToPath(import.meta.url);
const COMMAND = 'node test/simulation/dist/bases/main.js';

const realNow = performance.now.bind(performance);

/** Loads the code under test, with its edges and the mutant. Once in a process. */
async function loaded(mutant: MutantName | undefined): Promise<Attempt<Plan, Outcome>> {
  register('./edits.js', import.meta.url, { data: { edits: mutant ? MUTANTS[mutant].edits : [] } });
  installLoop();
  installDisk();
  installStorageHost();
  const { World } = await import('./world.js');
  // Most of the errors are expected ones, and none of them needs to say where it came from.
  if (values.seed === undefined) Error.stackTraceLimit = 0;
  const needed = mutant && (MUTANTS[mutant] as Mutant).plan;
  return (plan) => {
    const own = { ...plan, ...needed };
    return attempt(own, new World(own));
  };
}

class Tally {
  runs = 0;
  #turns = 0;
  #simulatedMs = 0;
  #commits = 0;
  #reads = 0;
  #writes = 0;
  readonly #ends = new Map<string, number>();
  readonly #startMs = realNow();

  add(outcome: Outcome): void {
    this.runs++;
    this.#turns += outcome.turns;
    this.#simulatedMs += outcome.simulatedMs;
    this.#commits += outcome.commits;
    this.#reads += outcome.reads;
    this.#writes += outcome.writes;
    this.#ends.set(outcome.endState, (this.#ends.get(outcome.endState) ?? 0) + 1);
  }

  /** A simulation in which nothing happens finds nothing. */
  get isIdle(): boolean {
    const states = ['failed-over', 'retired', 'protected'];
    return this.#reads === 0 || !states.every((state) => this.#ends.has(state));
  }

  print(): void {
    const seconds = (realNow() - this.#startMs) / 1000;
    const ends = [...this.#ends].map(([state, count]) => `${state} ${count}`).join(', ');
    console.log(
      `${this.runs} seeds in ${seconds.toFixed(1)} s: ${this.#turns} turns of the loop, ` +
        `${(this.#simulatedMs / 60_000).toFixed(1)} simulated minutes, ${this.#commits} commits, ` +
        `${this.#reads} reads compared, ${this.#writes} writes\n  at the end: ${ends}`,
    );
  }
}

async function all(search: Search<Plan, Outcome>): Promise<boolean> {
  const tally = new Tally();
  const found = await search.usual('bases: ', FIXED_SEEDS, FRESH_SEEDS, tally);
  let isGood = !found && !tally.isIdle;
  if (tally.isIdle) console.log('not all ends were met: these runs show too little');
  const queue = Object.entries(MUTANTS);
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [name, { why, from }] = next;
      const seeds = ['--from', String(from), '--seeds', String(MUTANT_SEEDS)];
      const words = await mutantRun(SCRIPT, ['--mutant', name, ...seeds]);
      console.log(`mutant ${name} (${why}): ${words ?? 'GOT AWAY'}`);
      isGood &&= words !== undefined;
    }
  };
  await Promise.all([worker(), worker()]);
  return isGood;
}

async function main(): Promise<boolean> {
  expectMutant(values.mutant, MUTANTS);
  const mutant = values.mutant as MutantName | undefined;
  const search = new Search({
    attempt: await loaded(mutant),
    planOf,
    simplerPlans,
    command: mutant === undefined ? COMMAND : `${COMMAND} --mutant ${mutant}`,
  });
  if (values.seed !== undefined) return search.repeat(Number(values.seed), values.trace === true);
  if (values.seeds === undefined && mutant === undefined) return all(search);
  const tally = new Tally();
  const count = Number(values.seeds ?? MUTANT_SEEDS);
  const found = await search.among(Number(values.from ?? 1), count, tally);
  tally.print();
  if (found) await search.report(found);
  return !found;
}

if (values.help) console.log(USAGE);
else process.exit((await main()) ? 0 : 1);
