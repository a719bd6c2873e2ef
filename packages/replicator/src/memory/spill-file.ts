import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { SpillError } from '../errors.js';
import { type Readable, readWhole, type Writable, writeWhole } from '../file-io.js';
import { messageOf } from '../io-errors.js';
import { SLAB_BYTES } from './slab-pool.js';

/** What a spill file needs of a file: the part of node:fs' FileHandle that it uses. */
export interface SpillStore extends Readable, Writable {
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** Where a spill file is, and how large it may become. */
export interface SpillFileOptions {
  /** Its folder. */
  readonly directory: string;
  readonly limitBytes: number;
  /** Called when something in it can't be read back. */
  readonly onLost: (error: SpillError) => void;
}

/**
 * Makes a spill file, and removes its name: it is gone with this process.
 *
 * @param vm for the name, while there is one
 * @throws SpillError REPLICA_SPILL_IO
 */
export async function openSpillFile(vm: string, options: SpillFileOptions): Promise<SpillFile> {
  const file = path.join(options.directory, `.${vm}-${randomUUID()}.spill`);
  try {
    const handle = await open(file, 'wx+', 0o600);
    await rm(file);
    return new SpillFile(handle, options);
  } catch (error) {
    const remedy = 'Name a directory that this process may write to (spillDirectory).';
    throw new SpillError('REPLICA_SPILL_IO', `${file}: ${messageOf(error)}`, remedy, {
      cause: error,
    });
  }
}

/**
 * Holds slabs that the memory budget has no room for: a file without a name, in places of one slab
 * each, which are reused. It is truncated when it holds nothing.
 */
export class SpillFile {
  readonly #free: number[] = [];
  #places = 0;
  #taken = 0;
  #emptied: Promise<void> = Promise.resolve();

  constructor(
    private readonly file: SpillStore,
    private readonly options: SpillFileOptions,
  ) {}

  /** Bytes of slabs in it. */
  get usedBytes(): number {
    return this.#taken * SLAB_BYTES;
  }

  get limitBytes(): number {
    return this.options.limitBytes;
  }

  /** Reserves a place for one slab; undefined if the limit is reached. */
  take(): number | undefined {
    if ((this.#taken + 1) * SLAB_BYTES > this.options.limitBytes) return undefined;
    this.#taken++;
    return this.#free.pop() ?? this.#places++;
  }

  /** Gives places back; no read or write of them may be under way. */
  give(places: Iterable<number>): void {
    for (const place of places) {
      this.#free.push(place);
      this.#taken--;
    }
    if (this.#taken > 0 || this.#places === 0) return;
    this.#free.length = 0;
    this.#places = 0;
    // Writes wait for it. If it fails, the space stays allocated and is reused.
    this.#emptied = this.file.truncate(0).catch(() => undefined);
  }

  /** Writes a slab to its place. @throws SpillError REPLICA_SPILL_IO */
  async write(place: number, slab: Uint8Array): Promise<void> {
    try {
      await this.#emptied;
      await writeWhole(this.file, slab, place * SLAB_BYTES);
    } catch (error) {
      throw this.#error('written', error);
    }
  }

  /** Puts what was written on stable storage. @throws SpillError REPLICA_SPILL_IO */
  async sync(): Promise<void> {
    try {
      await this.file.datasync();
    } catch (error) {
      throw this.#error('synced', error);
    }
  }

  /**
   * Fills `target` from a place, `at` bytes after its start.
   *
   * @throws SpillError REPLICA_SPILL_LOST
   */
  async read(place: number, at: number, target: Uint8Array): Promise<void> {
    try {
      const done = await readWhole(this.file, target, place * SLAB_BYTES + at);
      if (done < target.length) throw new Error('unexpected end of file');
    } catch (cause) {
      const error = new SpillError(
        'REPLICA_SPILL_LOST',
        `the spill file in ${this.options.directory} can't be read: ${messageOf(cause)}`,
        'Check its disk, then seed again.',
        { cause },
      );
      this.options.onLost(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#emptied;
    await this.file.close();
  }

  #error(what: string, cause: unknown): SpillError {
    return new SpillError(
      'REPLICA_SPILL_IO',
      `the spill file in ${this.options.directory} can't be ${what}: ${messageOf(cause)}`,
      'Make space on its file system, or check its disk; it is retried.',
      { cause },
    );
  }
}
