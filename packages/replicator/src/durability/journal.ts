import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Run } from '../disk/merge-epochs.js';
import { JournalError, SpillError } from '../errors.js';
import { type Readable, readWhole, syncFolder, writeWhole } from '../file-io.js';
import { messageOf } from '../io-errors.js';

/**
 * The failover journal: what the base images still lack, written sequentially, so that a flush
 * after failover costs one fdatasync and not a seek for each page (invariant I4).
 *
 *     file    = header frame*
 *     header  = "GANNETJ1"  uuid (36 characters, ASCII)  padding to 64 bytes
 *     frame   = magic u32  kind u32  disk u32  length u32  offset u64  sequence u64
 *               digest (16 bytes)  payload
 *
 * All numbers are big-endian. `kind` is data (payload of `length` bytes), zero (no payload; length
 * in units of 4096 bytes) or seal (no payload). The digest covers the frame before it and the
 * payload. Frames count only up to the last valid seal: what follows belongs to a flush that was
 * never answered. All frames up to a seal carry one sequence number, higher than that of the seal
 * before, so that the rest of an older, longer append is not taken for newer frames. Replaying is
 * idempotent.
 */
const MAGIC = Buffer.from('GANNETJ1');
const HEADER_BYTES = 64;
const FRAME_MAGIC = 0x474a4652;
/** The fields of a frame, in order, with their sizes in bytes. */
const FRAME_FIELDS = {
  magic: 4,
  kind: 4,
  disk: 4,
  length: 4,
  offset: 8,
  sequence: 8,
  digest: 16,
} as const;
type FrameField = keyof typeof FRAME_FIELDS;
/** Where each field begins. */
const AT = offsetsOf(FRAME_FIELDS);
const FRAME_BYTES = AT.digest + FRAME_FIELDS.digest;
if (FRAME_BYTES !== 48) throw new Error('a frame of a journal has 48 bytes');
const KIND_DATA = 1;
const KIND_ZERO = 2;
const KIND_SEAL = 3;
const ZERO_UNIT = 4096;
/** Longest payload of a data frame; a longer one was not written by this version. */
export const FRAME_PAYLOAD_MAX = 1024 * 1024;
/** Most bytes that one zero frame covers; its 32 bits could count almost to 16 TiB. */
export const FRAME_ZERO_MAX = 1024 ** 4;

/** What is to be journaled of one disk. */
export interface DiskRuns {
  /** Index of the disk in the VM's list of disks. */
  readonly disk: number;
  readonly runs: Iterable<Run>;
}

