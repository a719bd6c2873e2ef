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

export interface SpillFileOptions {
  /** Where it is, for messages. */
  readonly directory: string;
  readonly limitBytes: number;
  /** Something that was in it can't be read back. */
  readonly onLost: (error: SpillError) => void;
}

/**
 * Makes a spill file in `directory`; it has no name any more when this returns.
 *
 * @param vm for its name while it has one
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
 * Where slabs go that the memory budget has no room for: a file without a name, which is gone with the process, cut into
 * places of one slab each that are used again. When it holds nothing it is emptied.
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

  /** Bytes that it holds. */
  get usedBytes(): number {
    return this.#taken * SLAB_BYTES;
  }

  get limitBytes(): number {
    return this.options.limitBytes;
  }

  /** A place for one slab; undefined when the limit is reached. */
  take(): number | undefined {
    if ((this.#taken + 1) * SLAB_BYTES > this.options.limitBytes) return undefined;
    this.#taken++;
    return this.#free.pop() ?? this.#places++;
  }

  /** Gives places back; nothing may be under way to or from them. */
  give(places: Iterable<number>): void {
    for (const place of places) {
      this.#free.push(place);
      this.#taken--;
    }
    if (this.#taken > 0 || this.#places === 0) return;
    this.#free.length = 0;
    this.#places = 0;
    // Nothing is written until it is done. Where it fails the space stays taken, to be used again.
    this.#emptied = this.file.truncate(0).catch(() => undefined);
  }

  async write(place: number, slab: Uint8Array): Promise<void> {
    try {
      await this.#emptied;
      await writeWhole(this.file, slab, place * SLAB_BYTES);
    } catch (error) {
      throw this.#error('written', error);
    }
  }

  /** What was written can be read back from now on, or the disk says that it can't. */
  async sync(): Promise<void> {
    try {
      await this.file.datasync();
    } catch (error) {
      throw this.#error('synced', error);
    }
  }

  /** Fills `target` with what is in a place, `at` bytes from its start on. */
  async read(place: number, at: number, target: Uint8Array): Promise<void> {
    try {
      const done = await readWhole(this.file, target, place * SLAB_BYTES + at);
      if (done < target.length) throw new Error('it has ended');
    } catch (cause) {
      const error = new SpillError(
        'REPLICA_SPILL_LOST',
        `the spill file in ${this.options.directory} can't be read: ${messageOf(cause)}`,
        'Check the disk that it is on, then seed again.',
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
      'Make space on its file system, or check the disk that it is on; it is tried again.',
      { cause },
    );
  }
}
