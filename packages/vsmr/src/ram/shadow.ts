/** What RAM was when it was last looked at: memory that the threads of a process share. */

/** Some versions of Node.js have no array above 4 GiB, others copy to a wrong place in it. */
const SLICE_BYTES = 1024 ** 3;

/** Which shadow, and where it is. */
export interface ShadowData {
  /** All of one size but for the last. */
  readonly slices: readonly SharedArrayBuffer[];
  readonly pageBytes: number;
}

/** A copy of RAM, page by page. It is in slices, so that RAM may have any size. */
export class Shadow {
  readonly pages: number;
  readonly #slicePages: number;

  constructor(readonly data: ShadowData) {
    const { slices, pageBytes } = data;
    this.#slicePages = (slices[0]?.byteLength ?? 0) / pageBytes;
    this.pages = slices.reduce((sum, { byteLength }) => sum + byteLength / pageBytes, 0);
  }

  /** All zeros. @param sliceBytes a whole number of pieces of a scan; tests have others */
  static allocate(pages: number, pageBytes: number, sliceBytes = SLICE_BYTES): Shadow {
    const slices: SharedArrayBuffer[] = [];
    for (let left = pages * pageBytes; left > 0; left -= sliceBytes) {
      slices.push(new SharedArrayBuffer(Math.min(left, sliceBytes)));
    }
    return new Shadow({ slices, pageBytes });
  }

  /**
   * The pages from `first` on, as far as they are in one slice: the memory itself, no copy.
   *
   * @param most of them
   */
  view(first: number, most: number): Buffer {
    const { slices, pageBytes } = this.data;
    const at = first % this.#slicePages;
    const slice = slices[(first - at) / this.#slicePages] ?? new SharedArrayBuffer(0);
    const bytes = Math.min(most * pageBytes, slice.byteLength - at * pageBytes);
    return Buffer.from(slice, at * pageBytes, bytes);
  }

  /** @param bytes whole pages */
  write(first: number, bytes: Uint8Array): void {
    const { pageBytes } = this.data;
    for (let done = 0; done < bytes.length;) {
      const page = first + done / pageBytes;
      const view = this.view(page, (bytes.length - done) / pageBytes);
      view.set(bytes.subarray(done, done + view.length));
      done += view.length;
    }
  }
}
