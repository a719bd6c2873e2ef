// Runs plans, looks for the simplest one that fails, and says what it found: what the simulations'
// command lines have in common.

import { fork } from 'node:child_process';

/** The options of each simulation, for parseArgs(). */
export const OPTIONS = {
  seeds: { type: 'string' },
  from: { type: 'string' },
  seed: { type: 'string' },
  mutant: { type: 'string' },
  trace: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const TRACE_LINES = 80;

export interface Result<P, O> {
  readonly plan: P;
  readonly outcome: O | undefined;
  readonly error: Error | undefined;
  readonly trace: readonly string[];
}

export type Attempt<P, O> = (plan: P) => Promise<Result<P, O>>;

const realImmediate = setImmediate;

/**
 * An error thrown in a callback of the run, or later by a promise that nobody awaits, is the run's.
 */
export async function attempt<P, O>(
  plan: P,
  world: {
    readonly trace: readonly string[];
    /** What was thrown where the code under test caught it. */
    readonly failure?: Error | undefined;
    run(): Promise<O>;
    /** Nothing of the run goes on. */
    end?(): void;
  },
): Promise<Result<P, O>> {
  let stray: Error | undefined;
  const onStray = (error: unknown): void => {
    stray ??= error instanceof Error ? error : new Error(String(error));
  };
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  let outcome: O | undefined;
  let error: Error | undefined;
  try {
    outcome = await world.run();
  } catch (thrown) {
    error = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  world.end?.();
  await new Promise((resolve) => realImmediate(resolve));
  process.off('uncaughtException', onStray);
  process.off('unhandledRejection', onStray);
  return { plan, outcome, error: world.failure ?? error ?? stray, trace: world.trace };
}

/** Takes things away from a plan as long as it still fails. */
async function shrink<P, O>(
  run: Attempt<P, O>,
  found: Result<P, O>,
  simplerPlans: (plan: P) => P[],
): Promise<Result<P, O>> {
  let smallest = found;
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const plan of simplerPlans(smallest.plan)) {
      const result = await run(plan);
      if (!result.error) continue;
      smallest = result;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

/** Counts what runs have shown. */
export interface Tally<O> {
  readonly runs: number;
  add(outcome: O): void;
  print(): void;
}

export interface SearchOptions<P, O> {
  readonly attempt: Attempt<P, O>;
  readonly planOf: (seed: number) => P;
  readonly simplerPlans: (plan: P) => P[];
  /** The command line that repeats a seed; `--seed` and `--trace` are added. */
  readonly command: string;
  readonly tallyEvery?: number;
}

/** Runs seeds of one simulation, with one mutant or none. */
export class Search<P extends { readonly seed: number }, O> {
  constructor(private readonly options: SearchOptions<P, O>) {}

  /** @returns the first result that fails */
  async among(from: number, count: number, tally: Tally<O>): Promise<Result<P, O> | undefined> {
    const { attempt: run, planOf, tallyEvery = 1000 } = this.options;
    for (let seed = from; seed < from + count; seed++) {
      const result = await run(planOf(seed));
      if (result.error) return result;
      if (result.outcome) tally.add(result.outcome);
      if (tally.runs % tallyEvery === 0) tally.print();
    }
    return undefined;
  }

  /** As among(), with the same seeds each time and then some new ones. */
  async usual(
    name: string,
    fixed: number,
    fresh: number,
    tally: Tally<O>,
  ): Promise<Result<P, O> | undefined> {
    const from = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
    console.log(`${name}seeds 1 to ${fixed}, and ${fresh} from ${from} on`);
    const found = (await this.among(1, fixed, tally)) ?? (await this.among(from, fresh, tally));
    tally.print();
    if (found) await this.report(found);
    return found;
  }

  async report(found: Result<P, O>): Promise<void> {
    const { attempt: run, simplerPlans, command } = this.options;
    console.log(`seed ${found.plan.seed} fails: ${found.error?.stack ?? ''}`);
    console.log(`again: ${command} --seed ${found.plan.seed} --trace`);
    const { plan, error, trace } = await shrink(run, found, simplerPlans);
    console.log(`shrunk to ${JSON.stringify(plan)}\n  ${error?.message ?? ''}`);
    for (const line of trace.slice(-TRACE_LINES)) console.log(line);
  }

  /** @returns whether the seed is good */
  async repeat(seed: number, hasTrace: boolean): Promise<boolean> {
    const { attempt: run, planOf } = this.options;
    const { plan, trace, error, outcome } = await run(planOf(seed));
    console.log(JSON.stringify(plan));
    if (hasTrace) for (const line of trace) console.log(line);
    console.log(error?.stack ?? JSON.stringify(outcome));
    return !error;
  }
}

/**
 * A mutant in a process of its own, for simulations that load their code once.
 *
 * @param script the simulation's main file
 * @returns what it says first of the seed that fails
 */
export function mutantRun(script: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = fork(script, args, { silent: true });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      // The rest is for people.
      if (/^seed \d+ fails: .*\n/m.test(text)) child.kill();
    });
    child.once('exit', () => resolve(/^seed \d+ fails: .*$/m.exec(text)?.[0]));
  });
}

/** Exits with 2 if there is no such mutant. */
export function expectMutant(name: string | undefined, mutants: object): void {
  if (name === undefined || Object.hasOwn(mutants, name)) return;
  console.error(`no mutant ${name}; there are ${Object.keys(mutants).join(', ')}`);
  process.exit(2);
}
