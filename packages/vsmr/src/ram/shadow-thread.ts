/** One thread of a ShadowScan: each message asks for one comparison, in which it takes its part. */
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { ScanAnswer, ScanData } from './shadow-scan.js';

const PIECE_BYTES = 4 * 1024 * 1024;
/** Pieces that differ are compared in blocks of this size, and blocks that differ by page. */
const BLOCK_BYTES = 64 * 1024;

const data = workerData as ScanData;
const { fd, pageBytes } = data;
const shadow = Buffer.from(data.shadow);
const next = new Int32Array(data.next);
const piece = Buffer.alloc(PIECE_BYTES);

parentPort?.on('message', () => parentPort?.postMessage(scan()));

function scan(): ScanAnswer {
  const changed: number[] = [];
  try {
    for (;;) {
      const offset = Atomics.add(next, 0, 1) * PIECE_BYTES;
      if (offset >= shadow.length) return { pages: Uint32Array.from(changed) };
      const bytes = readPiece(offset);
      if (!differs(offset, 0, bytes)) continue;
      for (let block = 0; block < bytes; block += BLOCK_BYTES) {
        if (differs(offset, block, BLOCK_BYTES)) scanBlock(offset, block, bytes, changed);
      }
    }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function scanBlock(offset: number, block: number, bytes: number, changed: number[]): void {
  const end = Math.min(block + BLOCK_BYTES, bytes);
  for (let at = block; at < end; at += pageBytes) {
    if (!differs(offset, at, pageBytes)) continue;
    piece.copy(shadow, offset + at, at, at + pageBytes);
    changed.push((offset + at) / pageBytes);
  }
}

/** @returns how many bytes the piece has; the last one may be short */
function readPiece(offset: number): number {
  const length = Math.min(PIECE_BYTES, shadow.length - offset);
  for (let done = 0; done < length;) {
    const got = readSync(fd, piece, done, length - done, offset + done);
    if (got === 0) throw new Error('the file of RAM has become shorter');
    done += got;
  }
  return length;
}

function differs(offset: number, at: number, bytes: number): boolean {
  const end = Math.min(at + bytes, shadow.length - offset);
  return piece.compare(shadow, offset + at, offset + end, at, end) !== 0;
}
