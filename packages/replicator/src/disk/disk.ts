import type { Extent, ReadView } from '@gannet/nbd';
import type { BaseStore } from '../images/base-image.js';
import {
  applyAll,
  applyOver,
  coversAll,
  isSpilled,
  kindOf,
  uncovered,
  wholePages,
} from './layers.js';
import { Arrivals } from './arrivals.js';
import { Fetched } from './fetched.js';
import { OpenEpoch } from './open-epoch.js';
import type { Overlay } from '../memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, type SlabPool } from '../memory/slab-pool.js';

/**
 * A closed epoch of one disk, to be written to the base. One that was partly spilled while it was
 * open is several, with the same number.
 */
export interface CommittedEpoch {
  readonly epoch: number;
  readonly overlay: Overlay;
  /** Settles when no read from before this epoch's commit is still reading the base. */
  readonly earlierReadsDone: Promise<void>;
}

/** Something that reads a disk as of an epoch, while later ones are written to its base. */
export interface DiskPin {
  readonly epoch: number;
  /** Settles when a later epoch may be written to this range of the base. Never rejects. */
  keep(offset: number, length: number): Promise<void>;
}

/** Pages that a commit or failover kept and dropped. */
export interface CommitCounts {
  readonly committedPages: number;
  readonly droppedPages: number;
}

/** The counts of several disks together. */
export function sumOf(counts: readonly CommitCounts[]): CommitCounts {
  const sum = { committedPages: 0, droppedPages: 0 };
  for (const { committedPages, droppedPages } of counts) {
    sum.committedPages += committedPages;
    sum.droppedPages += droppedPages;
  }
  return sum;
}

/** Memory of the open and the committed epochs, with tables, but without what is spilled. */
export interface BufferBytes {
  readonly primary: number;
  readonly secondary: number;
  readonly committed: number;
}

/** The memory of several disks together. */
export function bufferBytesOf(disks: readonly Disk[]): BufferBytes {
  const sum = (bytesOf: (disk: Disk) => number): number =>
    disks.reduce((total, disk) => total + bytesOf(disk), 0);
  return {
    primary: sum((disk) => disk.primaryBytes),
    secondary: sum((disk) => disk.secondaryBytes),
    committed: sum((disk) => disk.committedBytes),
  };
}

/**
 * One disk of a replica: layers of memory over the base image.
 *
 *     SVM's view:   secondary (S)  over  committed, newest first  over  base
 *     PVM's view:   primary (P)    over  committed, newest first  over  base
 *
 * Everything but reading the base or the spill file is synchronous, so a commit never happens in
 * the middle of a request.
 */
export class Disk {
  /** What the primary writes, where somebody watches. */
  readonly arrivals = new Arrivals();
  /** What is fetched for a base that is brought up to date. */
  readonly fetched = new Fetched(this);
  /** What must still be able to read an earlier state. */
  pin: DiskPin | undefined;
  readonly #primary: OpenEpoch;
  readonly #secondary: OpenEpoch;
  /** Oldest first. */
  #committed: CommittedEpoch[] = [];
  #baseReads = new BaseReads();
  /** The layers of the last read, or none: for most reads they have not changed. */
  #layers: readonly Overlay[] = [];

  constructor(
    readonly name: string,
    readonly base: BaseStore,
    private readonly pool: SlabPool,
  ) {
    this.#primary = new OpenEpoch(pool);
    this.#secondary = new OpenEpoch(pool);
  }

  get sizeBytes(): number {
    return this.base.sizeBytes;
  }

  /** The overlay that takes the primary's writes. */
  get primary(): Overlay {
    return this.#primary.top;
  }

  /** The overlay that takes the SVM's writes. */
  get secondary(): Overlay {
    return this.#secondary.top;
  }

  get primaryBytes(): number {
    return this.#primary.memoryBytes;
  }

  get secondaryBytes(): number {
    return this.#secondary.memoryBytes;
  }

  /** Whether the SVM has written nothing since its buffer was last dropped or sealed. */
  get isSecondaryEmpty(): boolean {
    return this.#secondary.isEmpty;
  }

