import { BYTE_MAP_BYTES, byteMapOf, forEachHeldRun, sectorsIn, setBytes } from './byte-map.js';
import { PageIndex } from './page-index.js';
import { RangeSet } from '../range-set.js';
import { PAGE_BYTES, SECTOR_BYTES, SLAB_BYTES, SLAB_PAGES, type SlabPool } from './slab-pool.js';
import type { SpillFile } from './spill-file.js';

/**
 * The writes of one epoch to one disk, in memory: a sparse layer over whatever is below.
 *
 * A page that was written to has a slot in a slab. Which of its bytes the layer holds is kept in
 * three forms, so that a page pays only for what it needs:
 *
 *   sectors   a mask of 8 bits a page: guests write whole sectors, so most pages have nothing else
 *   bytes     a bitmap, for pages that were written in parts of a sector, until they are whole
 *   zeros     runs of whole pages that read as zeros, without memory (WRITE_ZEROES, TRIM)
 *
 * A slot's contents are newer than zeros under it: zeroing a range empties the slots in it. So a
 * write never has to read from below, and never waits.
 *
 * A layer that no longer changes can be moved to a spill file, slab by slab; the tables stay. Only
 * applyRange() reads from there: ask isSpilled() before any other method that copies.
 */
export class Overlay {
  readonly #index = new PageIndex();
  readonly #zeros = new RangeSet();
  /** Undefined for a slab that is in the spill file. */
  #slabs: (Buffer | undefined)[] = [];
  #spilled: Spilled | undefined;
  #sectorMasks = new Uint8Array(SLAB_PAGES);
  readonly #byteMaps = new Map<number, Uint8Array>();
  #holders = 1;
  #chargedBytes = 0;

  constructor(private readonly pool: SlabPool) {}

  /** Pages with a slot. */
  get pageCount(): number {
    return this.#index.count;
  }

  get isEmpty(): boolean {
    return this.#index.count === 0 && this.#zeros.isEmpty;
  }

  /** Bytes of memory that the layer takes, slabs and tables. */
  get memoryBytes(): number {
    return this.isEmpty ? 0 : this.slabsInMemory * SLAB_BYTES + this.#tableBytes;
  }

