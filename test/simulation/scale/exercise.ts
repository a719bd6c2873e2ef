// A hard life for a few cells: what must never be is looked for here.

import { DEFAULTS } from './assumptions.js';
import { type Mutant, type MutantName, MUTANTS } from './mutants.js';
import { type Years, years } from './scenarios.js';

const HARD = { ...DEFAULTS, hosts: 32, racks: 4, hostMemoryGiB: 330, seedRate: 20 } as const;

/**
 * Cells of 8 hosts in 4 racks, where hosts die every week.
 *
 * @throws Broken if something is as it must never be
 */
export function exercise(seed: number, length: number, mutant?: MutantName): Years {
  const assumptions = { ...HARD, mtbfYears: 0.02 };
  const { placement = 'spread' }: Partial<Mutant> = mutant ? MUTANTS[mutant] : {};
  return years({ assumptions, cellSize: 8, placement, seed }, 2, length);
}
