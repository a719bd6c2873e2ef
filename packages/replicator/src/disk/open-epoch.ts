import { Overlay } from '../memory/overlay.js';
import type { SlabPool } from '../memory/slab-pool.js';

/**
 * What one side has written to one disk since the last checkpoint. Usually one overlay; where memory runs short, the one
 * being written on top of others that are not written any more, and may be in the spill file.
 */
export class OpenEpoch {
  #top: Overlay;
  #parts: Overlay[] = [];

  constructor(private readonly pool: SlabPool) {
    this.#top = new Overlay(pool);
  }

  /** Takes the writes. */
  get top(): Overlay {
    return this.#top;
  }

  /** What is under it, oldest first. */
  get parts(): readonly Overlay[] {
    return this.#parts;
  }

  /** Pages with a slot; one that was written again after a freeze counts twice. */
  get pageCount(): number {
    return this.#sum(({ pageCount }) => pageCount);
  }

  get memoryBytes(): number {
    return this.#sum(({ memoryBytes }) => memoryBytes);
  }

  get isEmpty(): boolean {
    return this.#top.isEmpty && this.#parts.length === 0;
  }

  /** What was written so far will not change any more: what comes goes on top of it. */
  freeze(): void {
    if (this.#top.isEmpty) return;
    this.#parts.push(this.#top);
    this.#top = new Overlay(this.pool);
  }

  /** Hands over all of it, oldest first, and begins anew. */
  take(): readonly Overlay[] {
    const taken = [...this.#parts, this.#top];
    this.#parts = [];
    this.#top = new Overlay(this.pool);
    return taken;
  }

  /** Begins anew, and gives the memory back. */
  drop(): void {
    for (const overlay of this.take()) overlay.release();
  }

  #sum(of: (overlay: Overlay) => number): number {
    return this.#parts.reduce((sum, overlay) => sum + of(overlay), of(this.#top));
  }
}
