/** Whatever breaks, and whenever: one side is left, and it is whole. */
import { describe, expect, test } from '@jest/globals';
import { forSeeds } from '@gannet/test-support/random.js';
import { PrimaryEngine } from '../src/primary-engine.js';
import { SecondaryEngine } from '../src/secondary-engine.js';
import { brokenEngines, CONTINUED_MUTANTS, ENGINE_MUTANTS } from './support/mutants.js';
import { type Engines, type Outcome, type Plan, simulate } from './support/simulate.js';
import type { Accident } from './support/world.js';

const ENGINES: Engines = { PrimaryEngine, SecondaryEngine };
const KINDS: readonly Accident['kind'][] = [
  ...(['primary-dies', 'secondary-dies', 'link-cut', 'step-fails', 'continued'] as const),
];
/** Of checkpoints that were made. */
const COUNTS: Readonly<Record<Accident['kind'], readonly number[]>> = {
  ...{ 'primary-dies': [0, 1, 2, 3], 'secondary-dies': [0, 1, 2, 3], 'link-cut': [0, 1, 2, 3] },
  ...{ 'step-fails': [1, 2, 3], continued: [1, 2, 3] },
};
/** About what a run takes, and how many runs with two accidents. */
const STEPS = 95;
const RUNS = 100;
/** No multiple of the size of anything on the wire. */
const STRIDE_BYTES = 23;

/** Runs until the accident comes too late to happen, or an outcome is enough. */
async function atEach(
  engines: Engines,
  planOf: (at: number) => Plan,
  stride = 1,
  isEnough: (outcome: Outcome) => boolean = () => false,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let at = 1; ; at += stride) {
    const outcome = await simulate(engines, planOf(at));
    if (!outcome.hasHappened) return outcomes;
    outcomes.push(outcome);
    if (isEnough(outcome)) return outcomes;
  }
}

function faultsOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ faults }, at) => faults.map((fault) => `at ${at + 1}: ${fault}`));
}

/** Numbers of checkpoints that occurred. */
function countsOf(outcomes: readonly Outcome[]): number[] {
  return [...new Set(outcomes.map(({ checkpoints }) => checkpoints))].sort((a, b) => a - b);
}

test('nothing goes wrong: three checkpoints, and the last is what the primary was', async () => {
  const outcome = await simulate(ENGINES, {});
  expect(outcome).toMatchObject({ faults: [], checkpoints: 3, end: 'took over' });
});

describe('at each step', () => {
  test.each(KINDS)('%s', async (kind) => {
    const outcomes = await atEach(ENGINES, (at) => ({ accidents: [{ kind, at }] }));
    expect(faultsOf(outcomes)).toEqual([]);
    expect(countsOf(outcomes)).toEqual(COUNTS[kind]);
    expect(outcomes.length).toBeGreaterThan(90);
  });
});

describe('a step fails, and at any step after it', () => {
  test.each(KINDS)('%s', async (kind) => {
    const ends = new Set<string>();
    await forSeeds(RUNS, async (random) => {
      const first = 1 + random.below(STEPS);
      const second = first + 1 + random.below(12);
      const accidents: Accident[] = [
        { kind: 'step-fails', at: first },
        { kind, at: second },
      ];
      const { faults, end } = await simulate(ENGINES, { accidents });
      expect(faults).toEqual([]);
      ends.add(end);
    });
    expect(ends.has('unfit')).toBe(!['primary-dies', 'link-cut'].includes(kind));
  });
});

test('the connection breaks after some bytes, within frames and between them', async () => {
  const outcomes = await atEach(ENGINES, (cutAtByte) => ({ cutAtByte }), STRIDE_BYTES);
  expect(faultsOf(outcomes)).toEqual([]);
  expect(countsOf(outcomes)).toEqual([0, 1, 2, 3]);
});

describe('a mutant is caught', () => {
  test.each(
    [...ENGINE_MUTANTS, ...CONTINUED_MUTANTS].map((mutant) => [mutant.name, mutant] as const),
  )('%s', async (_, mutant) => {
    const engines = await brokenEngines(mutant);
    const planOf = (kind: Accident['kind']) => (at: number) => ({ accidents: [{ kind, at }] });
    const faults = [...(await simulate(engines, {})).faults];
    for (const kind of KINDS) {
      if (faults.length > 0) break;
      const outcomes = await atEach(
        engines,
        planOf(kind),
        1,
        ({ faults: [one] }) => one !== undefined,
      );
      faults.push(...faultsOf(outcomes));
    }
    expect(faults).not.toEqual([]);
  });
});