/** A failover journal that is being written. See the top of this file for its format. */
export class Journal {
  /** What an attempt to create one has left, because it could not be removed either. */
  static readonly #torn = new Set<string>();
  #end = HEADER_BYTES;
  /** The file is on stable storage up to here. */
  #syncedEnd = HEADER_BYTES;
  #sequence = 0;

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /**
   * Creates an empty journal, never in the place of another file.
   *
   * @throws JournalError REPLICA_JOURNAL_FOREIGN if a file is there, REPLICA_JOURNAL_IO
   */
  static async create(file: string, uuid: string): Promise<Journal> {
    let handle: FileHandle | undefined;
    try {
      if (Journal.#torn.has(file)) await rm(file, { force: true });
      Journal.#torn.delete(file);
      handle = await open(file, 'wx+', 0o600);
      const header = Buffer.alloc(HEADER_BYTES);
      MAGIC.copy(header);
      header.write(uuid, MAGIC.length, 'latin1');
      await writeWhole(handle, header, 0);
      await handle.sync();
      await syncFolder(path.dirname(file));
      return new Journal(file, handle);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw occupied(file);
      await handle?.close();
      // It must be possible to create it again.
      if (handle) await rm(file, { force: true }).catch(() => Journal.#torn.add(file));
      throw journalError(file, 'created', error);
    }
  }

  /** Bytes of frames in the file. */
  get bytes(): number {
    return this.#end - HEADER_BYTES;
  }

  /**
   * Appends runs and a seal. Nothing is durable before sync(). Calls must not overlap.
   *
   * @throws JournalError, or SpillError if a page can't be read back
   */
  async append(parts: Iterable<DiskRuns>): Promise<void> {
    this.#sequence++;
    let at = this.#end;
    const buffer = Buffer.allocUnsafe(FRAME_BYTES + FRAME_PAYLOAD_MAX);
    const write = async (length: number): Promise<void> => {
      await writeWhole(this.file, buffer.subarray(0, length), at);
      at += length;
    };
    try {
      for (const { disk, runs } of parts) {
        for (const run of runs) {
          if (run.kind === 'pause') {
            await new Promise((resolve) => setImmediate(resolve));
            continue;
          }
          if (run.kind === 'data') await run.copyTo(buffer.subarray(FRAME_BYTES));
          const [kind, length] =
            run.kind === 'data' ? [KIND_DATA, run.length] : [KIND_ZERO, run.length / ZERO_UNIT];
          await write(this.#frame(buffer, kind, disk, length, run.offset));
        }
      }
      await write(this.#frame(buffer, KIND_SEAL, 0, 0, 0));
      this.#end = at;
    } catch (error) {
      if (error instanceof SpillError) throw error;
      throw journalError(this.path, 'written', error);
    }
  }

  /**
   * Puts all that was appended on stable storage. If it fails, call rewind(): the kernel may have
   * dropped what it had taken, and reports that only once (fsync(2), "EIO").
   *
   * @throws JournalError
   */
  async sync(): Promise<void> {
    const end = this.#end;
    try {
      await this.file.datasync();
      this.#syncedEnd = end;
    } catch (error) {
      throw journalError(this.path, 'synced', error);
    }
  }

  /** Takes back what was appended since the last successful sync(). */
  rewind(): void {
    this.#end = this.#syncedEnd;
  }

  /** Drops all frames: the bases hold them, on stable storage. @throws JournalError */
  async reset(): Promise<void> {
    try {
      // The file must be short before anything is written again: old frames must not follow new.
      this.#end = this.#syncedEnd = HEADER_BYTES;
      await this.file.truncate(HEADER_BYTES);
      await this.file.sync();
    } catch (error) {
      throw journalError(this.path, 'emptied', error);
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** Closes the journal and removes its file. May be repeated. */
  async remove(): Promise<void> {
    try {
      await this.close();
      await rm(this.path, { force: true });
    } catch (error) {
      throw journalError(this.path, 'removed', error);
    }
  }

  #frame(buffer: Buffer, kind: number, disk: number, length: number, offset: number): number {
    buffer.writeUInt32BE(FRAME_MAGIC, AT.magic);
    buffer.writeUInt32BE(kind, AT.kind);
    buffer.writeUInt32BE(disk, AT.disk);
    buffer.writeUInt32BE(length, AT.length);
    buffer.writeBigUInt64BE(BigInt(offset), AT.offset);
    buffer.writeBigUInt64BE(BigInt(this.#sequence), AT.sequence);
    const total = FRAME_BYTES + (kind === KIND_DATA ? length : 0);
    digestOf(buffer, total).copy(buffer, AT.digest);
    return total;
  }
}

/**
 * Removes the journal of a replica that is given up.
 *
 * @throws JournalError REPLICA_JOURNAL_FOREIGN if the file is no journal, REPLICA_JOURNAL_IO
 */
export async function discardJournal(file: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const magic = Buffer.alloc(MAGIC.length);
    const length = await readWhole(handle, magic, 0);
    // One that was torn while it was created has only some of it.
    if (!MAGIC.subarray(0, length).equals(magic.subarray(0, length))) throw occupied(file);
    await rm(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error instanceof JournalError ? error : journalError(file, 'removed', error);
  } finally {
    await handle?.close();
  }
}

/** Where the frames of a journal go when it is replayed. */
export interface ReplayTarget {
  write(disk: number, offset: number, data: Uint8Array): Promise<void>;
  zero(disk: number, offset: number, length: number): Promise<void>;
}

/**
 * Applies every sealed frame, in order. A tail without a seal is ignored.
 *
 * @returns how many seals were found
 * @throws JournalError REPLICA_JOURNAL_FOREIGN if the file is not the journal of that uuid,
 *   REPLICA_JOURNAL_IO if it can't be read
 */
export async function replayJournal(
  file: string,
  uuid: string,
  target: ReplayTarget,
  onProgress: (doneBytes: number, totalBytes: number) => void = () => undefined,
): Promise<number> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw journalError(file, 'opened', error);
  });
  try {
    const source: JournalSource = { name: file, read: (...at) => handle.read(...at) };
    return await replayFrom(source, uuid, target, onProgress);
  } finally {
    await handle.close();
  }
}

/** The bytes of a journal, wherever they are stored. */
export interface JournalSource extends Readable {
  /** For messages. */
  readonly name: string;
}

/** Replays a journal from any source, as replayJournal() does. */
export async function replayFrom(
  source: JournalSource,
  uuid: string,
  target: ReplayTarget,
  onProgress: (doneBytes: number, totalBytes: number) => void = () => undefined,
): Promise<number> {
  const header = Buffer.alloc(HEADER_BYTES);
  await source.read(header, 0, HEADER_BYTES, 0);
  const owner = header.toString('latin1', MAGIC.length, MAGIC.length + uuid.length);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC) || owner !== uuid) {
    throw foreign(`${source.name} is not the journal of replica ${uuid}`);
  }
  const window = new Window(source);
  let sealedEnd = HEADER_BYTES;
  let seals = 0;
  for await (const frame of frames(window, Infinity)) {
    if (!isOurs(frame))
      throw foreign(`${source.name} holds frames that this version does not write`);
    if (frame.kind !== KIND_SEAL) continue;
    sealedEnd = frame.end;
    seals++;
  }
  for await (const frame of frames(window, sealedEnd)) {
    if (frame.kind === KIND_DATA) await target.write(frame.disk, frame.offset, frame.payload);
    else if (frame.kind === KIND_ZERO) {
      await target.zero(frame.disk, frame.offset, frame.length * ZERO_UNIT);
    }
    onProgress(frame.end, sealedEnd);
  }
  return seals;
}

/** The digest is right, so the frame is not torn; but another version may have written it. */
function isOurs({ kind, offset }: Frame): boolean {
  return kind >= KIND_DATA && kind <= KIND_SEAL && Number.isSafeInteger(offset);
}

interface Frame {
  readonly kind: number;
  readonly disk: number;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer;
  /** Byte after the frame. */
  readonly end: number;
}

/** Frames up to `stop`, the end of the file, or the first frame that is torn or out of order. */
async function* frames(window: Window, stop: number): AsyncGenerator<Frame> {
  let sealed = 0;
  let sequence = 0;
  for (let at = HEADER_BYTES; at < stop;) {
    const head = await window.bytes(at, FRAME_BYTES);
    if (!head || head.readUInt32BE(AT.magic) !== FRAME_MAGIC) return;
    const kind = head.readUInt32BE(AT.kind);
    const length = head.readUInt32BE(AT.length);
    if (kind === KIND_DATA && length > FRAME_PAYLOAD_MAX) return;
    const total = FRAME_BYTES + (kind === KIND_DATA ? length : 0);
    const frame = await window.bytes(at, total);
    if (!frame || !digestOf(frame, total).equals(frame.subarray(AT.digest, FRAME_BYTES))) return;
    const its = Number(frame.readBigUInt64BE(AT.sequence));
    if (its <= sealed || (sequence > sealed && its !== sequence)) return;
    sequence = its;
    if (kind === KIND_SEAL) sealed = its;
    at += total;
    yield {
      kind,
      disk: frame.readUInt32BE(AT.disk),
      offset: Number(frame.readBigUInt64BE(AT.offset)),
      length,
      payload: frame.subarray(FRAME_BYTES, total),
      end: at,
    };
  }
}

const WINDOW_BYTES = 64 * 1024;
const WIDE_WINDOW_BYTES = 2 * (FRAME_BYTES + FRAME_PAYLOAD_MAX);

/** Reads a source from beginning to end, in pieces much larger than what is asked for. */
class Window {
  #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  #start = 0;
  #length = 0;

  constructor(private readonly source: JournalSource) {}

  /** Bytes of the source, valid until the next call; undefined if it ends before. */
  async bytes(at: number, length: number): Promise<Buffer | undefined> {
    if (at < this.#start || at + length > this.#start + this.#length) {
      if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(WIDE_WINDOW_BYTES);
      this.#start = at;
      this.#length = await readWhole(this.source, this.#buffer, at);
    }
    if (at + length > this.#start + this.#length) return undefined;
    return this.#buffer.subarray(at - this.#start, at - this.#start + length);
  }
}

/** Adds up the sizes of fields that follow one another. */
function offsetsOf(fields: Readonly<Record<FrameField, number>>): Record<FrameField, number> {
  let end = 0;
  const offsets = Object.entries(fields).map(([name, bytes]) => {
    end += bytes;
    return [name, end - bytes];
  });
  return Object.fromEntries(offsets) as Record<FrameField, number>;
}

/** SHA-256, cut to 16 bytes, over the frame with its digest field left out. */
function digestOf(buffer: Buffer, total: number): Buffer {
  return createHash('sha256')
    .update(buffer.subarray(0, AT.digest))
    .update(buffer.subarray(FRAME_BYTES, total))
    .digest()
    .subarray(0, FRAME_FIELDS.digest);
}

function foreign(message: string): JournalError {
  return new JournalError(
    'REPLICA_JOURNAL_FOREIGN',
    message,
    'Put the journal that the state file names back in its place.',
  );
}

function journalError(file: string, what: string, cause: unknown): JournalError {
  return new JournalError(
    'REPLICA_JOURNAL_IO',
    `the journal ${file} can't be ${what}: ${messageOf(cause)}`,
    'Check the disk and the free space of its folder.',
    { cause },
  );
}

function occupied(file: string): JournalError {
  return new JournalError(
    'REPLICA_JOURNAL_FOREIGN',
    `the journal ${file} can't be created: another file is there`,
    'Give the journal a path of its own, or move that file away if nobody needs it.',
  );
}
