const EMPTY = 0;
const FIRST_SLOTS = 64;
/** Slots whose pages are kept in one array. */
const CHUNK_SLOTS = 16_384;
const CHUNK_SHIFT = 14;
/** Entries of the smallest and of the largest table; powers of two. */
const TABLE_MIN = 128;
const TABLE_MAX = 8192;
/** So full a table may be, at least and at most: not all the same, or tables that fill evenly were split all at once. */
const LOADS = [0.6, 0.75] as const;
const GOLDEN = 0.6180339887498949;
/** So many bits of a hash choose the table, at most: the others choose the place in it. */
const DEPTH_MAX = 18;

/**
 * Maps page numbers to slots 0, 1, 2 … in order of arrival, in typed arrays: about 16 bytes a page (0.4 % of 4 KiB).
 * Page numbers may be any whole number below 2^53.
 *
 * The table is cut into small ones, found by the first bits of a page's hash through a directory (extendible hashing:
 * Fagin et al., 1979). One that is full is split in two: to grow never takes longer than that, however many pages there
 * are, where doubling one table of 10^6 pages would keep the event loop for 100 ms.
 *
 *     hash   = dddd pppppppp …     directory[dddd] → table, whose own depth is at most that of the directory
 *                                  table[pppppppp and on] = slot + 1
 */
export class PageIndex {
  /** By slot, in chunks; only the first one ever grows. */
  #pages: Float64Array[] = [new Float64Array(FIRST_SLOTS)];
  /** Two entries at least, so that a shift finds one. */
  #directory: Table[];
  /** 32 - the bits that choose a table. */
  #shift = 31;
  #count = 0;
  #tables = 0;
  #bytes = FIRST_SLOTS * 8 + TABLE_MIN * 4;

  constructor() {
    const table = this.#newTable(TABLE_MIN, 0);
    this.#directory = [table, table];
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes that the index itself takes. */
  get metadataBytes(): number {
    return this.#bytes;
  }

  /** The page that was given this slot. */
  pageOf(slot: number): number {
    return this.#pages[slot >>> CHUNK_SHIFT]?.[slot & (CHUNK_SLOTS - 1)] ?? NaN;
  }

  /** The pages of all slots, in order, in pieces that are not to be changed. */
  *pages(): Generator<Float64Array> {
    for (let slot = 0; slot < this.#count; slot += CHUNK_SLOTS) {
      const chunk = this.#pages[slot >>> CHUNK_SHIFT] as Float64Array;
      yield chunk.subarray(0, this.#count - slot);
    }
  }

  /** The page's slot, or -1. */
  find(page: number): number {
    const hash = hashOf(page);
    const { entries, depth, shift } = this.#directory[hash >>> this.#shift] as Table;
    const mask = entries.length - 1;
    for (let at = (hash << depth) >>> shift; ; at = (at + 1) & mask) {
      const slot = (entries[at] as number) - 1;
      if (slot < 0 || this.pageOf(slot) === page) return slot;
    }
  }

  /**
   * The page's slot; a page not seen before gets the next one, equal to the count before.
   *
   * @param guess a slot that may be the page's: neighbours on the disk often came one after the other
   */
  findOrAdd(page: number, guess = 0): number {
    if (guess < this.#count && this.pageOf(guess) === page) return guess;
    const hash = hashOf(page);
    const table = this.#directory[hash >>> this.#shift] as Table;
    const { entries, depth, shift } = table;
    const mask = entries.length - 1;
    let at = (hash << depth) >>> shift;
    for (; entries[at] !== EMPTY; at = (at + 1) & mask) {
      const slot = (entries[at] as number) - 1;
      if (this.pageOf(slot) === page) return slot;
    }
    if (table.count >= table.limit) {
      this.#grow(table, hash);
      return this.findOrAdd(page);
    }
    const slot = this.#count++;
    this.#keep(slot, page);
    entries[at] = slot + 1;
    table.count++;
    return slot;
  }

  #keep(slot: number, page: number): void {
    let chunk = this.#pages[slot >>> CHUNK_SHIFT];
    const at = slot & (CHUNK_SLOTS - 1);
    if (chunk === undefined || at === chunk.length) {
      const larger = new Float64Array(slot < CHUNK_SLOTS ? slot * 2 : CHUNK_SLOTS);
      if (chunk) larger.set(chunk);
      this.#bytes += larger.byteLength - (chunk?.byteLength ?? 0);
      this.#pages[slot >>> CHUNK_SHIFT] = larger;
      chunk = larger;
    }
    chunk[at] = page;
  }

  /** Makes room in a table that is full, for the hash. */
  #grow(table: Table, hash: number): void {
    if (table.entries.length < TABLE_MAX || table.depth === DEPTH_MAX) {
      this.#bytes += table.entries.byteLength;
      const before = table.entries;
      table.resize(before.length * 2);
      for (const entry of before) if (entry !== EMPTY) this.#put(table, entry);
      return;
    }
    if (table.depth === 32 - this.#shift) this.#doubleDirectory();
    const { entries, depth } = table;
    const length = entries.length;
    const halves = [this.#newTable(length, depth + 1), this.#newTable(length, depth + 1)];
    for (const entry of entries) {
      if (entry === EMPTY) continue;
      const half = (hashOf(this.pageOf(entry - 1)) << depth) >>> 31;
      this.#put(halves[half] as Table, entry);
    }
    this.#bytes += entries.byteLength;
    // All the places in the directory that begin with the table's bits.
    const places = 2 ** (32 - this.#shift - depth);
    const first = (hash >>> this.#shift) & -places;
    for (let at = 0; at < places; at++) {
      this.#directory[first + at] = halves[at < places / 2 ? 0 : 1] as Table;
    }
  }

  #newTable(length: number, depth: number): Table {
    const share = (this.#tables++ * GOLDEN) % 1;
    return new Table(length, depth, LOADS[0] + share * (LOADS[1] - LOADS[0]));
  }

  #put(table: Table, entry: number): void {
    const { entries, depth, shift } = table;
    const mask = entries.length - 1;
    let at = (hashOf(this.pageOf(entry - 1)) << depth) >>> shift;
    while (entries[at] !== EMPTY) at = (at + 1) & mask;
    entries[at] = entry;
    table.count++;
  }

  #doubleDirectory(): void {
    this.#bytes += this.#directory.length * 8;
    this.#directory = this.#directory.flatMap((table) => [table, table]);
    this.#shift--;
  }
}

/** Open addressing; an entry is a slot + 1, or EMPTY. */
class Table {
  entries: Uint32Array;
  /** What is left of a hash, shifted by this, is a place. */
  shift: number;
  count = 0;
  /** Full with so many. */
  limit: number;

  /**
   * @param depth bits of a hash that all pages in it share
   * @param load how full it may be
   */
  constructor(
    length: number,
    readonly depth: number,
    private readonly load: number,
  ) {
    this.entries = new Uint32Array(length);
    this.shift = 32 - Math.log2(length);
    this.limit = Math.floor(length * this.load);
  }

  /** Empties it. */
  resize(length: number): void {
    this.entries = new Uint32Array(length);
    this.shift = 32 - Math.log2(length);
    this.limit = Math.floor(length * this.load);
    this.count = 0;
  }
}

function hashOf(page: number): number {
  const high = (page / 0x1_0000_0000) | 0;
  return Math.imul((page | 0) ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
}
