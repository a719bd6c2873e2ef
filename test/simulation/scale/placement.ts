// Where a VM's second copy goes.

/** A host, as a placement sees it for one VM. */
export interface Candidate {
  readonly index: number;
  readonly rack: number;
  readonly freeGiB: number;
  /** Copies that it has of VMs whose other copy is on the same host as this VM's. */
  readonly shared: number;
}

/** The VM that needs a copy: which host has the other one, and what the new one takes. */
export interface Need {
  readonly host: number;
  readonly rack: number;
  readonly neededGiB: number;
}

/** @returns the best host, or undefined if none of them will do */
export type Placement = (need: Need, candidates: readonly Candidate[]) => Candidate | undefined;

function best(
  candidates: readonly Candidate[],
  isBetter: (one: Candidate, other: Candidate) => boolean,
): Candidate | undefined {
  return candidates.reduce<Candidate | undefined>(
    (found, one) => (found === undefined || isBetter(one, found) ? one : found),
    undefined,
  );
}

function mayHave(need: Need, { index, rack, freeGiB }: Candidate): boolean {
  return index !== need.host && rack !== need.rack && freeGiB >= need.neededGiB;
}

function isMoreLevel(one: Candidate, other: Candidate): boolean {
  if (one.shared !== other.shared) return one.shared < other.shared;
  return one.freeGiB > other.freeGiB;
}

function isTighter(one: Candidate, other: Candidate): boolean {
  if (one.shared !== other.shared) return one.shared < other.shared;
  return one.freeGiB < other.freeGiB;
}

/**
 * - `spread`: with as few others of the same host as possible, then where most memory is free
 * - `tight`: the same, then where least memory is left: room for large VMs stays in one piece
 * - `pairs`: always the same partner, as two hosts that share their disks by DRBD
 * - `any-rack`: a deliberate bug: both copies may be in one rack
 * - `no-memory`: a deliberate bug: memory does not count
 */
export const PLACEMENTS = {
  spread: (need, candidates) =>
    best(
      candidates.filter((one) => mayHave(need, one)),
      isMoreLevel,
    ),
  tight: (need, candidates) =>
    best(
      candidates.filter((one) => mayHave(need, one)),
      isTighter,
    ),
  pairs: (need, candidates) =>
    candidates.find((one) => one.index === (need.host ^ 1) && mayHave(need, one)),
  'any-rack': (need, candidates) =>
    best(
      candidates.filter((one) => one.index !== need.host && one.freeGiB >= need.neededGiB),
      isMoreLevel,
    ),
  'no-memory': (need, candidates) =>
    best(
      candidates.filter((one) => one.index !== need.host && one.rack !== need.rack),
      (one, other) => one.shared < other.shared,
    ),
} as const satisfies Record<string, Placement>;

export type PlacementName = keyof typeof PLACEMENTS;

/**
 * - `across`: the hosts of a cell are in different racks
 * - `neighbours`: they stand side by side
 */
export type Layout = 'across' | 'neighbours';

/** The racks of the hosts of each cell. Cells differ by one host if they must. */
export function cellsOf(hosts: number, racks: number, size: number, layout: Layout): number[][] {
  const perRack = Math.ceil(hosts / racks);
  const rackAt = (at: number): number =>
    layout === 'across' ? at % racks : Math.floor(at / perRack);
  const count = Math.ceil(hosts / size);
  return Array.from({ length: count }, (_, cell) => {
    const from = Math.floor((cell * hosts) / count);
    const to = Math.floor(((cell + 1) * hosts) / count);
    return Array.from({ length: to - from }, (_none, at) => rackAt(from + at));
  });
}
