// Who may run, in a simulation: runs seeds, says what it found, shrinks what fails.
//
//   node test/simulation/dist/arbitration/main.js [--seeds N] [--from SEED] [--seed SEED [--trace]]
//     [--mutant NAME]

import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Attempt, attempt, expectMutant, mutantRun, OPTIONS, Search } from '../search.js';
import { MUTANTS, type MutantName } from './mutants.js';
import { type Plan, planOf, simplerPlans } from './plan.js';
import type { Outcome } from './world.js';

const USAGE = `Runs both daemons of a pair in a simulated world, from seeds.

  node test/simulation/dist/arbitration/main.js
                      a fixed set of seeds, some new ones, and every mutant
  --seeds 100000      100000 new seeds, beginning with --from SEED
  --seed 4711         repeats one seed; --trace prints what happens
  --mutant NAME       runs code with a deliberate bug, one of:
                      ${Object.keys(MUTANTS).join(', ')}

Exits with 1 if an invariant was violated or a mutant was not caught.`;

const { values } = parseArgs({ options: OPTIONS });

const FIXED_SEEDS = 100;
const FRESH_SEEDS = 30;
const MUTANT_SEEDS = 300;
const REPLAYED_SEEDS = 5;
const SCRIPT = fileURLToPath(import.meta.url);
const COMMAND = 'node test/simulation/dist/arbitration/main.js';

const realNow = performance.now.bind(performance);
/** Loads the code under test, with its edges and the mutant. Once in a process. */
async function loaded(mutant: MutantName | undefined): Promise<Attempt<Plan, Outcome>> {
  register('./edges.js', import.meta.url, { data: { edits: mutant ? MUTANTS[mutant].edits : [] } });
  const { installTime } = await import('./scheduler.js');
  const { installHosts } = await import('./host.js');
  installTime();
  installHosts();
  const { World } = await import('./world.js');
  const { Crosswise } = await import('./vm/crosswise.js');
  // Most of the errors are expected ones, and none of them needs to say where it came from.
  if (values.seed === undefined) Error.stackTraceLimit = 0;
  return (plan) => {
    const { beside } = plan;
    return attempt(plan, beside ? new Crosswise({ ...plan, beside }) : new World(plan));
  };
}

class Tally {
  #runs = 0;
  #callbacks = 0;
  #simulatedMs = 0;
  #checkpoints = 0;
  #takeovers = 0;
  #fences = 0;
  #commands = 0;
  #overrulings = 0;
  #settled = 0;
  #split = 0;
  #longestContactMs = 0;
  #reprotects = 0;
  #diskErrors = 0;
  #crossed = 0;
  readonly #ends = new Map<string, number>();
  readonly #startMs = realNow();

  add(outcome: Outcome): void {
    this.#runs++;
    this.#callbacks += outcome.callbacks;
    this.#simulatedMs += outcome.simulatedMs;
    this.#checkpoints += outcome.checkpoints;
    this.#takeovers += outcome.takeovers;
    this.#fences += outcome.fences;
    this.#commands += outcome.commands;
    this.#overrulings += outcome.overrulings;
    this.#settled += outcome.settled;
    if (outcome.splitMs > 0) this.#split++;
    this.#longestContactMs = Math.max(this.#longestContactMs, outcome.longestContactMs);
    this.#reprotects += outcome.reprotects;
    this.#diskErrors += outcome.diskErrors;
    this.#crossed += outcome.crossed;
    this.#ends.set(outcome.end, (this.#ends.get(outcome.end) ?? 0) + 1);
  }

  get runs(): number {
    return this.#runs;
  }

  /** Whether something that the invariants are about never happened. */
  get isIdle(): boolean {
    return [this.#checkpoints, this.#takeovers, this.#fences, this.#commands].includes(0);
  }

  print(): void {
    const seconds = (realNow() - this.#startMs) / 1000;
    const ends = [...this.#ends].map(([end, count]) => `${end} ${count}`).join(', ');
    console.log(
      `who may run: ${this.#runs} seeds in ${seconds.toFixed(1)} s, ` +
        `${this.#callbacks} callbacks, ${(this.#simulatedMs / 3_600_000).toFixed(1)} simulated ` +
        `hours, ${this.#checkpoints} checkpoints, ${this.#takeovers} takeovers, ` +
        `${this.#fences} fences, ${this.#commands} commands, ` +
        `${this.#reprotects} protected again, ${this.#diskErrors} disk errors, ` +
        `${this.#crossed} fences that have ended another VM, too\n` +
        `  overruled by force: ${this.#overrulings}, known to both then: ${this.#settled}, ` +
        `two guests in ${this.#split} seeds, at most ${this.#longestContactMs.toFixed(0)} ms in ` +
        `contact; what runs in the end, by whom: ${ends}`,
    );
  }
}

async function all(run: Attempt<Plan, Outcome>, search: Search<Plan, Outcome>): Promise<boolean> {
  const caught = Object.entries(MUTANTS).map(
    async ([name, { why }]) => [name, why, await mutantRun(SCRIPT, ['--mutant', name])] as const,
  );
  const tally = new Tally();
  const found = await search.usual('who may run: ', FIXED_SEEDS, FRESH_SEEDS, tally);
  let isGood = !found;
  for (let seed = 1; seed <= REPLAYED_SEEDS; seed++) {
    const [first, second] = [await run(planOf(seed)), await run(planOf(seed))];
    const shown = [first, second].map(({ outcome, trace }) => JSON.stringify({ outcome, trace }));
    if (shown[0] === shown[1]) continue;
    console.log(`seed ${seed} can't be replayed: something in it does not come from the seed`);
    isGood = false;
  }
  for (const [name, { run: plan }] of Object.entries(MUTANTS)) {
    const result = await run(plan);
    if (!result.error) continue;
    console.log(`the run of mutant ${name} fails without it: ${result.error.message}`);
    isGood = false;
  }
  if (tally.isIdle) {
    console.log('nothing happened in these worlds: they show nothing');
    isGood = false;
  }
  for (const [name, why, words] of await Promise.all(caught)) {
    console.log(`mutant ${name} (${why}): ${words ?? 'GOT AWAY'}`);
    isGood &&= words !== undefined;
  }
  return isGood;
}

async function main(): Promise<boolean> {
  expectMutant(values.mutant, MUTANTS);
  const mutant = values.mutant as MutantName | undefined;
  const run = await loaded(mutant);
  const command = mutant === undefined ? COMMAND : `${COMMAND} --mutant ${mutant}`;
  const search = new Search({ attempt: run, planOf, simplerPlans, command });
  if (values.seed !== undefined) return search.repeat(Number(values.seed), values.trace === true);
  if (values.seeds === undefined && mutant === undefined) return all(run, search);
  if (mutant !== undefined && values.seeds === undefined) {
    const result = await run(MUTANTS[mutant].run);
    if (result.error) await search.report(result);
    return !result.error;
  }
  const tally = new Tally();
  const count = Number(values.seeds ?? MUTANT_SEEDS);
  const found = await search.among(Number(values.from ?? 1), count, tally);
  tally.print();
  if (found) await search.report(found);
  return !found;
}

if (values.help) console.log(USAGE);
else process.exit((await main()) ? 0 : 1);
