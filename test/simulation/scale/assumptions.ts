// What is made up: the hosts, their network, the VMs. `--set name=value` replaces any number.

/** Memory in GiB, rates in MiB/s, times in seconds unless the name says another unit. */
export interface Assumptions {
  readonly hosts: number;
  readonly vmsPerHost: number;
  readonly racks: number;
  /** For VMs: what the host itself needs is taken off. */
  readonly hostMemoryGiB: number;
  /** `secondary.memory.hard`, for each secondary. */
  readonly bufferGiB: number;
  /** Of a host, reads and writes together. */
  readonly diskRate: number;
  /** Of a host, in each direction. */
  readonly networkRate: number;
  /** `primary.seedBytesPerSec`. */
  readonly seedRate: number;
  /** Of the memory of one VM, at the end of its seed. */
  readonly migrateRate: number;
  /** Seeds that one host reads, and seeds that one host writes, at the same time. */
  readonly seedsAtOnce: number;
  /** Of a primary, to its secondary, for each MiB that its guest writes to disk. */
  readonly memoryTraffic: number;
  readonly fenceFrom: number;
  readonly fenceTo: number;
  /** From the fence to the call of promote. */
  readonly promoteFrom: number;
  readonly promoteTo: number;
  readonly takeover: number;
  /** A takeover that is planned: standby, or a VM that goes home. */
  readonly switchOver: number;
  /** Actions that Pacemaker runs on one host at the same time (`node-action-limit`). */
  readonly actionsAtOnce: number;
  /** From a takeover until the survivor can be protected again: write-back, the local disks. */
  readonly settle: number;
  readonly firstCheckpoint: number;
  readonly lowMs: number;
  readonly highMs: number;
  readonly periodMs: number;
  readonly mtbfYears: number;
  readonly repairHours: number;
  readonly rebootMinutes: number;
}

export const DEFAULTS: Assumptions = {
  hosts: 1000,
  vmsPerHost: 10,
  racks: 40,
  hostMemoryGiB: 320,
  bufferGiB: 1,
  diskRate: 1500,
  networkRate: 2900,
  seedRate: 100,
  migrateRate: 1000,
  seedsAtOnce: 1000,
  memoryTraffic: 8,
  // Measured on a cluster of three nodes: docs/explanation/scale.md has the table.
  fenceFrom: 3.4,
  fenceTo: 4.7,
  promoteFrom: 0.05,
  promoteTo: 0.13,
  takeover: 0.35,
  switchOver: 0.5,
  actionsAtOnce: 8,
  settle: 10,
  firstCheckpoint: 2,
  lowMs: 2000,
  highMs: 5000,
  periodMs: 2000,
  mtbfYears: 3,
  repairHours: 8,
  rebootMinutes: 10,
};

/** A kind of VM, and how many of a hundred are of it. */
interface Flavour {
  readonly share: number;
  readonly memoryGiB: number;
  /** What has to be copied. */
  readonly diskGiB: number;
  /** MiB/s, all day. */
  readonly writeRate: number;
}

export const FLAVOURS: readonly Flavour[] = [
  { share: 30, memoryGiB: 2, diskGiB: 20, writeRate: 0.5 },
  { share: 30, memoryGiB: 4, diskGiB: 50, writeRate: 1 },
  { share: 25, memoryGiB: 8, diskGiB: 100, writeRate: 3 },
  { share: 10, memoryGiB: 16, diskGiB: 300, writeRate: 5 },
  { share: 5, memoryGiB: 32, diskGiB: 1000, writeRate: 15 },
];

/** The mean over all VMs of what `of` reads. */
export function meanOf(of: (flavour: Flavour) => number): number {
  return FLAVOURS.reduce((sum, flavour) => sum + (flavour.share / 100) * of(flavour), 0);
}

/** @throws Error if there is no such number */
export function withSettings(base: Assumptions, settings: readonly string[]): Assumptions {
  const changed: Record<string, number> = {};
  for (const setting of settings) {
    const [name = '', text = ''] = setting.split('=');
    const value = Number(text);
    if (!Object.hasOwn(base, name) || text === '' || !(value >= 0)) {
      throw new Error(`--set ${setting}: one of ${Object.keys(base).join(', ')}, and a number`);
    }
    changed[name] = value;
  }
  return { ...base, ...changed };
}
