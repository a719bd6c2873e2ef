import { readWhole, writeWhole } from '../file-io.js';
import { PageIndex } from '../memory/page-index.js';
import { PAGE_BYTES } from '../memory/slab-pool.js';
import type { SpillStore } from '../memory/spill-file.js';

/** A file for pages, which is made when it is needed. */
export type KeptFile = Pick<SpillStore, 'read' | 'write' | 'close'>;

/** What is kept in one go. */
const PIECE_PAGES = 256;

/** What keeping needs of a base. Offsets and lengths in bytes. */
export interface KeptSource {
  readonly sizeBytes: number;
  read(offset: number, target: Uint8Array): Promise<void>;
}

/** Counts what all disks of a snapshot keep together. */
export interface KeptBudget {
  /** @throws Error that says why there is no room for so many bytes */
  take(bytes: number): void;
  /** Memory of the tables has grown. */
  charge(bytes: number): void;
}

/**
 * Pages of a base as they were, in a file: kept before something newer is written over them, once.
 * A page counts as kept only when it is in the file; until then the base has it.
 */
export class KeptPages {
  readonly #index = new PageIndex();
  #tail: Promise<void> = Promise.resolve();

  constructor(
    private readonly source: KeptSource,
    private readonly file: () => Promise<KeptFile>,
    private readonly budget: KeptBudget,
  ) {
    budget.charge(this.#index.metadataBytes);
  }

  get isEmpty(): boolean {
    return this.#index.count === 0;
  }

  get memoryBytes(): number {
    return this.#index.metadataBytes;
  }

  has(page: number): boolean {
    return this.#index.find(page) >= 0;
  }

  /**
   * Keeps all pages that a range touches. Settles when the base may be written there.
   *
   * @throws Error if they can't be kept: whatever relies on them is of no use any more
   */
  keep(offset: number, length: number): Promise<void> {
    const first = Math.floor(offset / PAGE_BYTES);
    const end = Math.ceil((offset + length) / PAGE_BYTES);
    // In turn: two writes may touch parts of one page, and places in the file are given in order.
    const done = this.#tail.then(() => this.#keep(first, end));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #keep(first: number, end: number): Promise<void> {
    for (let page = first; page < end;) {
      if (this.has(page)) {
        page++;
        continue;
      }
      let runEnd = page + 1;
      while (runEnd < end && runEnd - page < PIECE_PAGES && !this.has(runEnd)) runEnd++;
      await this.#keepRun(page, runEnd);
      page = runEnd;
    }
  }

  async #keepRun(first: number, end: number): Promise<void> {
    const offset = first * PAGE_BYTES;
    const data = Buffer.alloc((end - first) * PAGE_BYTES);
    this.budget.take(data.length);
    const length = Math.min(data.length, this.source.sizeBytes - offset);
    await this.source.read(offset, data.subarray(0, length));
    const place = this.#index.count * PAGE_BYTES;
    await writeWhole(await this.file(), data, place);
    const before = this.#index.metadataBytes;
    for (let page = first; page < end; page++) this.#index.findOrAdd(page);
    this.budget.charge(this.#index.metadataBytes - before);
  }

  /** Puts what is kept of a range over `target`, which was read of the base. */
  async applyOver(offset: number, target: Uint8Array): Promise<void> {
    if (this.isEmpty) return;
    const end = offset + target.length;
    for (let at = offset; at < end;) {
      const page = Math.floor(at / PAGE_BYTES);
      const slot = this.#index.find(page);
      let next = (page + 1) * PAGE_BYTES;
      if (slot >= 0) {
        // Pages that are neighbours in the file too are read together.
        for (let more = 1; next < end; more++, next += PAGE_BYTES) {
          if (this.#index.find(page + more) !== slot + more) break;
        }
        const to = Math.min(end, next);
        const part = target.subarray(at - offset, to - offset);
        const place = slot * PAGE_BYTES + (at - page * PAGE_BYTES);
        const done = await readWhole(await this.file(), part, place);
        if (done < part.length) throw new Error('the file of kept pages is too short');
      }
      at = next;
    }
  }

  /** Settles when nothing is being kept. */
  idle(): Promise<void> {
    return this.#tail;
  }
}
