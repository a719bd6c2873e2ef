import type { SpillError } from '../errors.js';
import { MemoryBudget } from '../memory/memory-budget.js';
import type { SlabPool } from '../memory/slab-pool.js';
import type { SpillFile } from '../memory/spill-file.js';
import type { MemoryLimits } from '../replica-options.js';
import { bufferBytesOf, type Disk } from './disk.js';
import { Spill } from './spill.js';

/** The limits of a replica's buffers, and what happens near them. */
export interface BufferBudgetOptions {
  readonly pool: SlabPool;
  readonly disks: readonly Disk[];
  readonly limits: MemoryLimits;
  /** Where pages go when memory runs short; undefined without `spill`. */
  readonly spillFile: SpillFile | undefined;
  /** Whether the buffers are still needed. */
  readonly isSpillWanted: () => boolean;
  /** Why nothing can be spilled, whenever that changes; undefined when it works again. */
  readonly onSpillTrouble: (error: SpillError | undefined) => void;
  readonly onPressure: (usedBytes: number) => void;
  readonly onFull: () => void;
}

/** The memory budget of a replica's buffers, in real time, with its spill file behind it. */
export function bufferBudget(options: BufferBudgetOptions): MemoryBudget {
  const { pool, disks, limits, spillFile: file, isSpillWanted, onSpillTrouble } = options;
  const spill =
    file &&
    new Spill({ file, pool, disks, limits, isWanted: isSpillWanted, onTrouble: onSpillTrouble });
  return new MemoryBudget({
    ...{ pool, limits, onPressure: options.onPressure, onFull: options.onFull },
    now: () => performance.now(),
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    openBytes: () => {
      const { primary, secondary } = bufferBytesOf(disks);
      return primary + secondary;
    },
    onSpill: spill && (() => spill.kick()),
  });
}
