import type { Extent } from '@gannet/nbd';
import type { Disk, DiskPin } from '../disk/disk.js';
import { applyOver, kindOf } from '../disk/layers.js';
import type { Overlay } from '../memory/overlay.js';
import { PAGE_BYTES } from '../memory/slab-pool.js';
import { KeptPages, type KeptBudget, type KeptFile } from './kept-pages.js';
import { within } from './within.js';

/** How many pages an extent is searched for, so as not to block the event loop. */
const EXTENT_PAGES_MAX = 16_384;

/**
 * One disk as of an epoch, while later epochs are written to its base:
 *
 *     committed epochs up to that one, newest first  over  kept pages  over  base
 *
 * Write-back brings those epochs to the base first, and keeps nothing for that: this view does not
 * change. Then the base is the disk as of that epoch, and whatever a later epoch is about to
 * overwrite is kept before.
 */
export class PinnedDisk implements DiskPin {
  readonly #kept: KeptPages;

  /**
   * @param onTrouble called when something can't be kept; the base is written all the same
   * @param patienceMs how long to keep something may take: meanwhile write-back waits
   */
  constructor(
    readonly disk: Disk,
    readonly epoch: number,
    file: () => Promise<KeptFile>,
    budget: KeptBudget,
    private readonly onTrouble: (error: unknown) => void,
    private readonly patienceMs: number,
  ) {
    this.#kept = new KeptPages(disk.base, file, budget);
  }

  get memoryBytes(): number {
    return this.#kept.memoryBytes;
  }

  /** Settles when nothing is being kept. @throws Error if that takes too long */
  idle(): Promise<void> {
    return within(this.#kept.idle(), this.patienceMs, 'to write to its file');
  }

  async keep(offset: number, length: number): Promise<void> {
    // Write-back waits for it, and must go on whatever becomes of the snapshot.
    const kept = this.#kept.keep(offset, length);
    await within(kept, this.patienceMs, 'to write to its file').catch(this.onTrouble);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const layers = this.#layers();
    for (const layer of layers) layer.retain();
    try {
      if (this.disk.base.holeEnd(offset) >= offset + target.length) target.fill(0);
      else await this.disk.base.read(offset, target);
      // A page that is not kept by now was not written to while the base was read.
      await this.#kept.applyOver(offset, target);
      await applyOver(layers, offset, target);
    } finally {
      for (const layer of layers) layer.release();
    }
  }

  /** The first extent at `offset`, or the beginning of it. What is kept counts as data. */
  extent(offset: number, length: number): Extent {
    const layers = this.#layers();
    const end = offset + length;
    const isPlain = layers.length === 0 && this.#kept.isEmpty;
    const first = this.#readsAsZeros(layers, offset);
    let at = offset;
    for (let steps = 0; at < end && steps < EXTENT_PAGES_MAX; steps++) {
      if (this.#readsAsZeros(layers, at) !== first) break;
      const next = (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES;
      at = isPlain ? Math.max(next, this.#sameUntil(at)) : next;
    }
    return { length: Math.min(at, end) - offset, hole: first, zero: first };
  }

  #sameUntil(offset: number): number {
    const holeEnd = this.disk.base.holeEnd(offset);
    return holeEnd > offset ? holeEnd : this.disk.base.nextHole(offset);
  }

  #readsAsZeros(layers: readonly Overlay[], offset: number): boolean {
    const page = Math.floor(offset / PAGE_BYTES);
    const kind = kindOf(layers, page);
    if (kind !== undefined) return kind === 'zeros';
    return !this.#kept.has(page) && this.disk.base.holeEnd(offset) > offset;
  }

  /** Newest first. */
  #layers(): Overlay[] {
    const own = this.disk.committed.filter(({ epoch }) => epoch <= this.epoch);
    return own.map(({ overlay }) => overlay).reverse();
  }
}
