import { type Basis, basisOnDisk } from './durability/basis.js';
import { checkBeforeSeeding } from './durability/recovery.js';
import type { BaseImageError, SpillError } from './errors.js';
import type { OpenBase } from './images/base-image.js';
import { openBase } from './images/open-base.js';
import { openSpillFile, type SpillFile } from './memory/spill-file.js';
import { type ReplicaOptions, spillOf } from './replica-options.js';

/** The files of a replica, but for its journal. */
export interface ReplicaFiles {
  /** In the order of the disks. */
  readonly bases: readonly OpenBase[];
  readonly spillFile: SpillFile | undefined;
  /** What the bases can be brought up to date from; none if they may be overwritten. */
  readonly basis: Basis | undefined;
  close(): Promise<void>;
}

/**
 * Opens the bases for a first copy, and makes the spill file.
 *
 * @throws BaseImageError if a base is missing, in use, or may hold the only copy of a disk
 * @throws SpillError REPLICA_SPILL_IO if the spill file can't be made
 */
export async function openFiles(
  options: ReplicaOptions,
  on: { onTrouble: (error: BaseImageError) => void; onLost: (error: SpillError) => void },
): Promise<ReplicaFiles> {
  const { vm, disks, lockBases: lock, overwrite = false } = options;
  const bases: OpenBase[] = [];
  let spillFile: SpillFile | undefined;
  const close = async (): Promise<void> => {
    await Promise.allSettled([...bases.map((base) => base.close()), spillFile?.close()]);
  };
  try {
    const spill = spillOf(options);
    spillFile = spill && (await openSpillFile(vm, { ...spill, onLost: on.onLost }));
    for (const disk of disks) {
      const base = await openBase(disk, { lock, onTrouble: on.onTrouble });
      bases.push(base);
      await checkBeforeSeeding(vm, disk, base, overwrite);
    }
    const basis = overwrite ? undefined : await basisOnDisk(vm, disks, bases);
    return { bases, spillFile, basis, close };
  } catch (error) {
    await close();
    throw error;
  }
}
