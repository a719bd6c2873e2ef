const EMPTY = 0;
const FIRST_SLOTS = 64;

/**
 * Maps page numbers to slots 0, 1, 2 … in order of arrival: an open-addressing hash table in typed arrays, about 17
 * bytes a page (0.4 % of 4 KiB). Page numbers may be any whole number below 2^53.
 */
export class PageIndex {
  #pages = new Float64Array(FIRST_SLOTS);
  /** slot + 1, or EMPTY; twice as long as #pages, a power of two. */
  #table = new Uint32Array(FIRST_SLOTS * 2);
  #shift = 32 - Math.log2(FIRST_SLOTS * 2);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes that the index itself takes. */
  get metadataBytes(): number {
    return this.#pages.byteLength + this.#table.byteLength;
  }

  /** The page that was given this slot. */
  pageOf(slot: number): number {
    return this.#pages[slot] ?? NaN;
  }

  /** Copies all pages into `target`, in the order of their slots; returns how many. */
  copyPages(target: Float64Array, at: number): number {
    target.set(this.#pages.subarray(0, this.#count), at);
    return this.#count;
  }

  /** The page's slot, or -1. */
  find(page: number): number {
    const mask = this.#table.length - 1;
    for (let at = this.#hash(page); ; at = (at + 1) & mask) {
      const slot = (this.#table[at] as number) - 1;
      if (slot < 0 || this.#pages[slot] === page) return slot;
    }
  }

  /**
   * The page's slot; a page not seen before gets the next one, equal to the count before.
   *
   * @param guess a slot that may be the page's: neighbours on the disk often came one after the other
   */
  findOrAdd(page: number, guess = 0): number {
    if (guess < this.#count && this.#pages[guess] === page) return guess;
    const mask = this.#table.length - 1;
    let at = this.#hash(page);
    for (; this.#table[at] !== EMPTY; at = (at + 1) & mask) {
      const slot = (this.#table[at] as number) - 1;
      if (this.#pages[slot] === page) return slot;
    }
    if (this.#count === this.#pages.length) {
      this.#grow();
      return this.findOrAdd(page);
    }
    const slot = this.#count++;
    this.#pages[slot] = page;
    this.#table[at] = slot + 1;
    return slot;
  }

  #hash(page: number): number {
    const high = (page / 0x1_0000_0000) | 0;
    return Math.imul((page | 0) ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> this.#shift;
  }

  #grow(): void {
    const pages = new Float64Array(this.#pages.length * 2);
    pages.set(this.#pages);
    this.#pages = pages;
    this.#table = new Uint32Array(pages.length * 2);
    this.#shift--;
    const mask = this.#table.length - 1;
    for (let slot = 0; slot < this.#count; slot++) {
      let at = this.#hash(this.pageOf(slot));
      while (this.#table[at] !== EMPTY) at = (at + 1) & mask;
      this.#table[at] = slot + 1;
    }
  }
}
