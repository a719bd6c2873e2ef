// pnpm sim: runs seeds, says what it found, shrinks what fails.
//
//   pnpm sim [--seeds N] [--from SEED] [--seed SEED [--trace]] [--mutant NAME]

import { parseArgs } from 'node:util';
import { installDisk } from './disk.js';
import { installLoop } from './event-loop.js';
import { MUTANTS, type MutantName } from './mutants.js';
import { type Plan, planOf, simplerPlans } from './plan.js';
import type { Outcome } from './outcome.js';
import { attempt, expectMutant, OPTIONS, Search } from './search.js';

const realNow = performance.now.bind(performance);
installLoop();
installDisk();
// Only now: what it imports must find the simulated ones.
const { Cluster } = await import('./cluster.js');

const USAGE = `Runs the replicator, checkpointer and secondary's driver in a simulated cluster.

  pnpm sim                        a fixed set of seeds, some new ones, and every mutant
  pnpm sim --seeds 100000         100000 new seeds, beginning with --from SEED
  pnpm sim --seed 4711 --trace    repeats one seed and prints its events
  pnpm sim --mutant no-gate       runs code with a deliberate bug, one of:
                                  ${Object.keys(MUTANTS).join(', ')}

Exits with 1 if an invariant was violated or a mutant was not caught.`;

const { values } = parseArgs({ options: OPTIONS });

const FIXED_SEEDS = 300;
const FRESH_SEEDS = 100;
const MUTANT_SEEDS = 400;

function searchWith(mutant: MutantName | undefined): Search<Plan, Outcome> {
  return new Search({
    attempt: (plan) => attempt(plan, new Cluster(plan)),
    planOf: (seed) => planOf(seed, mutant),
    simplerPlans,
    command: mutant === undefined ? 'pnpm sim' : `pnpm sim --mutant ${mutant}`,
    tallyEvery: 5000,
  });
}

class Tally {
  runs = 0;
  turns = 0;
  simulatedMs = 0;
  checkpoints = 0;
  reads = 0;
  writes = 0;
  residual = 0;
  /** Runs in which something was in the spill file. */
  spills = 0;
  /** Runs in which a copy without its primary ran out of memory. */
  holds = 0;
  readonly ends = new Map<string, number>();
  readonly #startMs = realNow();

  add(outcome: Outcome): void {
    this.runs++;
    this.turns += outcome.turns;
    this.simulatedMs += outcome.simulatedMs;
    this.checkpoints += outcome.checkpoints;
    this.reads += outcome.reads;
    this.writes += outcome.writes;
    if (outcome.isResidual) this.residual++;
    if (outcome.spilledBytes > 0) this.spills++;
    if (outcome.holds > 0) this.holds++;
    this.ends.set(outcome.endState, (this.ends.get(outcome.endState) ?? 0) + 1);
  }

  print(): void {
    const seconds = (realNow() - this.#startMs) / 1000;
    const ends = [...this.ends].map(([state, count]) => `${state} ${count}`).join(', ');
    console.log(
      `${this.runs} seeds in ${seconds.toFixed(1)} s: ${this.turns} turns of the loop, ` +
        `${(this.simulatedMs / 3_600_000).toFixed(3)} simulated hours, ` +
        `${this.checkpoints} checkpoints, ` +
        `${this.reads} reads compared, ${this.writes} writes\n` +
        `  at the end: ${ends}; known residual risk met: ${this.residual}, ` +
        `with spilled pages: ${this.spills}, out of memory without a primary: ${this.holds}`,
    );
  }
}

async function all(): Promise<boolean> {
  const tally = new Tally();
  const found = await searchWith(undefined).usual('', FIXED_SEEDS, FRESH_SEEDS, tally);
  let isGood = !found && tally.spills > 0 && tally.holds > 0;
  for (const [mutant, what] of Object.entries(MUTANTS) as [MutantName, string][]) {
    const caught = await searchWith(mutant).among(1, MUTANT_SEEDS, new Tally());
    const verdict = caught
      ? `caught by seed ${caught.plan.seed}: ${caught.error?.message}`
      : 'GOT AWAY';
    console.log(`mutant ${mutant} (${what}): ${verdict}`);
    isGood &&= caught !== undefined;
  }
  return isGood;
}

async function main(): Promise<boolean> {
  expectMutant(values.mutant, MUTANTS);
  const mutant = values.mutant as MutantName | undefined;
  const search = searchWith(mutant);
  if (values.seed !== undefined) return search.repeat(Number(values.seed), values.trace === true);
  if (values.seeds === undefined && mutant === undefined) return all();
  const tally = new Tally();
  const count = Number(values.seeds ?? MUTANT_SEEDS);
  const found = await search.among(Number(values.from ?? 1), count, tally);
  tally.print();
  if (found) await search.report(found);
  return !found;
}

if (values.help) console.log(USAGE);
else process.exitCode = (await main()) ? 0 : 1;
