import type { Overlay } from './overlay.js';
import { PAGE_BYTES } from './slab-pool.js';
import { RangeSet } from './range-set.js';

/** A stretch of a disk that one or more epochs changed. Offsets and lengths in bytes. */
export type Run =
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number }
  | {
      readonly kind: 'data';
      readonly offset: number;
      readonly length: number;
      /** Fills the first `length` bytes of `target`. */
      copyTo(target: Uint8Array): void;
    };

/** About so many pages are sorted at a time. */
const BUCKET_PAGES = 4096;

/**
 * What some epochs together changed: zeros first, then data by ascending offset, neighbours coalesced up to `maxBytes`.
 * Where epochs overlap the latest wins, so no byte is in two runs and they may be written in any order.
 *
 * @param layers oldest first
 */
export function* runsOf(layers: readonly Overlay[], maxBytes: number): Generator<Run> {
  yield* zeroRuns(layers);

  const maxPages = Math.max(1, Math.floor(maxBytes / PAGE_BYTES));
  let runStart = -1;
  let runEnd = -1;
  for (const page of dataPages(layers)) {
    const isWhole = layers.reduce((mask, layer) => mask | layer.sectorsOf(page), 0) === 0xff;
    if (runStart >= 0 && (!isWhole || page !== runEnd || page - runStart >= maxPages)) {
      yield wholePages(layers, runStart, runEnd);
      runStart = -1;
    }
    if (isWhole) {
      if (runStart < 0) runStart = page;
      runEnd = page + 1;
    } else {
      yield* partsOfPage(layers, page);
    }
  }
  if (runStart >= 0) yield wholePages(layers, runStart, runEnd);
}

/** What was zeroed, less the pages that are written as data. */
function* zeroRuns(layers: readonly Overlay[]): Generator<Run> {
  const zeroed = new RangeSet();
  for (const layer of layers) for (const [start, end] of layer.zeroRuns()) zeroed.add(start, end);
  if (zeroed.isEmpty) return;
  const pages = Float64Array.from(dataPages(layers));
  let next = 0;
  for (const [start, end] of zeroed.runs()) {
    let from = start;
    while (next < pages.length && (pages[next] as number) < start) next++;
    for (; next < pages.length && (pages[next] as number) < end; next++) {
      const page = pages[next] as number;
      if (page > from) yield zeroRun(from, page);
      from = page + 1;
    }
    if (from < end) yield zeroRun(from, end);
  }
}

function zeroRun(start: number, end: number): Run {
  return { kind: 'zero', offset: start * PAGE_BYTES, length: (end - start) * PAGE_BYTES };
}

/** Pages that have to be written as data, ascending: all that have a slot and were not zeroed as a whole since. */
function* dataPages(layers: readonly Overlay[]): Generator<number> {
  for (const bucket of buckets(layers)) {
    bucket.sort();
    let last = -1;
    for (const page of bucket) {
      if (page === last) continue;
      last = page;
      const newest = layers.findLast((layer) => layer.touches(page));
      if (newest !== undefined && !newest.isZeroed(page)) yield page;
    }
  }
}

/**
 * The pages that have a slot, in buckets by ascending number, each in any order. To sort a million pages at once would
 * keep the event loop for a second; a bucket is sorted when write-back has come to it.
 */
function* buckets(layers: readonly Overlay[]): Generator<Float64Array> {
  const pages = new Float64Array(layers.reduce((sum, layer) => sum + layer.pageCount, 0));
  let count = 0;
  for (const layer of layers) count += layer.copyPageNumbers(pages, count);
  let [lowest, highest] = [Infinity, -Infinity];
  for (const page of pages) {
    if (page < lowest) lowest = page;
    if (page > highest) highest = page;
  }
  const bucketCount = Math.ceil(count / BUCKET_PAGES);
  const width = Math.ceil((highest - lowest + 1) / bucketCount);
  const ends = new Uint32Array(bucketCount);
  for (const page of pages) {
    const bucket = Math.floor((page - lowest) / width);
    ends[bucket] = (ends[bucket] as number) + 1;
  }
  for (let at = 1; at < bucketCount; at++)
    ends[at] = (ends[at] as number) + (ends[at - 1] as number);
  const starts = Uint32Array.from(ends);
  const sorted = new Float64Array(count);
  for (const page of pages) {
    const bucket = Math.floor((page - lowest) / width);
    const at = (starts[bucket] as number) - 1;
    starts[bucket] = at;
    sorted[at] = page;
  }
  for (let at = 0; at < bucketCount; at++) yield sorted.subarray(starts[at], ends[at]);
}

function wholePages(layers: readonly Overlay[], start: number, end: number): Run {
  const length = (end - start) * PAGE_BYTES;
  return {
    kind: 'data',
    offset: start * PAGE_BYTES,
    length,
    copyTo(target) {
      for (let page = start; page < end; page++) {
        copyPage(layers, page, 0, PAGE_BYTES, target, (page - start) * PAGE_BYTES);
      }
    },
  };
}

/** A page that the epochs hold in parts: only those parts are written, the base keeps the rest. */
function* partsOfPage(layers: readonly Overlay[], page: number): Generator<Run> {
  const held = new RangeSet();
  for (const layer of layers) layer.forEachRunIn(page, (start, end) => held.add(start, end));
  for (const [start, end] of held.runs()) {
    yield {
      kind: 'data',
      offset: page * PAGE_BYTES + start,
      length: end - start,
      copyTo: (target) => copyPage(layers, page, start, end, target, 0),
    };
  }
}

function copyPage(
  layers: readonly Overlay[],
  page: number,
  from: number,
  to: number,
  target: Uint8Array,
  targetAt: number,
): void {
  for (const layer of layers) layer.applyTo(page, from, to, target, targetAt);
}
