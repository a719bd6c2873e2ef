import type { NbdClient } from '@gannet/nbd';

/** Bytes of a disk that a bitmap has marked. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** What is read of one disk, and where it goes. */
export interface FetchedDisk {
  readonly device: string;
  /** The primary's own disk, with the bitmap as its metadata context. */
  readonly own: Pick<NbdClient, 'sizeBytes' | 'hasBlockStatus' | 'blockStatus' | 'readInto'>;
  readonly replica: Pick<NbdClient, 'write' | 'writeZeroes' | 'flush'>;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Bytes per second, 0 for no limit; it may change meanwhile. */
  readonly bytesPerSec: () => number;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly now: () => number;
}

const PIECE_BYTES = 512 * 1024;
const STATUS_BYTES_MAX = 1024 ** 3;
const UNDER_WAY_MAX = 4;

/**
 * Copies what the bitmap has marked, a disk after the other in the order of its bytes, and says to
 * the replica when that is all.
 *
 * @returns how many bytes that were
 */
export async function fetchChanges(disk: FetchedDisk, options: FetchOptions): Promise<number> {
  const { own, replica } = disk;
  const ranges = await markedRanges(own);
  const totalBytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const pieces = piecesOf(ranges);
  const startMs = options.now();
  let begunBytes = 0;
  let doneBytes = 0;
  options.onProgress(0, totalBytes);
  const copy = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES);
    for (let next = pieces.next(); next.done !== true; next = pieces.next()) {
      options.signal.throwIfAborted();
      const { offset, length } = next.value;
      begunBytes += length;
      await pace(startMs, begunBytes - length, options);
      const data = buffer.subarray(0, length);
      await own.readInto(offset, data);
      if (isZero(data)) await replica.writeZeroes(offset, length);
      else await replica.write(offset, data);
      doneBytes += length;
      options.onProgress(doneBytes, totalBytes);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY_MAX }, copy));
  options.signal.throwIfAborted();
  await replica.flush();
  return totalBytes;
}

/** With a dirty bitmap as metadata context, what is marked shows as `hole`. */
async function markedRanges(own: FetchedDisk['own']): Promise<Range[]> {
  if (!own.hasBlockStatus) throw new Error('QEMU does not offer the bitmap over NBD');
  const ranges: Range[] = [];
  for (let at = 0; at < own.sizeBytes;) {
    const asked = Math.min(STATUS_BYTES_MAX, own.sizeBytes - at);
    const before = at;
    for (const { length, hole } of await own.blockStatus(at, asked)) {
      const end = Math.min(own.sizeBytes, at + length);
      if (hole && end > at) ranges.push({ offset: at, length: end - at });
      at = end;
    }
    if (at === before) throw new Error('QEMU gives no block status');
  }
  return ranges;
}

function* piecesOf(ranges: readonly Range[]): Generator<Range> {
  for (const { offset, length } of ranges) {
    for (let done = 0; done < length; done += PIECE_BYTES) {
      yield { offset: offset + done, length: Math.min(PIECE_BYTES, length - done) };
    }
  }
}

async function pace(startMs: number, bytes: number, options: FetchOptions): Promise<void> {
  const { bytesPerSec, now, sleep, signal } = options;
  const limit = bytesPerSec();
  if (limit === 0) return;
  const waitMs = startMs + (bytes / limit) * 1000 - now();
  if (waitMs > 0) await sleep(waitMs, signal);
}

const ZEROS = Buffer.alloc(PIECE_BYTES);

function isZero(data: Buffer): boolean {
  return data.equals(ZEROS.subarray(0, data.length));
}
