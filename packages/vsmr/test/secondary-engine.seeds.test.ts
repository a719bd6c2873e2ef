/**
 * Both engines in a world that comes from a seed: steps take any time, bytes are late and in
 * pieces, the guests run meanwhile, and up to two things go wrong at any moment. `SEED=n` repeats
 * one seed, `SEEDS_TIMES=n` runs n times as many.
 */
import { expect, test } from '@jest/globals';
import { forSeeds, type Random } from '@gannet/test-support/random.js';
import { PrimaryEngine } from '../src/primary-engine.js';
import { SecondaryEngine } from '../src/secondary-engine.js';
import { brokenEngines, ENGINE_MUTANTS } from './support/mutants.js';
import { type Engines, type Outcome, type Plan, simulate } from './support/simulate.js';
import type { Accident } from './support/world.js';

const ENGINES: Engines = { PrimaryEngine, SecondaryEngine };
const SEEDS = 100;
/** Enough for each mutant. */
const MUTANT_SEEDS = 300;
const STEPS = 110;
const BYTES = 14_000;
const KINDS: readonly Accident['kind'][] = [
  ...(['primary-dies', 'secondary-dies', 'link-cut', 'step-fails'] as const),
];

function planOf(random: Random): Plan {
  const accidents: Accident[] = [];
  for (let left = random.below(3); left > 0; left--) {
    accidents.push({ kind: random.pick(KINDS), at: 1 + random.below(STEPS) });
  }
  // Otherwise the second of two at one step would not happen.
  const isOne = new Set(accidents.map(({ at }) => at)).size < accidents.length;
  const cut = random.chance(0.2) ? { cutAtByte: 1 + random.below(BYTES) } : {};
  return { accidents: isOne ? accidents.slice(1) : accidents, ...cut, random };
}

test('whatever the order of events, the side that is left is whole', async () => {
  const ends = new Map<string, number>();
  let checkpoints = 0;
  await forSeeds(SEEDS, async (random) => {
    const outcome: Outcome = await simulate(ENGINES, planOf(random));
    expect(outcome.faults).toEqual([]);
    checkpoints += outcome.checkpoints;
    ends.set(outcome.end, (ends.get(outcome.end) ?? 0) + 1);
  });
  const counts = [...ends].map(([end, count]) => `${end} ${count}`).join(', ');
  process.stdout.write(`${SEEDS} seeds, ${checkpoints} checkpoints: ${counts}\n`);
  if (process.env['SEED'] === undefined) {
    expect([...ends.keys()].sort()).toEqual(
      expect.arrayContaining(['nothing to take over', 'took over', 'went alone']),
    );
  }
});

test('a seed replays exactly', async () => {
  const outcomes: Outcome[] = [];
  for (let time = 0; time < 2; time++) {
    await forSeeds(5, async (random) => {
      outcomes.push(await simulate(ENGINES, planOf(random)));
    });
  }
  expect(outcomes.slice(5)).toEqual(outcomes.slice(0, 5));
});

test.each(ENGINE_MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
  'a mutant is caught by some seed: %s',
  async (_, mutant) => {
    const engines = await brokenEngines(mutant);
    const faults: string[] = [];
    await forSeeds(MUTANT_SEEDS, async (random) => {
      if (faults.length > 0) return;
      faults.push(...(await simulate(engines, planOf(random))).faults);
    });
    expect(faults).not.toEqual([]);
  },
);
