const BITS = 32;

/** A set of page numbers: a bit for each page. */
export class PageSet {
  readonly #words: Uint32Array;
  #size = 0;

  /** @param pages numbers below this may be in the set */
  constructor(readonly pages: number) {
    this.#words = new Uint32Array(Math.ceil(pages / BITS));
  }

  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    return (((this.#words[page >>> 5] ?? 0) >>> (page & 31)) & 1) === 1;
  }

  /** @throws RangeError for a page that there is not */
  add(page: number): void {
    if (page >= this.pages) throw new RangeError(`page ${page} of ${this.pages}`);
    if (this.has(page)) return;
    this.#words[page >>> 5] = (this.#words[page >>> 5] ?? 0) | (1 << (page & 31));
    this.#size++;
  }

  /** @throws RangeError for a page that there is not */
  addAll(pages: Iterable<number>): void {
    for (const page of pages) this.add(page);
  }

  /** A bit for each page, 32 in a word, the lowest first. */
  get words(): Readonly<Uint32Array> {
    return this.#words;
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** Ascending. */
  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (const [at, word] of this.#words.entries()) {
      for (let rest = word; rest !== 0; rest &= rest - 1) {
        yield at * BITS + (31 - Math.clz32(rest & -rest));
      }
    }
  }

  /** The pages, ascending, in lists of at most `most`. */
  *batches(most: number): Generator<Uint32Array, void, undefined> {
    let batch: number[] = [];
    for (const page of this) {
      batch.push(page);
      if (batch.length < most) continue;
      yield Uint32Array.from(batch);
      batch = [];
    }
    if (batch.length > 0) yield Uint32Array.from(batch);
  }
}
