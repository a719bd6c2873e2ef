import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../images/base-image.js';
import { SpillError } from '../errors.js';
import { type ReplicaOptions, spillOf } from '../replica-options.js';
import { SLAB_BYTES } from './slab-pool.js';

/** What a spill file needs of a file: the part of node:fs' FileHandle that it uses. */
export interface SpillStore {
  read(target: Uint8Array, at: number, length: number, position: number): Promise<ReadResult>;
  write(source: Uint8Array, at: number, length: number, position: number): Promise<WriteResult>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}
interface ReadResult {
  readonly bytesRead: number;
}
interface WriteResult {
  readonly bytesWritten: number;
}

export interface SpillFileOptions {
  /** Where it is, for messages. */
  readonly directory: string;
  readonly limitBytes: number;
  /** Something that was in it can't be read back. */
  readonly onLost: (error: SpillError) => void;
}

/**
 * Undefined unless the options want one.
 *
 * @throws SpillError when it can't be made
 */
export async function openSpillFile(
  options: ReplicaOptions,
  onLost: SpillFileOptions['onLost'],
): Promise<SpillFile | undefined> {
  const spill = spillOf(options);
  if (!spill) return undefined;
  const file = path.join(spill.directory, `.${options.vm}-${randomUUID()}.spill`);
  try {
    const handle = await open(file, 'wx+', 0o600);
    await rm(file);
    return new SpillFile(handle, { ...spill, onLost });
  } catch (error) {
    const remedy = 'Name a directory that this process may write to (spillDirectory).';
    throw new SpillError('SPILL_IO', `${file}: ${messageOf(error)}`, remedy, { cause: error });
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
      for (let done = 0; done < slab.length;) {
        const position = place * SLAB_BYTES + done;
        const { bytesWritten } = await this.file.write(slab, done, slab.length - done, position);
        done += bytesWritten;
      }
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
      for (let done = 0; done < target.length;) {
        const position = place * SLAB_BYTES + at + done;
        const { bytesRead } = await this.file.read(target, done, target.length - done, position);
        if (bytesRead === 0) throw new Error('it has ended');
        done += bytesRead;
      }
    } catch (cause) {
      const error = new SpillError(
        'SPILL_LOST',
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
      'SPILL_IO',
      `the spill file in ${this.options.directory} can't be ${what}: ${messageOf(cause)}`,
      'Make space on its file system, or check the disk that it is on; it is tried again.',
      { cause },
    );
  }
}
