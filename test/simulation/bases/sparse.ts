const PAGE_BYTES = 4096;

/** The contents of a disk of any size: zeros, but for the pages that were written. */
export class Sparse {
  readonly #pages = new Map<number, Buffer>();

  write(offset: number, data: Buffer): void {
    for (let done = 0; done < data.length;) {
      const at = offset + done;
      const within = at % PAGE_BYTES;
      const length = Math.min(data.length - done, PAGE_BYTES - within);
      data.copy(this.#page(Math.floor(at / PAGE_BYTES)), within, done, done + length);
      done += length;
    }
  }

  zero(offset: number, length: number): void {
    const end = offset + length;
    for (const [number, page] of this.#pages) {
      const start = number * PAGE_BYTES;
      if (start >= end || start + PAGE_BYTES <= offset) continue;
      if (start >= offset && start + PAGE_BYTES <= end) this.#pages.delete(number);
      else page.fill(0, Math.max(0, offset - start), Math.min(PAGE_BYTES, end - start));
    }
  }

  read(offset: number, length: number): Buffer {
    const data = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      const at = offset + done;
      const within = at % PAGE_BYTES;
      const part = Math.min(length - done, PAGE_BYTES - within);
      this.#pages.get(Math.floor(at / PAGE_BYTES))?.copy(data, done, within, within + part);
      done += part;
    }
    return data;
  }

  clone(): Sparse {
    const copy = new Sparse();
    for (const [number, page] of this.#pages) copy.#pages.set(number, Buffer.from(page));
    return copy;
  }

  /** Where pages are, ascending. */
  get written(): number[] {
    return [...this.#pages.keys()].sort((a, b) => a - b).map((number) => number * PAGE_BYTES);
  }

  /** The first byte that is another one in `other`; undefined if there is none. */
  difference(other: Sparse): number | undefined {
    for (const start of new Set([...this.written, ...other.written])) {
      const [own, its] = [this.read(start, PAGE_BYTES), other.read(start, PAGE_BYTES)];
      const at = own.findIndex((byte, index) => byte !== its[index]);
      if (at >= 0) return start + at;
    }
    return undefined;
  }

  #page(number: number): Buffer {
    const page = this.#pages.get(number) ?? Buffer.alloc(PAGE_BYTES);
    this.#pages.set(number, page);
    return page;
  }
}
