import type { Extent } from '@gannet/nbd';
import type { BaseStore } from './base-image.js';
import { Overlay } from './overlay.js';
import { PAGE_BYTES, SECTOR_BYTES, type SlabPool } from './slab-pool.js';

/** A closed epoch of one disk, on its way to the base. */
export interface CommittedEpoch {
  readonly epoch: number;
  readonly overlay: Overlay;
  /** Settles when no read that began before this epoch's commit is still reading the base. */
  readonly earlierReadsDone: Promise<void>;
}

export interface CommitCounts {
  readonly committedPages: number;
  readonly droppedPages: number;
}

/**
 * One disk of a replica: layers of memory over the base image.
 *
 *     SVM's view:   secondary (S)  over  committed, newest first  over  base
 *     PVM's view:   primary (P)    over  committed, newest first  over  base
 *
 * Everything but reading the base is synchronous, so a commit can't find a request half done.
 */
export class Disk {
  #primary: Overlay;
  #secondary: Overlay;
  /** Oldest first. */
  #committed: CommittedEpoch[] = [];
  #baseReads = new BaseReads();
  /** The layers that were read last, or none: most reads find them unchanged. */
  #layers: readonly Overlay[] = [];

  constructor(
    readonly name: string,
    readonly base: BaseStore,
    private readonly pool: SlabPool,
  ) {
    this.#primary = new Overlay(pool);
    this.#secondary = new Overlay(pool);
  }

  get sizeBytes(): number {
    return this.base.sizeBytes;
  }

  get primary(): Overlay {
    return this.#primary;
  }

  get secondary(): Overlay {
    return this.#secondary;
  }

  get committed(): readonly CommittedEpoch[] {
    return this.#committed;
  }

  get committedBytes(): number {
    return this.#committed.reduce((sum, { overlay }) => sum + overlay.memoryBytes, 0);
  }

  /** P becomes committed state, S is dropped. Takes the same time however many pages there are. */
  commit(epoch: number): CommitCounts {
    const counts = {
      committedPages: this.#primary.pageCount,
      droppedPages: this.#secondary.pageCount,
    };
    this.#pushCommitted(epoch, this.#primary);
    this.#secondary.release();
    this.#primary = new Overlay(this.pool);
    this.#secondary = new Overlay(this.pool);
    return counts;
  }

  /** P is dropped, S becomes committed state: from here on the SVM's disk is the disk. */
  failOver(epoch: number): CommitCounts {
    const counts = {
      committedPages: this.#secondary.pageCount,
      droppedPages: this.#primary.pageCount,
    };
    this.dropPrimary();
    this.sealSecondary(epoch);
    return counts;
  }

  /** After failover: closes the SVM's open buffer as an epoch of its own. */
  sealSecondary(epoch: number): void {
    this.#pushCommitted(epoch, this.#secondary);
    this.#secondary = new Overlay(this.pool);
  }

