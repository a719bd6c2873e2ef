import { describe, expect, test } from '@jest/globals';
import { DriverError } from '../src/index.js';
import { phaseAfter, type PrimaryDriverPhase, type PrimaryStep } from '../src/primary-phase.js';

const BUSY = 'DRIVER_SEED_FAILED';
const EARLY = 'DRIVER_NOT_SEEDED';
const GONE = 'DRIVER_ABORTED';

/** Of each phase: what follows each step, or the code that it is refused with. */
const STEPS = 'seed seeded attach attached adopt start finishSeed leave left'.split(' ');
const TABLE: Readonly<Record<PrimaryDriverPhase, readonly string[]>> = {
  idle: ['seeding', GONE, EARLY, GONE, 'linked', EARLY, 'idle', 'leaving', GONE],
  seeding: [BUSY, 'seeded', EARLY, GONE, BUSY, EARLY, EARLY, 'leaving', GONE],
  seeded: [BUSY, GONE, 'seeded', 'linked', BUSY, EARLY, EARLY, 'leaving', GONE],
  linked: [BUSY, GONE, 'linked', 'linked', BUSY, 'linked', 'linked', 'leaving', GONE],
  leaving: [BUSY, GONE, EARLY, GONE, BUSY, EARLY, EARLY, 'leaving', 'idle'],
};

describe('each cell of the table', () => {
  const cells = Object.entries(TABLE).flatMap(([phase, row]) =>
    row.map((expected, at) => [phase, STEPS[at] ?? '', expected] as const),
  );

  test('there is a cell for each step in each phase', () => {
    expect(cells).toHaveLength(5 * 9);
  });

  test.each(cells)('%s, %s: %s', (phase, step, expected) => {
    const after = (): string => {
      try {
        return phaseAfter(phase as PrimaryDriverPhase, step as PrimaryStep, 'vb0');
      } catch (error) {
        return error instanceof DriverError ? error.code : String(error);
      }
    };
    expect(after()).toBe(expected);
  });
});
