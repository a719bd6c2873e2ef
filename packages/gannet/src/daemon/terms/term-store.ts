import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { lockFile } from '@gannet/nbd';
import {
  GannetError,
  TERM_FORMAT,
  termFileSchema,
  type TermRecord,
  termRecordSchema,
} from '@gannet/contract';
import { BLANK, succeeding } from '../arbitration/records.js';
import { type Change, type Insisted, TermRetries } from './term-retries.js';

export interface TermStoreOptions {
  readonly file: string;
  readonly vm: string;
}

/**
 * The term file of one daemon. What it says is on stable storage: whoever acts on `record`, or lets
 * the other side know of it, acts on what a crash does not take back.
 */
export class TermStore {
  #record: TermRecord;
  /** One write at a time, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<(record: TermRecord) => void>();
  readonly #retries = new TermRetries((change) => this.update(change));
  #trouble: string | undefined;

  private constructor(
    private readonly options: TermStoreOptions,
    private readonly lock: FileHandle,
    record: TermRecord,
  ) {
    this.#record = record;
  }

  /**
   * Takes the file for this process, until close(). A file that is missing is that of a VM that was
   * never protected.
   *
   * @throws GannetError GANNET_CONFIG if another daemon has it, or it can't be read, is torn, or is
   *   another VM's
   */
  static async open(options: TermStoreOptions): Promise<TermStore> {
    const lock = await takeLock(options.file);
    try {
      return new TermStore(options, lock, await readTermFile(options.file, options.vm));
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  /** What was asked for is written before another daemon may have the file. */
  async close(): Promise<void> {
    await this.#retries.close();
    await this.#last;
    await this.lock.close();
  }

  get record(): TermRecord {
    return this.#record;
  }

  /** Why the file can't be written; undefined if it can, as far as is known. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** @param listener gets each new record when it is on stable storage. @returns unsubscribes */
  on(listener: (record: TermRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Replaces the record, and resolves when the new one is on stable storage.
   *
   * @param change is asked when it is its turn; undefined changes nothing
   * @returns the record that stands then
   * @throws GannetError GANNET_CONFIG if it can't be written; the record stays as it is
   * @throws whatever `change` throws
   */
  update(change: Change): Promise<TermRecord> {
    const turn = this.#last.then(async () => {
      const next = change(this.#record);
      if (next) await this.#write(succeeding(this.#record, next, new Date().toISOString()));
      return this.#record;
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** As update(), for what nobody asks for again: see TermRetries. */
  insist(what: string, change: Change, onTrouble: (error: unknown) => void): Insisted {
    return this.#retries.insist(what, change, onTrouble);
  }

  async #write(record: TermRecord): Promise<void> {
    const { file, vm } = this.options;
    if (record.term < this.#record.term && record.lineage !== null) {
      throw new Error(`the term of ${vm} would fall from ${this.#record.term} to ${record.term}`);
    }
    const text = `${JSON.stringify({ format: TERM_FORMAT, vm, ...record }, null, 2)}\n`;
    try {
      await replaceFile(file, text);
    } catch (error) {
      this.#trouble = (error as Error).message;
      // Whoever asked for it may not ask again: shows when the file can be written.
      this.insist(
        'as it is',
        (own) => own,
        () => undefined,
      );
      throw error;
    }
    this.#trouble = undefined;
    this.#record = record;
    for (const listener of this.#listeners) listener(record);
  }
}

/**
 * What one daemon has said of its copy, another one would overwrite. The lock is on a file of its
 * own, which stays: the term file itself is replaced.
 */
async function takeLock(file: string): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(`${file}.lock`, 'a', 0o600);
    if (await lockFile(handle)) return handle;
  } catch (cause) {
    await handle?.close();
    const message = `the term file ${file} can't be locked: ${(cause as Error).message}`;
    const remedy = 'Create its folder, writable for the user that this runs as.';
    throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
  }
  await handle.close();
  throw new GannetError(
    'GANNET_CONFIG',
    `another daemon uses the term file ${file}`,
    'Stop that daemon first, or give this one a file of its own (`termFile`).',
  );
}

/**
 * Without taking it: what it says may change at any time.
 *
 * @throws GannetError GANNET_CONFIG as TermStore.open()
 */
export async function readTermFile(file: string, vm: string): Promise<TermRecord> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return BLANK;
    throw unreadable(file, error);
  }
  try {
    const { data } = termFileSchema.safeParse(JSON.parse(text));
    if (!data) throw new Error('it is not a term file of this version');
    if (data.vm !== vm) throw new Error(`it is that of VM ${data.vm}`);
    return termRecordSchema.parse(data);
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  const fresh = `${file}.${randomUUID().slice(0, 8)}.new`;
  try {
    const handle = await open(fresh, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
    const folder = await open(path.dirname(file), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    await rm(fresh, { force: true }).catch(() => undefined);
    const message = `the term file ${file} can't be written: ${(cause as Error).message}`;
    const remedy = 'Make its folder writable, and free space there.';
    throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', { cause });
  }
}

function unreadable(file: string, cause: unknown): GannetError {
  const why = cause instanceof SyntaxError ? 'it is not JSON' : (cause as Error).message;
  return new GannetError(
    'GANNET_CONFIG',
    `the term file ${file} can't be used: ${why}`,
    'It says whether the copy of the VM on this host may run. Look at the other host: if the VM ' +
      'runs there, or nothing ran here since, move the file away and start the daemon again.',
    'failed',
    { cause },
  );
}
