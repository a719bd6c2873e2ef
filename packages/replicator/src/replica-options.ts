import path from 'node:path';
import { ConfigurationError } from './errors.js';
import { type BaseOptions, stateFileOf } from './images/open-base.js';
import type { ReplicaEvent } from './replica-events.js';
import type { KeepLimits, SnapshotLimits } from './snapshot/snapshot.js';

/** One disk of a VM, and where its base is. */
export interface DiskOptions extends BaseOptions {
  readonly name: string;
}

/** What a replica is made of. */
export interface ReplicaOptions {
  /** Name of the VM, for state files and messages. */
  readonly vm: string;
  /** In the order in which they are journaled; at least one. */
  readonly disks: readonly DiskOptions[];
  /** Path of the failover journal; beside the first base by default. */
  readonly journalPath?: string | undefined;
  readonly memory?: Partial<MemoryLimits> | undefined;
  /** Where snapshots keep what is overwritten; by default 8 GiB beside the journal. */
  readonly snapshot?: Partial<SnapshotLimits> | undefined;
  /** Seed over a base even if it may hold the only copy of a disk. */
  readonly overwrite?: boolean | undefined;
  /** Take on raw bases the locks that QEMU would take (see OpenOptions). */
  readonly lockBases?: boolean | undefined;
  readonly onEvent?: ((event: ReplicaEvent) => void) | undefined;
}

/**
 * Limits of the buffers in bytes (I7). Beyond `soft` a checkpoint is requested, beyond `hard`
 * protection is given up, and after a failover writes wait for write-back.
 */
export interface MemoryLimits {
  readonly softBytes: number;
  readonly hardBytes: number;
  /** What is done between the two; `slow` by default. */
  readonly onFull?: OnFull | undefined;
  /** Folder of the spill file; that of the journal by default. */
  readonly spillDirectory?: string | undefined;
  /** Size limit of the spill file; 8 GiB by default. */
  readonly spillBytes?: number | undefined;
}

/**
 * What is done when memory runs short: `slow` answers writes more slowly, `spill` first moves pages
 * to a file, `release` slows nothing and gives protection up.
 */
export type OnFull = (typeof ON_FULL)[number];
/** All values of OnFull. */
export const ON_FULL = ['slow', 'spill', 'release'] as const;

const DEFAULT_MEMORY = { softBytes: 512 * 1024 ** 2, hardBytes: 1024 ** 3 };
/** Of a disk: its size is a whole number of them. */
const SECTOR_BYTES = 512;
const DEFAULT_SPILL_BYTES = 8 * 1024 ** 3;
const DEFAULT_SNAPSHOT_BYTES = 8 * 1024 ** 3;

/** The limits with their defaults. */
export function memoryOf({ memory }: ReplicaOptions): MemoryLimits {
  const { spillBytes = DEFAULT_SPILL_BYTES, ...limits } = { ...DEFAULT_MEMORY, ...memory };
  return limits.onFull === 'spill' ? { ...limits, spillBytes } : limits;
}

/** Where pages are spilled to; undefined unless they are. */
export function spillOf(
  options: ReplicaOptions,
): { readonly directory: string; readonly limitBytes: number } | undefined {
  const { spillDirectory, spillBytes } = memoryOf(options);
  if (spillBytes === undefined) return undefined;
  const directory = spillDirectory ?? path.dirname(journalPathOf(options));
  return { directory: path.resolve(directory), limitBytes: spillBytes };
}

/** The limits of snapshots with their defaults. */
export function snapshotOf(options: ReplicaOptions): KeepLimits {
  const { directory, limitBytes = DEFAULT_SNAPSHOT_BYTES } = options.snapshot ?? {};
  const folder = directory ?? path.dirname(journalPathOf(options));
  const { softBytes } = memoryOf(options);
  return { directory: path.resolve(folder), limitBytes, softBytes };
}

/** The absolute path of the failover journal. */
export function journalPathOf({ disks, journalPath }: ReplicaOptions): string {
  return path.resolve(journalPath ?? `${disks[0]?.base ?? ''}.gannet-journal`);
}

/** @throws ConfigurationError REPLICA_OPTIONS if options contradict each other */
export function checkOptions(options: ReplicaOptions): void {
  const { disks, vm } = Object(options) as ReplicaOptions;
  const refuse = (message: string, remedy: string): never => {
    throw new ConfigurationError('REPLICA_OPTIONS', `VM ${vm}: ${message}`, remedy);
  };
  const given: unknown = disks;
  if (!Array.isArray(given)) {
    refuse('it has no list of `disks`', 'Pass { vm, disks: [{ name, base }] }.');
  }
  const names = disks.map(({ name }) => name);
  if (names.length === 0 || new Set(names).size !== names.length) {
    refuse(`disks need names, all different, got [${names.join(', ')}]`, 'Name each disk once.');
  }
  for (const { name, base, sizeBytes } of disks) {
    // Callers without types may have misspelt it.
    if (typeof (base as unknown) !== 'string' || base === '') {
      refuse(`disk ${name} has no \`base\``, 'Name an image file or a block device as the base.');
    }
    const isWhole = Number.isSafeInteger(sizeBytes) && Number(sizeBytes) % SECTOR_BYTES === 0;
    if (sizeBytes !== undefined && !(isWhole && sizeBytes > 0)) {
      refuse(
        `\`sizeBytes\` of disk ${name} is ${sizeBytes}: it must be a multiple of ${SECTOR_BYTES}`,
        'Give it the size of the primary disk, in bytes.',
      );
    }
  }
  const stateFiles = disks.map(({ base, stateFile = stateFileOf(base) }) => stateFile);
  const files = [...disks.map(({ base }) => base), ...stateFiles, journalPathOf(options)].map(
    (file) => path.resolve(file),
  );
  if (new Set(files).size !== files.length) {
    refuse(
      `the bases, their state files and the journal must differ, got ${files.join(', ')}`,
      'Name each file once.',
    );
  }
  const { softBytes, hardBytes } = memoryOf(options);
  if (!(softBytes > 0 && softBytes <= hardBytes)) {
    refuse(
      `the soft memory limit (${softBytes}) must be above 0, and at most the hard (${hardBytes})`,
      'Lower the soft limit or raise the hard one.',
    );
  }
}
