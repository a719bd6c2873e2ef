import type { Arrivals, ByteRun } from './arrivals.js';

/** The disk whose base is brought up to date. */
export interface FetchedDisk {
  readonly sizeBytes: number;
  readonly arrivals: Arrivals;
}

/** One piece that is being put into the base. */
interface Piece {
  readonly start: number;
  readonly end: number;
  readonly done: Promise<void>;
}

/**
 * What is fetched of the primary's disk for a base that is brought up to date, while the primary's
 * writes come over its mirror. A fetched piece may be older than such a write, never newer, unless
 * the write is still to come. So a piece is dropped where something has arrived since the beginning,
 * and a write waits for the pieces under way in its range: it has to be the last.
 */
export class Fetched {
  readonly #disk: FetchedDisk;
  readonly #underWay = new Set<Piece>();
  /** Of the attempt that is open; a piece of an earlier one is of no use. */
  #attempt = 0;
  #phase: 'none' | 'open' | 'failed' | 'complete' = 'none';

  constructor(disk: FetchedDisk) {
    this.#disk = disk;
  }

  /** Whether something is still to be fetched: the base is not the primary's disk yet. */
  get isMissing(): boolean {
    return this.#phase === 'open' || this.#phase === 'failed';
  }

  /** The attempt that takes pieces; undefined if none does. */
  get attempt(): number | undefined {
    return this.#phase === 'open' ? this.#attempt : undefined;
  }

  /** From now on the primary's writes arrive, and what they have not replaced is fetched. */
  begin(): void {
    this.#attempt++;
    this.#phase = 'open';
    this.#disk.arrivals.watch([[0, this.#disk.sizeBytes]]);
  }

  /** The disk is copied as a whole. Settles when nothing that was fetched is being written. */
  async giveUp(): Promise<void> {
    this.#attempt++;
    this.#end('none');
    await this.#settled();
  }

  /**
   * All that was to be fetched has been.
   *
   * @throws Error if some of it is not in the base, or the attempt is over
   */
  async complete(attempt: number): Promise<void> {
    await this.#settled();
    if (this.attempt !== attempt) throw new Error('some of what was fetched is not in the base');
    this.#end('complete');
  }

  /** Puts a piece into the base, but for what has arrived. The runs are begun in this turn. */
  async put(offset: number, length: number, write: (run: ByteRun) => Promise<void>): Promise<void> {
    const attempt = this.#attempt;
    const runs = this.#disk.arrivals.missing(offset, length);
    const done = Promise.all(runs.map((run) => this.#after(run, write, attempt))).then(
      () => undefined,
    );
    const pieces = runs.map(([start, end]): Piece => ({ start, end, done }));
    for (const piece of pieces) this.#underWay.add(piece);
    try {
      await done;
    } catch (error) {
      if (this.attempt === attempt) this.#phase = 'failed';
      throw error;
    } finally {
      for (const piece of pieces) this.#underWay.delete(piece);
    }
  }

  /** Settles when no piece is being written into a range; undefined if none is. */
  before(offset: number, length: number): Promise<void> | undefined {
    const end = offset + length;
    const met = [...this.#underWay].filter((piece) => piece.start < end && piece.end > offset);
    if (met.length === 0) return undefined;
    return Promise.allSettled(met.map(({ done }) => done)).then(() => undefined);
  }

  /** Pieces of an attempt before may still be under way. */
  async #after(
    run: ByteRun,
    write: (run: ByteRun) => Promise<void>,
    attempt: number,
  ): Promise<void> {
    const [start, end] = run;
    const earlier = this.before(start, end - start);
    if (earlier === undefined) return write(run);
    await earlier;
    if (this.attempt !== attempt) throw new Error('another attempt has begun');
    for (const left of this.#disk.arrivals.missing(start, end - start)) await write(left);
  }

  async #settled(): Promise<void> {
    await Promise.allSettled([...this.#underWay].map(({ done }) => done));
  }

  #end(phase: 'none' | 'complete'): void {
    this.#phase = phase;
    this.#disk.arrivals.watch([]);
  }
}
