import { Random } from '@gannet/test-support/random.js';

/**
 * What is below a disk: a new image of 8 or 40 TiB, all of which is known to be a hole; an old one
 * of 9 GiB, of which nothing is known; a small raw file with a lock.
 */
export type BaseKind = 'huge' | 'full' | 'raw';

/** How a run ends. */
export type End = 'settle' | 'close' | 'process' | 'power';

/** What a run is made of. All of it follows from the seed; shrinking takes things away from it. */
export interface Plan {
  readonly seed: number;
  readonly bases: readonly BaseKind[];
  readonly hugeBytes: number;
  readonly isExtended: boolean;
  /** The disks were copied by other means. */
  readonly isLinkOnly: boolean;
  readonly turns: number;
  /** Chances for each turn of a copy. */
  readonly breaks: number;
  readonly strangers: number;
  readonly againAt: number | undefined;
  readonly linkBreaksAt: number | undefined;
  readonly failoverAt: number | undefined;
  readonly end: End;
  /** Whether the replica is closed before the server is. */
  readonly isReplicaFirst: boolean;
  readonly errors: number;
  readonly hangs: number;
  readonly deaths: number;
  readonly diskErrors: number;
  readonly latencyMs: number;
}

/** What a run has done, and how it has ended. */
export interface Outcome {
  readonly turns: number;
  readonly simulatedMs: number;
  readonly commits: number;
  readonly reads: number;
  readonly writes: number;
  readonly endState: string;
}

const TIB = 2 ** 40;

export function planOf(seed: number): Plan {
  // A generator of its own: the plan stays when the run changes.
  const random = new Random(seed ^ 0x27d4eb2f);
  const turns = 200 + random.below(600);
  const at = (chance: number): number | undefined => {
    const turn = random.below(turns);
    return random.chance(chance) ? turn : undefined;
  };
  const isLinkOnly = random.chance(0.15);
  const kinds: readonly BaseKind[] = isLinkOnly ? ['huge'] : ['huge', 'full', 'full', 'raw'];
  return {
    seed,
    turns,
    isLinkOnly,
    bases: Array.from({ length: 1 + random.below(2) }, () => random.pick(kinds)),
    hugeBytes: random.pick([8, 8, 40]) * TIB,
    isExtended: random.chance(0.5),
    breaks: random.chance(0.5) ? 0.02 : 0,
    strangers: random.chance(0.4) ? 0.02 : 0,
    againAt: random.chance(0.3) ? random.below(120) : undefined,
    linkBreaksAt: isLinkOnly && random.chance(0.7) ? 30 + random.below(60) : undefined,
    failoverAt: at(0.7),
    end: random.pick(['settle', 'settle', 'close', 'close', 'process', 'power']),
    isReplicaFirst: random.chance(0.3),
    errors: random.chance(0.4) ? 0.08 : 0,
    hangs: random.chance(0.5) ? 0.1 : 0,
    deaths: random.chance(0.3) ? 0.003 : 0,
    diskErrors: random.chance(0.2) ? 0.1 : 0,
    latencyMs: random.pick([0, 1, 4]),
  };
}

/** Simpler plans, the simplest first. */
export function simplerPlans(plan: Plan): Plan[] {
  const without = (change: Partial<Plan>): Plan => ({ ...plan, ...change });
  const all = [
    without({ breaks: 0 }),
    without({ strangers: 0 }),
    without({ againAt: undefined }),
    without({ linkBreaksAt: undefined }),
    without({ failoverAt: undefined }),
    without({ errors: 0 }),
    without({ hangs: 0 }),
    without({ deaths: 0 }),
    without({ diskErrors: 0 }),
    without({ latencyMs: 0 }),
    without({ isExtended: false }),
    without({ bases: plan.bases.slice(0, 1) }),
    without({ turns: Math.ceil(plan.turns / 2) }),
    without({ turns: Math.ceil(plan.turns * 0.9) }),
  ];
  return all.filter((other) => JSON.stringify(other) !== JSON.stringify(plan));
}
