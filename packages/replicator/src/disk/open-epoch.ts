import { Overlay } from '../memory/overlay.js';
import type { SlabPool } from '../memory/slab-pool.js';

/**
 * What one side has written to one disk since the last checkpoint. Usually one overlay. If memory
 * runs short, the one that takes the writes is on top of others, which no longer change and may be
 * in the spill file.
 */
export class OpenEpoch {
  #top: Overlay;
  #parts: Overlay[] = [];

  constructor(private readonly pool: SlabPool) {
    this.#top = new Overlay(pool);
  }

  /** The overlay that takes the writes. */
  get top(): Overlay {
    return this.#top;
  }

  /** The overlays under it, oldest first. */
  get parts(): readonly Overlay[] {
    return this.#parts;
  }

  /** Pages with a slot; a page that was written again after a freeze counts twice. */
  get pageCount(): number {
    return this.#sum(({ pageCount }) => pageCount);
  }

  get memoryBytes(): number {
    return this.#sum(({ memoryBytes }) => memoryBytes);
  }

  get isEmpty(): boolean {
    return this.#top.isEmpty && this.#parts.length === 0;
  }

  /** Makes what was written so far immutable: later writes go to a new overlay on top. */
  freeze(): void {
    if (this.#top.isEmpty) return;
    this.#parts.push(this.#top);
    this.#top = new Overlay(this.pool);
  }

  /** Hands over all overlays, oldest first, and is empty again. */
  take(): readonly Overlay[] {
    const taken = [...this.#parts, this.#top];
    this.#parts = [];
    this.#top = new Overlay(this.pool);
    return taken;
  }

  /** Gives the memory back, and is empty again. */
  drop(): void {
    for (const overlay of this.take()) overlay.release();
  }

  #sum(of: (overlay: Overlay) => number): number {
    return this.#parts.reduce((sum, overlay) => sum + of(overlay), of(this.#top));
  }
}