  get #tableBytes(): number {
    const mapBytes = this.#byteMaps.size * BYTE_MAP_BYTES + this.#zeros.runCount * RUN_BYTES;
    return this.#index.metadataBytes + this.#sectorMasks.length + mapBytes;
  }

  get slabsInMemory(): number {
    return this.#slabs.length - (this.#spilled?.places.size ?? 0);
  }

  get hasSpilled(): boolean {
    return this.#spilled !== undefined;
  }

  /** Whether some of what the layer holds of bytes [offset, end) is in the spill file. */
  isSpilled(offset: number, end: number): boolean {
    const places = this.#spilled?.places;
    for (let page = Math.floor(offset / PAGE_BYTES); page * PAGE_BYTES < end; page++) {
      const slot = this.#index.find(page);
      if (slot >= 0 && places?.has(slabOf(slot))) return true;
    }
    return false;
  }

  /** Keeps the memory for a later read; pair it with release(). */
  retain(): this {
    this.#holders++;
    return this;
  }

  /** Undoes one retain(), or the creation; the last one gives the memory back. */
  release(): void {
    if (--this.#holders > 0) return;
    if (this.#spilled) {
      this.pool.give(this.#slabs.filter((slab) => slab !== undefined));
      this.#spilled.file.give(this.#spilled.places.values());
      this.#spilled = undefined;
    } else {
      this.pool.give(this.#slabs as Buffer[]);
    }
    this.pool.charge(-this.#chargedBytes);
    this.#slabs = [];
    this.#chargedBytes = 0;
  }

  /**
   * Moves up to `count` slabs to the file, and gives their memory back. The caller retains the
   * layer meanwhile, and nothing may write to it any more. If it fails, everything is where it was.
   *
   * @returns how many were moved: fewer if the file has no more room
   * @throws SpillError REPLICA_SPILL_IO
   */
  async spill(file: SpillFile, count: number): Promise<number> {
    const places = new Map<number, number>();
    try {
      for (const [at, slab] of this.#slabs.entries()) {
        if (slab === undefined) continue;
        const place = places.size < count ? file.take() : undefined;
        if (place === undefined) break;
        places.set(at, place);
        await file.write(place, slab);
      }
      if (places.size > 0) await file.sync();
    } catch (error) {
      file.give(places.values());
      throw error;
    }
    if (places.size > 0) this.#moved(file, places);
    return places.size;
  }

  #moved(file: SpillFile, places: ReadonlyMap<number, number>): void {
    this.#spilled ??= { file, places: new Map() };
    const slabs: Buffer[] = [];
    for (const [at, place] of places) {
      slabs.push(this.#slabs[at] as Buffer);
      this.#slabs[at] = undefined;
      this.#spilled.places.set(at, place);
    }
    this.pool.give(slabs);
  }

  /** Copies `data` in. */
  write(offset: number, data: Uint8Array): void {
    this.#write(offset, data);
    this.#charge();
  }

  #write(offset: number, data: Uint8Array): void {
    const end = offset + data.length;
    // Consecutive slots of one slab are adjacent in memory: copied at once.
    let runStart = 0;
    let runSlot = -1;
    let nextSlot = 0;
    let position = offset;
    try {
      while (position < end) {
        const page = Math.floor(position / PAGE_BYTES);
        const from = position - page * PAGE_BYTES;
        const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
        const slot = this.#slotFor(page, nextSlot);
        this.#cover(slot, from, to);
        if (runSlot < 0 || slot !== nextSlot || slot % SLAB_PAGES === 0) {
          if (runSlot >= 0)
            this.#copyIn(offset + runStart, runSlot, data, runStart, position - offset);
          runStart = position - offset;
          runSlot = slot;
        }
        nextSlot = slot + 1;
        position += to - from;
      }
    } finally {
      // Also if memory has run out: what is marked as held must hold what was written.
      if (runSlot >= 0) this.#copyIn(offset + runStart, runSlot, data, runStart, position - offset);
    }
  }

  /** Makes a range read as zeros; whole pages take no memory. */
  zero(offset: number, length: number): void {
    this.#zero(offset, length);
    this.#charge();
  }

  #zero(offset: number, length: number): void {
    const end = offset + length;
    const firstPage = Math.ceil(offset / PAGE_BYTES);
    const endPage = Math.floor(end / PAGE_BYTES);
    if (firstPage >= endPage) {
      this.#writeZeros(offset, end);
      return;
    }
    this.#writeZeros(offset, firstPage * PAGE_BYTES);
    this.#writeZeros(endPage * PAGE_BYTES, end);
    this.#emptySlots(firstPage, endPage);
    this.#zeros.add(firstPage, endPage);
  }

  /** Adds everything that a newer layer holds; nothing of either may be spilled. */
  absorb(newer: Overlay): void {
    for (const [start, end] of newer.#zeros.runs()) {
      this.#zero(start * PAGE_BYTES, (end - start) * PAGE_BYTES);
    }
    for (const pages of newer.pageNumbers()) {
      for (const page of pages) {
        newer.forEachRunIn(page, (start, end) => {
          const slot = newer.#index.find(page);
          const slab = newer.#slabs[slabOf(slot)] as Buffer;
          const at = placeInSlab(slot);
          this.#write(page * PAGE_BYTES + start, slab.subarray(at + start, at + end));
        });
      }
    }
    this.#charge();
  }

  /** Mask of the page's sectors that the layer holds whole; 0xff is the whole page. */
  sectorsOf(page: number): number {
    const slot = this.#index.find(page);
    const mask = slot < 0 ? 0 : (this.#sectorMasks[slot] as number);
    return mask !== FULL && this.#zeros.has(page) ? FULL : mask;
  }

  /** Whether the layer holds any byte of the page. */
  touches(page: number): boolean {
    return this.#holdsInSlot(page) || this.#zeros.has(page);
  }

  /** The first page from `page` on that the layer holds any of, or `endPage`. */
  untouchedEnd(page: number, endPage: number): number {
    if (this.isEmpty) return endPage;
    let next = page;
    while (next < endPage && !this.touches(next)) next++;
    return next;
  }

  #holdsInSlot(page: number): boolean {
    const slot = this.#index.find(page);
    return slot >= 0 && (this.#sectorMasks[slot] !== 0 || this.#byteMaps.has(slot));
  }

  /** Copies what the layer holds of bytes [from, to) of the page to `targetAt` in `target`. */
  applyTo(page: number, from: number, to: number, target: Uint8Array, targetAt: number): void {
    const slot = this.#index.find(page);
    const slab = slot < 0 ? undefined : this.#slabs[slabOf(slot)];
    this.#applyFrom(slab, placeInSlab(slot), slot, page, from, to, target, targetAt);
  }

  /**
   * Copies what the layer holds of a range, in memory or spilled.
   *
   * @throws SpillError if it is lost
   */
  async applyRange(offset: number, target: Uint8Array): Promise<void> {
    const end = offset + target.length;
    const endPage = Math.ceil(end / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page < endPage;) {
      const slot = this.#index.find(page);
      const place = slot < 0 ? undefined : this.#spilled?.places.get(slabOf(slot));
      // Pages that are adjacent in the file are read at once.
      const count = place === undefined ? 1 : this.#inRow(slot, page, endPage);
      let source = slot < 0 ? undefined : this.#slabs[slabOf(slot)];
      let sourceAt = placeInSlab(slot);
      if (place !== undefined) {
        source = Buffer.allocUnsafe(count * PAGE_BYTES);
        await this.#spilled?.file.read(place, sourceAt, source);
        sourceAt = 0;
      }
      for (let at = 0; at < count; at++, page++, sourceAt += PAGE_BYTES) {
        const from = Math.max(0, offset - page * PAGE_BYTES);
        const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
        const targetAt = page * PAGE_BYTES + from - offset;
        const nth = slot < 0 ? slot : slot + at;
        this.#applyFrom(source, sourceAt, nth, page, from, to, target, targetAt);
      }
    }
  }

  /** How many pages from `page` on are in consecutive slots of one slab. */
  #inRow(slot: number, page: number, endPage: number): number {
    const most = Math.min(endPage - page, SLAB_PAGES - (slot % SLAB_PAGES));
    let count = 1;
    while (count < most && this.#index.pageOf(slot + count) === page + count) count++;
    return count;
  }

  /** @param source memory with the page's slot, which begins at `sourceAt` */
  #applyFrom(
    source: Uint8Array | undefined,
    sourceAt: number,
    slot: number,
    page: number,
    from: number,
    to: number,
    target: Uint8Array,
    targetAt: number,
  ): void {
    const mask = slot < 0 ? 0 : (this.#sectorMasks[slot] as number);
    if (mask !== FULL && this.#zeros.has(page)) target.fill(0, targetAt, targetAt + to - from);
    if (slot < 0) return;
    const slab = source as Uint8Array;
    if (mask === FULL) {
      target.set(slab.subarray(sourceAt + from, sourceAt + to), targetAt);
      return;
    }
    forEachHeldRun(mask, this.#byteMaps.get(slot), from, to, (start, end) => {
      target.set(slab.subarray(sourceAt + start, sourceAt + end), targetAt + start - from);
    });
  }

  /**
   * The memory of pages from `page` on that the layer holds whole: as many as are adjacent, up to
   * `endPage`. Undefined if it does not hold the first one whole.
   */
  wholePages(page: number, endPage: number): Buffer | undefined {
    const first = this.#index.find(page);
    if (first < 0 || this.#sectorMasks[first] !== FULL) return undefined;
    const slabEnd = first - (first % SLAB_PAGES) + SLAB_PAGES;
    const slotEnd = Math.min(slabEnd, this.#index.count, first + endPage - page);
    let slot = first + 1;
    while (slot < slotEnd && this.#isWholePageIn(slot, page + slot - first)) slot++;
    const slab = this.#slabs[slabOf(first)] as Buffer;
    const at = placeInSlab(first);
    return slab.subarray(at, at + (slot - first) * PAGE_BYTES);
  }

  #isWholePageIn(slot: number, page: number): boolean {
    return this.#index.pageOf(slot) === page && this.#sectorMasks[slot] === FULL;
  }

  /** Whether the layer holds the page as zeros, without memory. */
  isZeroed(page: number): boolean {
    return !this.#holdsInSlot(page) && this.#zeros.has(page);
  }

  /**
   * How far the layer certainly treats all pages as it does `page`: what holds zeros there may hold
   * something else from the returned page on. With slots it is only known of one page.
   */
  uniformEnd(page: number): number {
    if (this.#index.count > 0) return page + 1;
    const end = this.#zeros.runEnd(page);
    return end > page ? end : this.#zeros.nextStart(page);
  }

  /** The first page from `page` on that may be held as zeros; Infinity for none. */
  nextZeroed(page: number): number {
    return this.#zeros.nextStart(page);
  }

  /** The numbers of all pages with a slot, in any order, in pieces that must not be changed. */
  pageNumbers(): Iterable<Float64Array> {
    return this.#index.pages();
  }

  /** Runs of pages [start, end) that the layer zeroed; slots over them are newer. */
  zeroRuns(): Iterable<readonly [start: number, end: number]> {
    return this.#zeros.runs();
  }

  /** Calls back for each run of bytes [start, end) of the page that its slot holds. */
  forEachRunIn(page: number, callback: (start: number, end: number) => void): void {
    const slot = this.#index.find(page);
    if (slot < 0) return;
    const mask = this.#sectorMasks[slot] as number;
    forEachHeldRun(mask, this.#byteMaps.get(slot), 0, PAGE_BYTES, callback);
  }

  /** Counts memory outside of slabs with the pool. */
  #charge(): void {
    const bytes = this.#tableBytes;
    this.pool.charge(bytes - this.#chargedBytes);
    this.#chargedBytes = bytes;
  }

  #slotFor(page: number, guess: number): number {
    const slot = this.#index.findOrAdd(page, guess);
    // Not only for a new page: it has a slot without memory if that ran out the last time.
    if (slot >= this.#sectorMasks.length) {
      const masks = new Uint8Array(this.#sectorMasks.length * 2);
      masks.set(this.#sectorMasks);
      this.#sectorMasks = masks;
    }
    if (slot >= this.#slabs.length * SLAB_PAGES) this.#slabs.push(this.pool.take());
    return slot;
  }

  /** Marks bytes [from, to) of the slot's page as held. */
  #cover(slot: number, from: number, to: number): void {
    const before = this.#sectorMasks[slot] as number;
    if (before === FULL) return;
    if (to - from === PAGE_BYTES) {
      this.#sectorMasks[slot] = FULL;
      if (this.#byteMaps.size > 0) this.#byteMaps.delete(slot);
      return;
    }
    const firstSector = Math.ceil(from / SECTOR_BYTES);
    const endSector = Math.floor(to / SECTOR_BYTES);
    const whole = firstSector < endSector ? ((1 << endSector) - 1) & ~((1 << firstSector) - 1) : 0;
    let mask = before | whole;
    let byteMap = this.#byteMaps.get(slot);
    if (byteMap || from % SECTOR_BYTES !== 0 || to % SECTOR_BYTES !== 0) {
      byteMap ??= byteMapOf(before);
      setBytes(byteMap, from, to);
      mask = sectorsIn(byteMap);
      if (mask === FULL) this.#byteMaps.delete(slot);
      else this.#byteMaps.set(slot, byteMap);
    }
    this.#sectorMasks[slot] = mask;
  }

  #emptySlots(firstPage: number, endPage: number): void {
    if (endPage - firstPage < this.#index.count) {
      for (let page = firstPage; page < endPage; page++) this.#emptySlot(this.#index.find(page));
      return;
    }
    for (let slot = 0; slot < this.#index.count; slot++) {
      const page = this.#index.pageOf(slot);
      if (page >= firstPage && page < endPage) this.#emptySlot(slot);
    }
  }

  #emptySlot(slot: number): void {
    if (slot < 0) return;
    this.#sectorMasks[slot] = 0;
    this.#byteMaps.delete(slot);
  }

  #writeZeros(offset: number, end: number): void {
    for (let at = offset; at < end; at += PAGE_BYTES) {
      this.#write(at, ZERO_PAGE.subarray(0, Math.min(PAGE_BYTES, end - at)));
    }
  }

  #copyIn(offset: number, slot: number, data: Uint8Array, from: number, to: number): void {
    const slab = this.#slabs[slabOf(slot)] as Buffer;
    const source = from === 0 && to === data.length ? data : data.subarray(from, to);
    slab.set(source, placeInSlab(slot) + (offset % PAGE_BYTES));
  }
}

/** Where the slabs of an overlay are that are not in memory. */
interface Spilled {
  readonly file: SpillFile;
  /** Places in the file by slab. */
  readonly places: Map<number, number>;
}

const FULL = 0xff;
/** What a run of zeros costs: its two ends. */
const RUN_BYTES = 16;
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

function slabOf(slot: number): number {
  return Math.floor(slot / SLAB_PAGES);
}

function placeInSlab(slot: number): number {
  return (slot % SLAB_PAGES) * PAGE_BYTES;
}
