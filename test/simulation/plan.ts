import type { Meddling } from './colo.js';
import type { DiskFaults } from './disk.js';
import type { MutantName } from './mutants.js';
import { Random } from '@gannet/test-support/random.js';

/** What a run is made of. All of it follows from the seed; shrinking takes things away from it. */
export interface Plan {
  readonly seed: number;
  readonly diskCount: number;
  readonly turns: number;
  readonly primaryDiesAt: number | undefined;
  readonly secondaryDiesAt: number | undefined;
  readonly linkCutAt: number | undefined;
  readonly foreignFailoverAt: number | undefined;
  readonly processDiesAt: number | undefined;
  /** How the process ends: by itself, killed, or with its host and all that was not synced. */
  readonly crash: 'close' | 'process' | 'power';
  readonly diskErrors: number;
  readonly shortWrites: number;
  readonly diskLatencyMs: number;
  readonly meddling: Meddling;
  /** QEMU 10.0 and later: STOP is sent once the guest's requests are answered, not before. */
  readonly drainsBeforeStop: boolean;
  /** Whether memory is so short that most of what is buffered goes to a file. */
  readonly spills: boolean;
  /** Whether the secondary runs out of memory once it has lost its primary. */
  readonly waits: boolean;
  readonly mutant: MutantName | undefined;
}

export function planOf(seed: number, mutant: MutantName | undefined): Plan {
  // A generator of its own: the plan stays when the run changes.
  const random = new Random(seed ^ 0x5bd1e995);
  const turns = 150 + random.below(500);
  const at = (chance: number): number | undefined => {
    const turn = random.below(turns);
    return random.chance(chance) ? turn : undefined;
  };
  return {
    seed,
    turns,
    mutant,
    diskCount: 1 + random.below(2),
    primaryDiesAt: at(0.6),
    secondaryDiesAt: at(0.05),
    linkCutAt: at(0.2),
    foreignFailoverAt: at(0.15),
    processDiesAt: at(0.35),
    crash: random.pick(['close', 'process', 'power']),
    diskErrors: random.chance(0.2) ? 0.1 : 0,
    shortWrites: random.chance(0.2) ? 0.2 : 0,
    diskLatencyMs: random.pick([0, 0.5, 5]),
    meddling: { stops: random.chance(0.2) ? 0.02 : 0, failovers: 1 },
    spills: random.chance(0.3),
    waits: random.chance(0.4),
    drainsBeforeStop: random.chance(0.5),
  };
}

/** What the file system does wrong from the start; errors come later. */
export function faultsOf({ mutant, shortWrites, diskLatencyMs }: Plan): DiskFaults {
  return {
    ...{ errors: 0, shortWrites, latencyMs: diskLatencyMs },
    lazySync: mutant === 'lazy-sync',
    shortIsWhole: mutant === 'short-is-whole',
    lossySpill: mutant === 'lossy-spill',
    lostRename: mutant === 'lost-rename',
  };
}

/** Slabs of 256 KiB: one for each side, and little for what is committed. */
export function memoryOf({ spills }: Plan) {
  if (!spills) return undefined;
  return { softBytes: 1 << 18, hardBytes: 6 << 18, onFull: 'spill' } as const;
}

/** Simpler plans, the simplest first. */
export function simplerPlans(plan: Plan): Plan[] {
  const without = (change: Partial<Plan>): Plan => ({ ...plan, ...change });
  const all = [
    without({ meddling: { stops: 0, failovers: plan.meddling.failovers } }),
    without({ linkCutAt: undefined }),
    without({ secondaryDiesAt: undefined }),
    without({ foreignFailoverAt: undefined }),
    without({ processDiesAt: undefined }),
    without({ primaryDiesAt: undefined }),
    without({ spills: false }),
    without({ waits: false }),
    without({ drainsBeforeStop: false }),
    without({ diskErrors: 0 }),
    without({ shortWrites: 0 }),
    without({ diskLatencyMs: 0 }),
    without({ diskCount: 1 }),
    without({ turns: Math.ceil(plan.turns / 2) }),
    without({ turns: Math.ceil(plan.turns * 0.9) }),
  ];
  return all.filter((other) => JSON.stringify(other) !== JSON.stringify(plan));
}
