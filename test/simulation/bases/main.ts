// Large disks and storage daemons, in a simulation: runs seeds, says what it found, shrinks what
// fails.
//
//   node test/simulation/dist/bases/main.js [--seeds N] [--from SEED] [--seed SEED [--trace]]
//     [--mutant NAME]

import { fork } from 'node:child_process';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installDisk } from '../disk.js';
import { installLoop } from '../event-loop.js';
import { type Attempt, attempt as attemptRun, type Result as Found, shrink } from '../search.js';
import { isMutant, type Mutant, MUTANTS, type MutantName } from './mutants.js';
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

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    mutant: { type: 'string' },
    trace: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

const FIXED_SEEDS = 20;
const FRESH_SEEDS = 10;
const MUTANT_SEEDS = 200;

const realNow = performance.now.bind(performance);

type Result = Found<Plan, Outcome>;

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
    return attemptRun(own, new World(own));
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

async function report(run: Attempt<Plan, Outcome>, found: Result): Promise<void> {
  const { seed } = found.plan;
  const mutant = values.mutant === undefined ? '' : ` --mutant ${values.mutant}`;
  console.log(`seed ${seed} fails: ${found.error?.stack ?? ''}`);
  console.log(`again: node test/simulation/dist/bases/main.js --seed ${seed}${mutant} --trace`);
  const { plan, error, trace } = await shrink(run, found, simplerPlans);
  console.log(`shrunk to ${JSON.stringify(plan)}\n  ${error?.message ?? ''}`);
  for (const line of trace.slice(-60)) console.log(line);
}

/** @returns the first result that fails */
async function search(
  run: Attempt<Plan, Outcome>,
  from: number,
  count: number,
  tally: Tally,
): Promise<Result | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const result = await run(planOf(seed));
    if (result.error) return result;
    if (result.outcome) tally.add(result.outcome);
    if (tally.runs % 1000 === 0) tally.print();
  }
  return undefined;
}

/** In a process of its own, since code is loaded once. @returns its last words */
function mutantRun(name: string, from: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const args = ['--mutant', name, '--from', String(from), '--seeds', String(MUTANT_SEEDS)];
    const child = fork(fileURLToPath(import.meta.url), args, { silent: true });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      // The rest is for people.
      if (/^seed \d+ fails: .*\n/m.test(text)) child.kill();
    });
    child.once('exit', () => resolve(/^seed \d+ fails: .*$/m.exec(text)?.[0]));
  });
}

async function all(run: Attempt<Plan, Outcome>): Promise<boolean> {
  const tally = new Tally();
  const fresh = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
  console.log(`bases: seeds 1 to ${FIXED_SEEDS}, and ${FRESH_SEEDS} from ${fresh} on`);
  const found =
    (await search(run, 1, FIXED_SEEDS, tally)) ?? (await search(run, fresh, FRESH_SEEDS, tally));
  tally.print();
  if (found) await report(run, found);
  let isGood = !found && !tally.isIdle;
  if (tally.isIdle) console.log('not all ends were met: these runs show too little');
  const queue = Object.entries(MUTANTS);
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [name, { why, from }] = next;
      const words = await mutantRun(name, from);
      console.log(`mutant ${name} (${why}): ${words ?? 'GOT AWAY'}`);
      isGood &&= words !== undefined;
    }
  };
  await Promise.all([worker(), worker()]);
  return isGood;
}

async function main(): Promise<boolean> {
  const { mutant } = values;
  if (mutant !== undefined && !isMutant(mutant)) {
    console.error(`no mutant ${mutant}; there are ${Object.keys(MUTANTS).join(', ')}`);
    process.exit(2);
  }
  const run = await loaded(mutant);
  if (values.seed !== undefined) {
    const result = await run(planOf(Number(values.seed)));
    console.log(JSON.stringify(result.plan));
    if (values.trace) for (const line of result.trace) console.log(line);
    console.log(result.error?.stack ?? JSON.stringify(result.outcome));
    return !result.error;
  }
  if (values.seeds === undefined && mutant === undefined) return all(run);
  const tally = new Tally();
  const from = Number(values.from ?? 1);
  const found = await search(run, from, Number(values.seeds ?? MUTANT_SEEDS), tally);
  tally.print();
  if (found) await report(run, found);
  return !found;
}

if (values.help) console.log(USAGE);
else process.exit((await main()) ? 0 : 1);
