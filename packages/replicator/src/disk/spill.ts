import type { Disk } from './disk.js';
import { SpillError } from '../errors.js';
import type { Overlay } from '../memory/overlay.js';
import type { MemoryLimits } from '../replica-options.js';
import { SLAB_BYTES, type SlabPool } from '../memory/slab-pool.js';
import type { SpillFile } from '../memory/spill-file.js';

/** Most slabs that are written before a sync: 4 MiB. */
const CHUNK_SLABS_MAX = 16;
/** Pause after a failure. */
const RETRY_MS = 1000;

/** What a spill works with. */
export interface SpillOptions {
  readonly file: SpillFile;
  readonly pool: SlabPool;
  readonly disks: readonly Disk[];
  /** Memory in use is brought down to the soft limit. */
  readonly limits: MemoryLimits;
  /** Whether the buffers are still needed. */
  readonly isWanted: () => boolean;
  /** Why nothing can be spilled, whenever that changes; undefined when it works again. */
  readonly onTrouble: (error: SpillError | undefined) => void;
}

/**
 * Moves page buffers from memory to the spill file when memory runs short.
 *
 * Only layers that no longer change are moved, so the file's contents never change, writes stay
 * synchronous, and a commit stays a swap. An open buffer that has grown is frozen for this: another
 * one is put on top of it, within the same epoch (`OpenEpoch`). What is needed longest goes first:
 * parts of the open epochs, then committed epochs from the newest on, since the oldest are next to
 * reach the base.
 *
 * Memory is released only when its contents are in the file for certain (fdatasync). After a
 * failure they stay where they are: the budget then slows the writes, and in the end gives
 * protection up.
 */
export class Spill {
  readonly #options: SpillOptions;
  readonly #chunkSlabs: number;
  #isRunning = false;
  #retryAtMs = -Infinity;
  #trouble: SpillError | undefined;

  constructor(options: SpillOptions) {
    this.#options = options;
    const chunk = Math.floor(options.limits.hardBytes / SLAB_BYTES / 16);
    this.#chunkSlabs = Math.min(Math.max(1, chunk), CHUNK_SLABS_MAX);
  }

  /** Call it when memory runs short. Cheap, and safe to call at any time. */
  kick(): void {
    const { isWanted } = this.#options;
    if (this.#isRunning || !isWanted() || performance.now() < this.#retryAtMs) return;
    this.#isRunning = true;
    void this.#run().finally(() => {
      this.#isRunning = false;
    });
  }

  async #run(): Promise<void> {
    const { pool, limits, isWanted } = this.#options;
    while (pool.usedBytes > limits.softBytes && isWanted()) {
      const overlay = this.#next();
      if (!overlay) return;
      if (!(await this.#move(overlay))) return;
    }
  }

  /** @returns whether to go on */
  async #move(overlay: Overlay): Promise<boolean> {
    const { file } = this.#options;
    overlay.retain();
    try {
      const moved = await overlay.spill(file, this.#chunkSlabs);
      if (moved === 0) throw limitReached(file.limitBytes);
      this.#tell(undefined);
      return true;
    } catch (error) {
      this.#retryAtMs = performance.now() + RETRY_MS;
      this.#tell(error as SpillError);
      return false;
    } finally {
      overlay.release();
    }
  }

  #next(): Overlay | undefined {
    const { disks } = this.#options;
    const inMemory = (overlays: readonly Overlay[]): Overlay | undefined =>
      overlays.find(({ slabsInMemory }) => slabsInMemory > 0);
    const parts = inMemory(disks.flatMap((disk) => disk.frozenParts));
    if (parts) return parts;
    const committed = disks.flatMap((disk) => [...disk.committed].reverse());
    return inMemory(committed.map(({ overlay }) => overlay)) ?? this.#freeze();
  }

  /** Freezes the largest open buffer, unless layers would become many and small. */
  #freeze(): Overlay | undefined {
    const open = this.#options.disks.flatMap((disk) => disk.openEpochs);
    const largest = open.reduce((a, b) => (b.top.slabsInMemory > a.top.slabsInMemory ? b : a));
    const { top } = largest;
    if (top.slabsInMemory < Math.max(1, this.#chunkSlabs / 4)) return undefined;
    largest.freeze();
    return top;
  }

  #tell(error: SpillError | undefined): void {
    if (this.#trouble?.message === error?.message) return;
    this.#trouble = error;
    this.#options.onTrouble(error);
  }
}

function limitReached(limitBytes: number): SpillError {
  return new SpillError(
    'REPLICA_SPILL_FULL',
    `the spill file has reached its limit of ${limitBytes} bytes`,
    'Raise the limit, or find out why the base does not keep up.',
  );
}