  get openEpochs(): readonly OpenEpoch[] {
    return [this.#primary, this.#secondary];
  }

  /** Parts of the open epochs that are no longer written to, oldest first. */
  get frozenParts(): readonly Overlay[] {
    return [...this.#primary.parts, ...this.#secondary.parts];
  }

  get committed(): readonly CommittedEpoch[] {
    return this.#committed;
  }

  get committedBytes(): number {
    return this.committedBytesOf(() => true);
  }

  /** Memory of the committed epochs that `isMeant` picks. */
  committedBytesOf(isMeant: (epoch: CommittedEpoch) => boolean): number {
    let bytes = 0;
    for (const epoch of this.#committed) if (isMeant(epoch)) bytes += epoch.overlay.memoryBytes;
    return bytes;
  }

  /** P becomes committed state, S is dropped. Takes the same time for any number of pages. */
  commit(epoch: number): CommitCounts {
    const counts = {
      committedPages: this.#primary.pageCount,
      droppedPages: this.#secondary.pageCount,
    };
    this.#pushCommitted(epoch, this.#primary);
    this.#secondary.drop();
    return counts;
  }

  /** P is dropped, S becomes committed state: from now on the SVM's disk is the disk. */
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
  }

  /**
   * Merges neighbours among the committed epochs into the older one, which then has the number of
   * the newer. Synchronous, so large ones are left alone.
   *
   * @param from how many of the oldest epochs are left as they are
   * @param mayMerge whether an epoch may be merged with its neighbour
   */
  mergeCommitted(from: number, mayMerge: (epoch: CommittedEpoch) => boolean): void {
    const merged = this.#committed.slice(0, from);
    for (const next of this.#committed.slice(from)) {
      const last = merged.length > from ? merged[merged.length - 1] : undefined;
      const { epoch, overlay, earlierReadsDone } = next;
      const isSmall = overlay.pageCount <= MERGED_PAGES_MAX && !overlay.hasSpilled;
      if (!last || !isSmall || last.overlay.hasSpilled || !mayMerge(last) || !mayMerge(next)) {
        merged.push(next);
        continue;
      }
      last.overlay.absorb(overlay);
      overlay.release();
      const bothDone = Promise.all([last.earlierReadsDone, earlierReadsDone]).then(() => undefined);
      merged[merged.length - 1] = {
        ...{ epoch, overlay: last.overlay },
        earlierReadsDone: bothDone,
      };
    }
    this.#layers = [];
    this.#committed = merged;
  }

  /** Removes the oldest epochs, which the base holds by now. */
  forget(count: number): void {
    this.#layers = [];
    for (const { overlay } of this.#committed.splice(0, count)) overlay.release();
  }

  /** Drops the primary's open epoch: it will never commit. */
  dropPrimary(): void {
    this.#layers = [];
    this.#primary.drop();
  }

  /** Drops both open epochs: neither will be anybody's disk. */
  dropOpen(): void {
    this.dropPrimary();
    this.#secondary.drop();
  }

  /** Drops everything that is in memory. */
  dropAll(): void {
    this.forget(this.#committed.length);
    this.dropOpen();
  }

  /** Fills `target` with the view of `top`; a promise only if base or spill file must be read. */
  read(top: Overlay, offset: number, target: Uint8Array): void | Promise<void> {
    const layers = this.#layersUnder(top);
    if (isSpilled(layers, offset, target.length)) {
      const [from, to] = uncovered(layers, offset, target.length);
      return this.#readLater(layers, offset, target, from, to);
    }
    const end = offset + target.length;
    const endPage = Math.floor(end / PAGE_BYTES);
    let baseFrom = -1;
    let baseTo = -1;
    for (let position = offset; position < end;) {
      const page = Math.floor(position / PAGE_BYTES);
      if (page < endPage && position % PAGE_BYTES === 0) {
        const found = wholePages(layers, page, endPage);
        if (found !== undefined) {
          target.set(found, position - offset);
          position += found.length;
          continue;
        }
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
      return applyOver(layers, baseFrom, part);
    }
    return this.#readLater(layers, baseFrom, part, baseFrom, baseTo);
  }

  /**
   * What read() would give, as pieces of memory; undefined if it is not all in memory, or in too
   * many pieces.
   */
  view(top: Overlay, offset: number, length: number): ReadView | undefined {
    const layers = this.#layersUnder(top);
    const end = offset + length;
    if (offset % PAGE_BYTES !== 0 || length % PAGE_BYTES !== 0) return undefined;
    if (isSpilled(layers, offset, length)) return undefined;
    const pieces: Buffer[] = [];
    for (let position = offset; position < end;) {
      const piece = wholePages(layers, position / PAGE_BYTES, end / PAGE_BYTES);
      if (piece === undefined || pieces.length * VIEW_PIECE_BYTES >= length) return undefined;
      pieces.push(piece);
      position += piece.length;
    }
    for (const piece of pieces) this.pool.pin(piece);
    const release = (): void => {
      for (const piece of pieces) this.pool.unpin(piece);
    };
    return { pieces, release };
  }

  /**
   * The first extent of the view of `top` at `offset`: the longest correct one up to `length`, or
   * what a bounded number of steps finds. Zeros that a layer holds take no space: they are a hole,
   * whatever the base has there.
   */
  extent(top: Overlay, offset: number, length: number): Extent {
    const layers = this.#layersUnder(top);
    const end = offset + length;
    const isZero = this.#readsAsZeros(layers, offset);
    let at = offset;
    for (let steps = 0; at < end && steps < EXTENT_STEPS_MAX; steps++) {
      if (this.#readsAsZeros(layers, at) !== isZero) break;
      at = isZero ? this.#zerosUntil(layers, at) : this.#dataUntil(layers, at);
    }
    return { length: Math.min(at, end) - offset, hole: isZero, zero: isZero };
  }

  #readsAsZeros(layers: readonly Overlay[], offset: number): boolean {
    const kind = kindOf(layers, Math.floor(offset / PAGE_BYTES));
    return kind === undefined ? this.base.holeEnd(offset) > offset : kind === 'zeros';
  }

  /** Zeros at `offset` end here at the earliest. */
  #zerosUntil(layers: readonly Overlay[], offset: number): number {
    const page = Math.floor(offset / PAGE_BYTES);
    const holeEnd = this.base.holeEnd(offset);
    let end = holeEnd > offset ? holeEnd : Infinity;
    for (const layer of layers) end = Math.min(end, layer.uniformEnd(page) * PAGE_BYTES);
    return end;
  }

  /** Data at `offset` ends here at the earliest: at a hole of the base, or at zeros of a layer. */
  #dataUntil(layers: readonly Overlay[], offset: number): number {
    const nextPage = Math.floor(offset / PAGE_BYTES) + 1;
    const isOverHole = this.base.holeEnd(offset) > offset;
    let end = isOverHole ? nextPage * PAGE_BYTES : this.base.nextHole(offset);
    for (const layer of layers) end = Math.min(end, layer.nextZeroed(nextPage) * PAGE_BYTES);
    return end;
  }

  /** The view of `top`, newest layer first. Never changed: a read of the base keeps it. */
  #layersUnder(top: Overlay): readonly Overlay[] {
    if (this.#layers[0] !== top) {
      const { parts } = top === this.#primary.top ? this.#primary : this.#secondary;
      const committed = this.#committed.map(({ overlay }) => overlay);
      this.#layers = [top, ...[...committed, ...parts].reverse()];
    }
    return this.#layers;
  }

  /** @param baseFrom with baseTo: the range to read from the base; -1 for none */
  async #readLater(
    layers: readonly Overlay[],
    offset: number,
    target: Uint8Array,
    baseFrom: number,
    baseTo: number,
  ): Promise<void> {
    for (const layer of layers) layer.retain();
    const reads = this.#baseReads.enter();
    try {
      if (baseFrom >= 0) {
        const part = target.subarray(baseFrom - offset, baseTo - offset);
        if (this.base.holeEnd(baseFrom) >= baseTo) part.fill(0);
        else await this.base.read(baseFrom, part);
      }
      await applyOver(layers, offset, target);
    } finally {
      reads.leave();
      for (const layer of layers) layer.release();
    }
  }

  #pushCommitted(epoch: number, open: OpenEpoch): void {
    this.#layers = [];
    for (const overlay of open.take()) {
      if (overlay.isEmpty) {
        overlay.release();
        continue;
      }
      // Only for epochs that will be written back: nobody waits for reads before any other.
      const earlierReads = this.#baseReads;
      this.#baseReads = new BaseReads();
      this.#committed.push({ epoch, overlay, earlierReadsDone: earlierReads.whenDone() });
    }
  }
}

/** Largest epoch that is merged into its neighbour: 4 MiB, copied in about a millisecond. */
const MERGED_PAGES_MAX = 1024;
/** Least average size of the pieces of a view: each pins its whole slab. */
const VIEW_PIECE_BYTES = SLAB_BYTES / 4;
/** How long the end of an extent is searched, so as not to block the event loop. */
const EXTENT_STEPS_MAX = 65_536;

/** Reads of the base under way: write-back of an epoch waits for those from before its commit. */
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
