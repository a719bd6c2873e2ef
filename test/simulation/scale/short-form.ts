// A second's worth of it, for the unit tests: what is simulated beside what is known on paper.

import { Random } from '@gannet/test-support/random.js';
import { DEFAULTS } from './assumptions.js';
import { Cell } from './cell.js';
import { seedHours, shareInOneRack } from './closed-forms.js';
import { exercise } from './exercise.js';
import { Broken } from './pair.js';
import { hostLosses, rackLoss, upgrade, years } from './scenarios.js';

/** Nothing but the limit of a seed slows it down. */
const ROOMY = { ...DEFAULTS, hostMemoryGiB: 1e5, diskRate: 1e6, networkRate: 1e6 };
const FEW = { ...DEFAULTS, hosts: 64, racks: 4 };

/** As JSON. */
export function shortForm(): object {
  return {
    oneHost: oneHost(),
    oneRack: oneRack(),
    pairsBesideSpread: [placed('pairs', 2), placed('spread', 16)],
    upgrade: upgrade(
      { assumptions: DEFAULTS, cellSize: 8, placement: 'spread', seed: 1 },
      'wait',
      1,
    ),
    replays: [short(), short()],
    anyRack: broken(),
  };
}

/** What each VM took beyond its seed, in seconds: until it was known, and it had settled. */
function oneHost(): { readonly copies: number; readonly beyondSeed: readonly number[] } {
  const cell = new Cell(ROOMY, 'spread', [0, 1, 2, 3, 4, 5, 6, 7], new Random(1));
  const { primaries, secondaries } = cell.host(3);
  const hurt = [...primaries, ...secondaries];
  cell.lose(3);
  cell.runUntil(Infinity, () => cell.isCovered);
  const taken = [...cell.exposure.lengths].sort((one, other) => one - other);
  const seeds = hurt.map(({ diskGiB, memoryGiB }) => seedHours(ROOMY, diskGiB, memoryGiB) * 3600);
  seeds.sort((one, other) => one - other);
  const beyondSeed = taken.map((seconds, at) => seconds - (seeds[at] ?? 0));
  return { copies: hurt.length, beyondSeed };
}

/** Of the VMs that a rack ran. */
function oneRack(): { readonly down: number; readonly onPaper: number; readonly spread: number } {
  const setting = { assumptions: FEW, cellSize: 8, seed: 1 } as const;
  const any = rackLoss({ ...setting, placement: 'any-rack', mayShareRack: true }, 2);
  const spread = rackLoss({ ...setting, placement: 'spread' }, 2);
  const ran = any.hosts * FEW.vmsPerHost;
  return { down: any.downs / ran, onPaper: shareInOneRack(8, 2), spread: spread.downs };
}

function placed(placement: 'pairs' | 'spread', cellSize: number): object {
  const assumptions = DEFAULTS;
  const [loss] = hostLosses({ assumptions, cellSize, placement, seed: 1 }, 1);
  return { hours: loss?.hoursHalf, most: loss?.mostTakenOver };
}

function short(): object {
  const assumptions = { ...DEFAULTS, mtbfYears: 0.05 };
  return years({ assumptions, cellSize: 8, placement: 'spread', seed: 4 }, 1, 0.25);
}

/** What a placement is told that puts both copies into one rack. */
function broken(): string {
  try {
    exercise(1, 0.01, 'any-rack');
  } catch (error) {
    return error instanceof Broken ? error.message : String(error);
  }
  return 'nothing';
}