  /** Removes epochs that the base holds by now; they must be the oldest. */
  forget(count: number): void {
    this.#layers = [];
    for (const { overlay } of this.#committed.splice(0, count)) overlay.release();
  }

  /** Drops the primary's open epoch: it will never commit. */
  dropPrimary(): void {
    this.#layers = [];
    this.#primary.release();
    this.#primary = new Overlay(this.pool);
  }

  /** Drops everything that is in memory. */
  dropAll(): void {
    this.forget(this.#committed.length);
    this.dropPrimary();
    this.#secondary.release();
    this.#secondary = new Overlay(this.pool);
  }

  /** Fills `target` from `top` over committed over base; a promise only when the base has to be read. */
  read(top: Overlay, offset: number, target: Uint8Array): void | Promise<void> {
    const layers = this.#layersUnder(top);
    const end = offset + target.length;
    const endPage = Math.floor(end / PAGE_BYTES);
    let baseFrom = -1;
    let baseTo = -1;
    for (let position = offset; position < end;) {
      const page = Math.floor(position / PAGE_BYTES);
      if (page < endPage && position % PAGE_BYTES === 0) {
        const copied = copyWhole(layers, page, endPage, target, position - offset);
        position += copied * PAGE_BYTES;
        if (copied > 0) continue;
      }
      const from = position - page * PAGE_BYTES;
      const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
      if (coversAll(layers, page, from, to)) {
        applyAll(layers, page, from, to, target, position - offset);
      } else {
        if (baseFrom < 0) baseFrom = position;
        baseTo = position + to - from;
      }
      position += to - from;
    }
    if (baseFrom < 0) return;
    const part = target.subarray(baseFrom - offset, baseTo - offset);
    if (this.base.holeEnd(baseFrom) >= baseTo) {
      part.fill(0);
      applyOver(layers, baseFrom, part);
      return;
    }
    return this.#readBase(layers, baseFrom, part);
  }

  /** Extents of the view with `top`, from `offset` on: the longest correct first one, up to `offset + length`. */
  extent(top: Overlay, offset: number, length: number): Extent {
    const layers = [top, ...this.#committed.map(({ overlay }) => overlay)];
    const end = offset + length;
    const isEmpty = layers.every((layer) => layer.isEmpty);
    const isHole = this.base.holeEnd(offset) > offset && !touched(layers, offset);
    let at = offset;
    const walkEnd = offset + EXTENT_WALK_BYTES;
    while (at < end) {
      const holeEnd = this.base.holeEnd(at);
      if (holeEnd > at) {
        if (touched(layers, at) === isHole || at >= walkEnd) break;
        at = isEmpty ? holeEnd : at - (at % PAGE_BYTES) + PAGE_BYTES;
      } else {
        if (isHole) break;
        at = this.base.nextHole(at);
      }
    }
    return { length: Math.min(at, end) - offset, hole: isHole, zero: isHole };
  }

  /** The view with `top`, newest layer first. Not changed once made: a read of the base holds on to it. */
  #layersUnder(top: Overlay): readonly Overlay[] {
    if (this.#layers[0] !== top) {
      this.#layers = [top, ...this.#committed.map(({ overlay }) => overlay).reverse()];
    }
    return this.#layers;
  }

  async #readBase(layers: readonly Overlay[], offset: number, target: Uint8Array): Promise<void> {
    for (const layer of layers) layer.retain();
    const reads = this.#baseReads.enter();
    try {
      await this.base.read(offset, target);
      applyOver(layers, offset, target);
    } finally {
      reads.leave();
      for (const layer of layers) layer.release();
    }
  }

  #pushCommitted(epoch: number, overlay: Overlay): void {
    this.#layers = [];
    if (overlay.isEmpty) {
      overlay.release();
      return;
    }
    // Only here: an epoch that is never written back could not make anybody wait for the reads before it.
    const earlierReads = this.#baseReads;
    this.#baseReads = new BaseReads();
    this.#committed.push({ epoch, overlay, earlierReadsDone: earlierReads.whenDone() });
  }
}

/** So far is looked page by page for the end of an extent: the event loop has other things to do. */
const EXTENT_WALK_BYTES = 256 * 1024 * 1024;

/** Reads of the base that are under way: write-back of an epoch waits for those that began before its commit. */
class BaseReads {
  #count = 0;
  #done: (() => void) | undefined;

  enter(): this {
    this.#count++;
    return this;
  }

  leave(): void {
    if (--this.#count === 0) this.#done?.();
  }

  whenDone(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }
}

/**
 * Copies whole pages from `page` on, as many as one layer holds in a row with nothing of a newer layer over them.
 * Returns how many those are; 0 where the first one is not to be had so simply.
 */
function copyWhole(
  layers: readonly Overlay[],
  page: number,
  endPage: number,
  target: Uint8Array,
  targetAt: number,
): number {
  let clearEnd = endPage;
  for (const layer of layers) {
    const copied = layer.copyWholePages(page, clearEnd, target, targetAt);
    if (copied > 0) return copied;
    clearEnd = layer.untouchedEnd(page, clearEnd);
    if (clearEnd === page) return 0;
  }
  return 0;
}

function coversAll(layers: readonly Overlay[], page: number, from: number, to: number): boolean {
  const first = Math.floor(from / SECTOR_BYTES);
  const end = Math.ceil(to / SECTOR_BYTES);
  const wanted = ((1 << end) - 1) & ~((1 << first) - 1);
  let held = 0;
  for (const layer of layers) {
    held |= layer.sectorsOf(page);
    if ((held & wanted) === wanted) return true;
  }
  return false;
}

function applyAll(
  layers: readonly Overlay[],
  page: number,
  from: number,
  to: number,
  target: Uint8Array,
  targetAt: number,
): void {
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    layers[layer]?.applyTo(page, from, to, target, targetAt);
  }
}

function applyOver(layers: readonly Overlay[], offset: number, target: Uint8Array): void {
  const end = offset + target.length;
  for (let position = offset; position < end;) {
    const page = Math.floor(position / PAGE_BYTES);
    const from = position - page * PAGE_BYTES;
    const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
    applyAll(layers, page, from, to, target, position - offset);
    position += to - from;
  }
}

function touched(layers: readonly Overlay[], offset: number): boolean {
  const page = Math.floor(offset / PAGE_BYTES);
  return layers.some((layer) => layer.touches(page));
}
