/** One thread of a ShadowScan: each message asks for one comparison, in which it takes its part. */
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { ScanAnswer, ScanData } from './shadow-scan.js';
import { Shadow } from './shadow.js';

/** What a thread takes at once. So much stays in the processor's cache until it is compared. */
const PIECE_PAGES = 64;
/** A piece that differs is compared in blocks of so many pages, a block that differs by page. */
const BLOCK_PAGES = 8;

const data = workerData as ScanData;
const { fd } = data;
const shadow = new Shadow(data.shadow);
const { pages } = shadow;
const { pageBytes } = data.shadow;
const next = new Int32Array(data.next);
const wanted = new Uint32Array(data.wanted);
const piece = Buffer.alloc(PIECE_PAGES * pageBytes);

parentPort?.on('message', () => parentPort?.postMessage(scan()));

function scan(): ScanAnswer {
  const changed: number[] = [];
  try {
    for (;;) {
      const first = Atomics.add(next, 0, 1) * PIECE_PAGES;
      if (first >= pages) return { pages: Uint32Array.from(changed) };
      const end = Math.min(first + PIECE_PAGES, pages);
      for (let from = first, to: number; from < end; from = to) {
        to = endOfRun(from, end);
        if (isWanted(from)) scanRun(from, to - from, changed);
      }
    }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function isWanted(page: number): boolean {
  return (((wanted[page >>> 5] ?? 0) >>> (page & 31)) & 1) === 1;
}

/** Where the pages end that are all wanted, or all not. */
function endOfRun(from: number, end: number): number {
  const isRunWanted = isWanted(from);
  let to = from + 1;
  while (to < end && isWanted(to) === isRunWanted) to++;
  return to;
}

/** A piece lies in one slice of the shadow. */
function scanRun(first: number, count: number, changed: number[]): void {
  read(first, count);
  const known = shadow.view(first, count);
  if (!differs(known, 0, count)) return;
  for (let block = 0; block < count; block += BLOCK_PAGES) {
    const end = Math.min(block + BLOCK_PAGES, count);
    if (!differs(known, block, end)) continue;
    for (let page = block; page < end; page++) {
      if (!differs(known, page, page + 1)) continue;
      const at = page * pageBytes;
      known.set(piece.subarray(at, at + pageBytes), at);
      changed.push(first + page);
    }
  }
}

/** Reads pages to the beginning of the piece. */
function read(first: number, count: number): void {
  const length = count * pageBytes;
  for (let done = 0; done < length;) {
    const got = readSync(fd, piece, done, length - done, first * pageBytes + done);
    if (got === 0) throw new Error('the file of RAM has become shorter');
    done += got;
  }
}

/** Whether pages of the piece are not as they were known. */
function differs(known: Buffer, from: number, to: number): boolean {
  const [start, end] = [from * pageBytes, to * pageBytes];
  return piece.compare(known, start, end, start, end) !== 0;
}
