import { type BigIntStats, constants, existsSync } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BaseImageError } from '../errors.js';
import { readWhole, writeWhole } from '../file-io.js';
import { ioRemedy, isNoSpace, messageOf } from '../io-errors.js';
import { HOLE_GRAIN_BYTES, HoleMap } from './hole-map.js';

/** Where committed state goes: what a replicator needs of a disk. Offsets and lengths in bytes. */
export interface BaseStore {
  readonly sizeBytes: number;
  /** End of the hole that `offset` is in; `offset` if it is in none that is known. */
  holeEnd(offset: number): number;
  /** Start of the next known hole at or after `offset`; at least `sizeBytes` if there is none. */
  nextHole(offset: number): number;
  read(offset: number, target: Uint8Array): Promise<void>;
  write(offset: number, data: Uint8Array): Promise<void>;
  zero(offset: number, length: number): Promise<void>;
  /** Gives up all contents. A file becomes one hole; other contents are undefined. */
  clear?(): Promise<void>;
  /** Settles when everything written before is on stable storage. */
  sync(): Promise<void>;
  /**
   * How often writes that had been answered may have been lost before they were synced. A writer
   * must compare this before and after its sync, and write again if it changed: the kernel reports
   * a write-back error once, possibly to another caller.
   */
  readonly losses: number;
  close(): Promise<void>;
}

/** A base that has just been opened. */
export interface OpenBase extends BaseStore {
  /** Whether nothing was ever written to it. */
  readonly isBlank: boolean;
}

/** QEMU's disks are whole sectors. */
const SECTOR_BYTES = 512;
const ZERO_CHUNK = Buffer.alloc(1024 * 1024);

/** How a raw base is opened. */
export interface RawBaseOptions {
  /** Creates the file, sparse, with this size, if it is missing. */
  readonly createBytes?: number | undefined;
  /** Nothing is written while it is not held. It is released once the file is closed. */
  readonly lock?: BaseLock | undefined;
}

/** A lock on an image, which may be lost and taken again. */
export interface BaseLock {
  readonly isHeld: boolean;
  release(): Promise<void>;
}

/** What this process has open: two writers would destroy it, under whatever name. */
const inUse = new Set<string>();

function identityOf(stats: BigIntStats): string {
  return stats.isBlockDevice() ? `device ${stats.rdev}` : `file ${stats.dev} ${stats.ino}`;
}

/** A raw image file or a block device. */
export class RawBase implements OpenBase {
  #losses = 0;

  private constructor(
    readonly path: string,
    readonly sizeBytes: number,
    private readonly file: FileHandle,
    /** A new file is one hole. An image that holds data counts as data throughout. */
    private readonly holes: HoleMap,
    private readonly lock: BaseLock | undefined,
    private readonly identity: string,
  ) {}

