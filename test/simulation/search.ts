// Runs plans, and looks for the simplest one that fails.

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
  world: { readonly trace: readonly string[]; run(): Promise<O> },
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
    await new Promise((resolve) => realImmediate(resolve));
  } catch (thrown) {
    error = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  process.off('uncaughtException', onStray);
  process.off('unhandledRejection', onStray);
  return { plan, outcome, error: error ?? stray, trace: world.trace };
}

/** Takes things away from a plan as long as it still fails. */
export async function shrink<P, O>(
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
