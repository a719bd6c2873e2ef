const EMPTY = 0;
const FIRST_SLOTS = 64;
/** Slots whose page numbers share one array. */
const CHUNK_SLOTS = 16_384;
const CHUNK_SHIFT = 14;
/** Entries of the smallest and of the largest table; powers of two. */
const TABLE_MIN = 128;
const TABLE_MAX = 8192;
/** Range of load factors. They differ by table, so that tables which fill evenly split in turn. */
const LOADS = [0.6, 0.75] as const;
const GOLDEN = 0.6180339887498949;
/** Most bits of a hash that choose the table; the others choose the place in it. */
const DEPTH_MAX = 18;

/**
 * Maps page numbers to slots 0, 1, 2 … in order of arrival, in typed arrays: about 16 bytes a page
 * (0.4 % of 4 KiB). Page numbers may be any whole number below 2^53.
 *
 * There are many small tables, found by the first bits of a page's hash through a directory
 * (extendible hashing: Fagin et al., 1979). A full one is split in two, which takes the same time
 * however many pages there are; doubling one table of 10^6 pages would block the event loop for
 * 100 ms.
 *
 *     hash   = dddd pppppppp …     directory[dddd] → table (its depth is at most the directory's)
 *                                  table[pppppppp …] = slot + 1
 */
export class PageIndex {
  /** Page numbers by slot, in chunks; only the first one grows. */
  #pages: Float64Array[] = [new Float64Array(FIRST_SLOTS)];
  /** At least two entries, so that a shift finds one. */
  #directory: Table[];
  /** 32 minus the number of bits that choose a table. */
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

  /** Bytes of memory that the index takes. */
  get metadataBytes(): number {
    return this.#bytes;
  }

  /** The page in a slot. */
  pageOf(slot: number): number {
    return this.#pages[slot >>> CHUNK_SHIFT]?.[slot & (CHUNK_SLOTS - 1)] ?? NaN;
  }

  /** The pages of all slots, in order, in pieces that must not be changed. */
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
   * The page's slot; a new page gets the next one, which is equal to the count before.
   *
   * @param guess a slot that may be the page's: neighbours on the disk often arrive in order
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

  /** Makes room for a hash in a table that is full. */
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
    // All places of the directory that begin with the table's bits.
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
  /** The rest of a hash, shifted by this, is a place. */
  shift: number;
  count = 0;
  /** Number of entries at which it is full. */
  limit: number;

  /**
   * @param depth bits of a hash that all pages in it share
   * @param load the load factor at which it is full
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

  /** Makes it empty, with another length. */
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
