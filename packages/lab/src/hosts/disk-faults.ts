import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { access, type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { LabError } from '../errors.js';
import { labCacheDir } from '../guest/guest.js';

const run = promisify(execFile);
const SOURCE = path.resolve(import.meta.dirname, '..', '..', 'guest', 'disk-faults.c');

// The control file of guest/disk-faults.c: 32-bit words in this machine's byte order, then a path.
const OPS_AT = 0;
const HITS_AT = 20;
const PATH_AT = 28;
const PATH_BYTES = 256;
const CONTROL_BYTES = PATH_AT + PATH_BYTES;
const OP_BITS = { write: 1, sync: 2 } as const;

export interface DiskFault {
  /** The end of the paths of the files that fail. */
  readonly file: string;
  /** Writes, or fdatasync and fsync, or both. Default: writes. */
  readonly on?: readonly (keyof typeof OP_BITS)[];
  readonly error?: 'EIO' | 'ENOSPC';
  /** A write writes at most this much, and says so. */
  readonly shortBytes?: number;
  /** Delay of each call; it ends early when the fault is lifted. */
  readonly delayMs?: number;
  /**
   * Writes succeed but are lost. The next sync fails once, even after the fault is lifted
   * (fsync(2), "EIO").
   */
  readonly loses?: boolean;
}

/**
 * A disk that fails on command, for a process that is started with `env`: see guest/disk-faults.c.
 * One fault at a time; it can be set and lifted while the process runs.
 */
export class DiskFaults {
  private constructor(
    /** Variables for the environment of the process and its children. */
    readonly env: NodeJS.ProcessEnv,
    private readonly control: FileHandle,
  ) {}

  /**
   * @param dir where the control file goes; the caller removes it
   * @throws LabError if guest/disk-faults.c cannot be compiled
   */
  static async create(dir: string): Promise<DiskFaults> {
    const library = await compiled();
    const file = path.join(dir, `disk-faults-${randomUUID().slice(0, 8)}`);
    const control = await open(file, 'wx+', 0o600);
    await control.write(Buffer.alloc(CONTROL_BYTES), 0, CONTROL_BYTES, 0);
    // Requests through io_uring would not be seen.
    const env = { LD_PRELOAD: library, GANNET_DISK_FAULTS: file, UV_USE_IO_URING: '0' };
    return new DiskFaults(env, control);
  }

  async begin({ file, on = ['write'], ...fault }: DiskFault): Promise<void> {
    await this.lift();
    const words = Buffer.alloc(CONTROL_BYTES);
    const error = fault.error === undefined ? 0 : constants.errno[fault.error];
    const { shortBytes = 0, delayMs = 0, loses = false } = fault;
    for (const [at, word] of [0, error, shortBytes, delayMs, Number(loses)].entries()) {
      words.writeUInt32LE(word, at * 4);
    }
    if (words.write(file, PATH_AT, PATH_BYTES - 1) < Buffer.byteLength(file)) {
      throw new LabError(`${file} is too long for the control file of disk faults`);
    }
    await this.control.write(words, 0, words.length, 0);
    await this.#setOps(on.reduce((bits, op) => bits | OP_BITS[op], 0));
  }

  lift(): Promise<void> {
    return this.#setOps(0);
  }

  /** Calls that the fault has met since it began. */
  async hits(): Promise<number> {
    const word = Buffer.alloc(4);
    await this.control.read(word, 0, 4, HITS_AT);
    return word.readUInt32LE();
  }

  /** Lifts the fault and closes the control file. */
  async close(): Promise<void> {
    await this.lift();
    await this.control.close();
  }

  async #setOps(bits: number): Promise<void> {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(bits);
    await this.control.write(word, 0, 4, OPS_AT);
  }
}

/** The library. It is built if it is missing or its source has changed. */
async function compiled(): Promise<string> {
  const digest = createHash('sha256').update(await readFile(SOURCE));
  const cache = labCacheDir();
  const library = path.join(cache, `disk-faults-${digest.digest('hex').slice(0, 12)}.so`);
  const isThere = await access(library).then(
    () => true,
    () => false,
  );
  if (isThere) return library;
  await mkdir(cache, { recursive: true });
  // Another process may be building it too.
  const fresh = `${library}.${randomUUID().slice(0, 8)}`;
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-shared', '-fPIC'];
  try {
    await run('gcc', [...flags, '-o', fresh, SOURCE, '-ldl']);
    await rename(fresh, library);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw new LabError(`${SOURCE} cannot be compiled: ${String(cause)}`, { cause });
  }
  return library;
}
