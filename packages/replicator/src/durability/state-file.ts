import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { BaseImageError } from '../errors.js';
import { syncFolder } from '../file-io.js';
import { stateFileOf } from '../images/open-base.js';
import { messageOf } from '../io-errors.js';
import { isGuestsDisk, isReplicaState, type ReplicaState } from '../replica-state.js';

/** What the file beside a base image says of it, written before it is acted upon (invariant I6). */
export interface StateRecord {
  readonly format: 'gannet-replica-1';
  /** Format of the base; raw if absent. */
  readonly image?: string;
  /** Identifies the protection that this base belongs to; all disks of a VM share it. */
  readonly uuid: string;
  readonly vm: string;
  readonly disk: string;
  /** All disks of the VM, in the order in which the journal numbers them. */
  readonly disks: readonly string[];
  readonly sizeBytes: number;
  readonly state: ReplicaState;
  /** The last committed epoch when this was written. */
  readonly epoch: number;
  /** Path of the failover journal; needed in state `failed-over`. */
  readonly journal: string;
  /**
   * The primary was lost, and the base alone is the disk as of `epoch`, as after a power failure at
   * that moment. `gannet recover --last-commit` makes it the disk.
   */
  readonly lastCommit?: boolean;
  /**
   * The base can be brought up to date by what the primary has written since this epoch of this
   * replica. Missing where nothing is known of it, or somebody else has written to it.
   */
  readonly basis?: { readonly replica: string; readonly epoch: number };
}

function isStateRecord(value: unknown): value is StateRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    record.format === 'gannet-replica-1' &&
    isReplicaState(record.state) &&
    (record.image === undefined || typeof record.image === 'string') &&
    (record.lastCommit === undefined || typeof record.lastCommit === 'boolean') &&
    (record.basis === undefined || isBasis(record.basis)) &&
    ['uuid', 'vm', 'disk', 'journal'].every((key) => typeof record[key] === 'string') &&
    [record.sizeBytes, record.epoch].every(
      (count) => Number.isSafeInteger(count) && Number(count) >= 0,
    ) &&
    Array.isArray(record.disks) &&
    record.disks.every((name) => typeof name === 'string') &&
    record.disks.some((name) => name === record.disk)
  );
}

function isBasis(value: unknown): boolean {
  const { replica, epoch } = Object(value) as Record<string, unknown>;
  return typeof replica === 'string' && Number.isSafeInteger(epoch) && Number(epoch) >= 1;
}

/**
 * @param file if it is not beside the base
 * @returns undefined if there is none
 * @throws BaseImageError REPLICA_BASE_FOREIGN if it can't be read or understood
 */
export async function readStateFile(
  basePath: string,
  file = stateFileOf(basePath),
): Promise<StateRecord | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
  return parseState(text, file);
}

/**
 * Reads the text of a state file.
 *
 * @param file where it comes from, for messages
 * @throws BaseImageError REPLICA_BASE_FOREIGN if it can't be understood
 */
export function parseState(text: string, file: string): StateRecord {
  try {
    const record: unknown = JSON.parse(text);
    if (!isStateRecord(record)) throw new Error('not a state file of this version');
    return record;
  } catch (error) {
    throw unreadable(file, error);
  }
}

/**
 * Replaces the state file atomically; it is on stable storage when this returns.
 *
 * @throws BaseImageError REPLICA_BASE_IO
 */
export async function writeStateFile(
  basePath: string,
  record: StateRecord,
  file = stateFileOf(basePath),
): Promise<void> {
  const fresh = `${file}.${randomUUID().slice(0, 8)}.new`;
  try {
    const handle = await open(fresh, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(record, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    // What stays there is in nobody's way: the next one has another name.
    await rm(fresh, { force: true }).catch(() => undefined);
    throw new BaseImageError(
      'REPLICA_BASE_IO',
      `${file} can't be written: ${messageOf(error)}`,
      'Make its folder writable and give it free space.',
      { cause: error },
    );
  }
}

/** Whose state files they are. */
export interface StateFilesOptions {
  readonly vm: string;
  readonly uuid: string;
  readonly disks: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Where the disks' bases are, in the same order. */
  readonly images: readonly {
    readonly base: string;
    readonly format?: string | undefined;
    readonly stateFile?: string | undefined;
  }[];
  readonly journal: string;
}

/** The state files of all disks of a replica: written together, one request after the other. */
export class StateFiles {
  #tail: Promise<void> = Promise.resolve();
  #last: { readonly state: ReplicaState; readonly epoch: number; readonly isLastCommit: boolean };
  #basis: StateRecord['basis'];

  /** @param basis that the bases have at the beginning */
  constructor(
    private readonly options: StateFilesOptions,
    basis?: StateRecord['basis'],
  ) {
    this.#last = { state: 'seeding', epoch: 0, isLastCommit: false };
    this.#basis = basis;
  }

  /**
   * @param isLastCommit whether each base alone is the disk as of this epoch
   * @throws BaseImageError REPLICA_BASE_IO
   */
  write(state: ReplicaState, epoch: number, isLastCommit = false): Promise<void> {
    this.#last = { state, epoch, isLastCommit };
    const basis = isGuestsDisk(state) ? undefined : this.#basis;
    const { vm, uuid, disks, images, journal } = this.options;
    const names = disks.map(({ name }) => name);
    const written = this.#tail.then(async () => {
      for (const [at, { name: disk, sizeBytes }] of disks.entries()) {
        const { base = '', format: image = 'raw', stateFile } = images[at] ?? {};
        const worth = {
          ...{ state, epoch, journal },
          ...(isLastCommit && { lastCommit: true }),
          ...(basis && { basis }),
        };
        const own = { image, uuid, vm, disk, disks: names, sizeBytes, ...worth };
        await writeStateFile(base, { format: 'gannet-replica-1', ...own }, stateFile);
      }
    });
    this.#tail = written.catch(() => undefined);
    return written;
  }

  /** Keeps the state, and has them say whether each base alone is the disk as of this epoch. */
  claim(epoch: number, isLastCommit: boolean): Promise<void> {
    return this.write(this.#last.state, epoch, isLastCommit);
  }

  /** Keeps all else, and has them say what the bases can be brought up to date from. */
  keepBasis(basis: StateRecord['basis']): Promise<void> {
    this.#basis = basis;
    const { state, epoch, isLastCommit } = this.#last;
    return this.write(state, epoch, isLastCommit);
  }

  /** Settles when no state file is being written. */
  idle(): Promise<void> {
    return this.#tail;
  }
}

function unreadable(file: string, cause: unknown): BaseImageError {
  return new BaseImageError(
    'REPLICA_BASE_FOREIGN',
    `${file} can't be read: ${messageOf(cause)}`,
    'If the base beside it is no longer needed, remove both and seed again.',
    { cause },
  );
}