  /**
   * @throws BaseImageError REPLICA_BASE_NOT_USABLE if it can't be opened, REPLICA_BASE_SIZE if it
   *   is empty, REPLICA_BASE_IN_USE if this process has it open already
   */
  static async open(path: string, options: RawBaseOptions = {}): Promise<RawBase> {
    const flags = constants.O_RDWR | (options.createBytes === undefined ? 0 : constants.O_CREAT);
    const file = await open(path, flags, 0o600).catch((error: unknown) => {
      throw notUsable(path, error);
    });
    try {
      let stats = await file.stat({ bigint: true });
      if (options.createBytes !== undefined && stats.isFile() && stats.size === 0n) {
        await file.truncate(options.createBytes);
        stats = await file.stat({ bigint: true });
      }
      const sizeBytes = await sizeOf(path, stats);
      const holes = new HoleMap(sizeBytes);
      if (stats.isFile() && stats.blocks === 0n && (await beginsWithZeros(file))) {
        holes.add(0, sizeBytes);
      }
      const identity = claim(path, stats);
      return new RawBase(path, sizeBytes, file, holes, options.lock, identity);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get isBlank(): boolean {
    return this.holes.isWhole;
  }

  get losses(): number {
    return this.#losses;
  }

  holeEnd(offset: number): number {
    return this.holes.end(offset);
  }

  nextHole(offset: number): number {
    return this.holes.next(offset);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const done = await readWhole(this.file, target, offset).catch((error: unknown) =>
      this.#fail('read', offset, error),
    );
    if (done < target.length) {
      this.#fail('read', offset + done, new Error('unexpected end of file'));
    }
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#expectLock();
    this.holes.remove(offset, data.length);
    await writeWhole(this.file, data, offset).catch((error: unknown) =>
      this.#fail('write', offset, error),
    );
  }

  async zero(offset: number, length: number): Promise<void> {
    // All pieces first: the first write ends the hole around it.
    for (const [from, bytes] of [...this.holes.data(offset, length)]) {
      for (let done = 0; done < bytes; done += ZERO_CHUNK.length) {
        const chunk = ZERO_CHUNK.subarray(0, Math.min(ZERO_CHUNK.length, bytes - done));
        await this.write(from + done, chunk);
      }
    }
  }

  /**
   * Node.js can't punch holes, but a file that is truncated is sparse again. A block device keeps
   * its contents.
   */
  async clear(): Promise<void> {
    this.#expectLock();
    if (this.isBlank || !(await this.file.stat()).isFile()) return;
    await this.file.truncate(0).catch((error: unknown) => this.#fail('truncate', 0, error));
    await this.file.truncate(this.sizeBytes);
    this.holes.add(0, this.sizeBytes);
  }

  async sync(): Promise<void> {
    await this.file.datasync().catch((error: unknown) => {
      // The kernel may have dropped what was written, and reports that only once (fsync(2), "EIO").
      this.#losses++;
      this.#fail('fdatasync', 0, error);
    });
  }

  async close(): Promise<void> {
    inUse.delete(this.identity);
    await this.file.close();
    await this.lock?.release();
  }

  /** Another program may have opened the image by now; two writers would destroy it. */
  #expectLock(): void {
    if (this.lock?.isHeld !== false) return;
    throw new BaseImageError(
      'REPLICA_BASE_IN_USE',
      `${this.path}: its lock is lost, nothing is written until it is held again`,
      'Stop what uses the image (a VM, another gannet daemon, a tool of QEMU).',
    );
  }

  #fail(what: string, offset: number, error: unknown): never {
    throw new BaseImageError(
      'REPLICA_BASE_IO',
      `${this.path}: ${what} at byte ${offset} failed: ${messageOf(error)}`,
      ioRemedy(isNoSpace(error)),
      { cause: error },
    );
  }
}

/** @throws BaseImageError REPLICA_BASE_IN_USE */
function claim(path: string, stats: BigIntStats): string {
  const identity = identityOf(stats);
  if (inUse.has(identity)) {
    throw new BaseImageError(
      'REPLICA_BASE_IN_USE',
      `${path}: this process has the image open already, perhaps by another name`,
      'Name each base once, and close a replica before its bases are opened again.',
    );
  }
  inUse.add(identity);
  return identity;
}

/** Some file systems report 0 blocks for any file: an image with a boot sector is no hole. */
async function beginsWithZeros(file: FileHandle): Promise<boolean> {
  const start = Buffer.alloc(HOLE_GRAIN_BYTES);
  const { bytesRead } = await file.read(start, 0, start.length, 0);
  return start.subarray(0, bytesRead).every((byte) => byte === 0);
}

async function sizeOf(path: string, stats: BigIntStats): Promise<number> {
  let sizeBytes = Number(stats.size);
  if (stats.isBlockDevice()) {
    const [major, minor] = deviceNumbers(stats.rdev);
    sizeBytes =
      Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * SECTOR_BYTES;
  } else if (!stats.isFile()) {
    throw new BaseImageError(
      'REPLICA_BASE_NOT_USABLE',
      `${path} is neither a file nor a block device`,
      'Name an image file or a block device as the base.',
    );
  }
  if (sizeBytes === 0) {
    throw new BaseImageError(
      'REPLICA_BASE_SIZE',
      `${path} is empty`,
      'Give the disk a size, equal to the primary disk, so that the file is created.',
    );
  }
  if (sizeBytes % SECTOR_BYTES !== 0) {
    throw new BaseImageError(
      'REPLICA_BASE_SIZE',
      `${path} has ${sizeBytes} bytes, no multiple of ${SECTOR_BYTES}: QEMU rounds that up, and ` +
        'its last sector could not be written',
      `Make it as large as QEMU says that the primary disk is, or remove it.`,
    );
  }
  return sizeBytes;
}

/** The error for a base that can't be opened. */
export function notUsable(path: string, cause: unknown): BaseImageError {
  const folder = dirname(path);
  return new BaseImageError(
    'REPLICA_BASE_NOT_USABLE',
    `${path}: ${messageOf(cause)}`,
    existsSync(folder)
      ? 'Check the path and its permissions, or give the disk a size so that the file is created.'
      : `Create the folder ${folder}, or correct the path.`,
    { cause },
  );
}

/** The numbers of a device as stat(2) packs them (makedev(3)). */
export function deviceNumbers(device: bigint): readonly [major: bigint, minor: bigint] {
  return [
    ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n),
    (device & 0xffn) | ((device >> 12n) & 0xffffff00n),
  ];
}

/** Whether anything exists at that path. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
