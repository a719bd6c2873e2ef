// pnpm sim: runs seeds, says what it found, shrinks what fails.
//
//   pnpm sim [--seeds N] [--from SEED] [--seed SEED [--trace]] [--mutant NAME]

import { parseArgs } from 'node:util';
import { installDisk } from './disk.js';
import { installLoop } from './event-loop.js';
import { MUTANTS, type MutantName } from './mutants.js';
import { type Plan, planOf, simplerPlans } from './plan.js';
import type { Outcome } from './outcome.js';
import { attempt as attemptRun, type Result as Found, shrink } from './search.js';

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

const FIXED_SEEDS = 300;
const FRESH_SEEDS = 100;
const MUTANT_SEEDS = 400;

type Result = Found<Plan, Outcome>;

const attempt = (plan: Plan): Promise<Result> => attemptRun(plan, new Cluster(plan));

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

async function report(found: Result): Promise<void> {
  const { seed, mutant } = found.plan;
  console.log(`seed ${seed} fails: ${found.error?.stack ?? ''}`);
  console.log(`again: pnpm sim --seed ${seed}${mutant ? ` --mutant ${mutant}` : ''} --trace`);
  const { plan, error, trace } = await shrink(attempt, found, simplerPlans);
  console.log(`shrunk to ${JSON.stringify(plan)}\n  ${error?.message ?? ''}`);
  for (const line of trace.slice(-60)) console.log(line);
}

/** @returns the first result that fails */
async function search(
  from: number,
  count: number,
  mutant: MutantName | undefined,
  tally: Tally,
): Promise<Result | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const result = await attempt(planOf(seed, mutant));
    if (result.error) return result;
    if (result.outcome) tally.add(result.outcome);
    if (tally.runs % 5000 === 0) tally.print();
  }
  return undefined;
}

async function all(): Promise<boolean> {
  const tally = new Tally();
  const fresh = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
  console.log(`seeds 1 to ${FIXED_SEEDS}, and ${FRESH_SEEDS} from ${fresh} on`);
  const found =
    (await search(1, FIXED_SEEDS, undefined, tally)) ??
    (await search(fresh, FRESH_SEEDS, undefined, tally));
  tally.print();
  if (found) await report(found);
  let isGood = !found && tally.spills > 0 && tally.holds > 0;
  for (const [mutant, what] of Object.entries(MUTANTS) as [MutantName, string][]) {
    const caught = await search(1, MUTANT_SEEDS, mutant, new Tally());
    const verdict = caught
      ? `caught by seed ${caught.plan.seed}: ${caught.error?.message}`
      : 'GOT AWAY';
    console.log(`mutant ${mutant} (${what}): ${verdict}`);
    isGood &&= caught !== undefined;
  }
  return isGood;
}

async function main(): Promise<boolean> {
  if (values.mutant !== undefined && !(values.mutant in MUTANTS)) {
    console.error(`no mutant ${values.mutant}; there are ${Object.keys(MUTANTS).join(', ')}`);
    process.exit(2);
  }
  const mutant = values.mutant as MutantName | undefined;
  if (values.seed !== undefined) {
    const result = await attempt(planOf(Number(values.seed), mutant));
    console.log(JSON.stringify(result.plan));
    if (values.trace) for (const line of result.trace) console.log(line);
    console.log(result.error?.stack ?? JSON.stringify(result.outcome));
    return !result.error;
  }
  if (values.seeds === undefined && mutant === undefined) return all();
  const tally = new Tally();
  const from = Number(values.from ?? 1);
  const found = await search(from, Number(values.seeds ?? MUTANT_SEEDS), mutant, tally);
  tally.print();
  if (found) await report(found);
  return !found;
}

if (values.help) console.log(USAGE);
else process.exitCode = (await main()) ? 0 : 1;
