import { applyOver } from './layers.js';
import type { Overlay } from '../memory/overlay.js';
import { PAGE_BYTES } from '../memory/slab-pool.js';
import { RangeSet } from '../range-set.js';

/** A range of a disk that one or more epochs changed. Offsets and lengths in bytes. */
export type Run =
  /** Nothing to write: a place to let the event loop run before the next run is found. */
  | { readonly kind: 'pause'; readonly offset: 0; readonly length: 0 }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number }
  | {
      readonly kind: 'data';
      readonly offset: number;
      readonly length: number;
      /** Fills the first `length` bytes of `target`; a promise only if some is spilled. */
      copyTo(target: Uint8Array): void | Promise<void>;
    };

/** Most pages that are sorted at a time. */
const BUCKET_PAGES = 4096;
/** Pages that are looked at between two pauses. */
const SLICE_PAGES = 16_384;
/**
 * Longest run of zeros by default: a base may write it byte by byte, and can't be stopped half-way.
 */
const ZERO_BYTES_MAX = 64 * 1024 * 1024;
const PAUSE: Run = { kind: 'pause', offset: 0, length: 0 };
/** In place of a page number: a pause is due. */
const YIELD = -1;

/**
 * What some epochs together changed: zeros first, then data by ascending offset, with neighbours
 * joined up to `maxBytes`. Where epochs overlap the latest wins, so no byte is in two runs, and
 * they may be written in any order.
 *
 * @param layers oldest first
 * @param maxBytes longest run of data
 * @param maxZeroBytes longest run of zeros; whole pages
 */
export function* runsOf(
  layers: readonly Overlay[],
  maxBytes: number,
  maxZeroBytes = ZERO_BYTES_MAX,
): Generator<Run> {
  for (const run of zeroRuns(layers)) yield* cutZeros(run, maxZeroBytes);

  const maxPages = Math.max(1, Math.floor(maxBytes / PAGE_BYTES));
  let runStart = -1;
  let runEnd = -1;
  for (const page of dataPages(layers)) {
    if (page === YIELD) {
      yield PAUSE;
      continue;
    }
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

/** What was zeroed, without the pages that are written as data. */
function* zeroRuns(layers: readonly Overlay[]): Generator<Run> {
  const zeroed = new RangeSet();
  for (const layer of layers) for (const [start, end] of layer.zeroRuns()) zeroed.add(start, end);
  if (zeroed.isEmpty) return;
  const pages = dataPages(layers);
  let page = YIELD;
  for (const [start, end] of zeroed.runs()) {
    let from = start;
    while (page < end) {
      if (page >= start) {
        if (page > from) yield zeroRun(from, page);
        from = page + 1;
      }
      const next = pages.next();
      page = next.done ? Infinity : next.value;
      if (page === YIELD) yield PAUSE;
    }
    if (from < end) yield zeroRun(from, end);
  }
}

function zeroRun(start: number, end: number): Run {
  return { kind: 'zero', offset: start * PAGE_BYTES, length: (end - start) * PAGE_BYTES };
}

/** A run of zeros in pieces of at most `maxBytes`; a pause is left as it is. */
function* cutZeros(run: Run, maxBytes: number): Generator<Run> {
  const { kind, offset, length } = run;
  if (kind !== 'zero' || length <= maxBytes) {
    yield run;
    return;
  }
  for (let done = 0; done < length; done += maxBytes) {
    yield { kind, offset: offset + done, length: Math.min(maxBytes, length - done) };
  }
}

/** Pages to write as data, ascending: those with a slot that were not zeroed as a whole since. */
function* dataPages(layers: readonly Overlay[]): Generator<number> {
  let isFirst = true;
  for (const bucket of bucketsOf(layers)) {
    if (!isFirst || bucket === undefined) yield YIELD;
    if (bucket === undefined) continue;
    isFirst = false;
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
 * The pages with a slot, in buckets of ascending numbers, unsorted within a bucket; undefined for a
 * pause. Sorting a million pages at once would block the event loop for a second, so a bucket is
 * sorted when write-back has reached it.
 */
function* bucketsOf(layers: readonly Overlay[]): Generator<Float64Array | undefined> {
  const pages = new Float64Array(layers.reduce((sum, layer) => sum + layer.pageCount, 0));
  let count = 0;
  let rested = 0;
  for (const layer of layers) {
    for (const some of layer.pageNumbers()) {
      pages.set(some, count);
      count += some.length;
      if (count - rested < SLICE_PAGES) continue;
      rested = count;
      yield undefined;
    }
  }
  yield* buckets(pages);
}

/** A distribution sort; a bucket that is too large, because pages lie close, is split again. */
function* buckets(pages: Float64Array): Generator<Float64Array | undefined> {
  const count = pages.length;
  if (count <= BUCKET_PAGES) {
    if (count > 0) yield pages;
    return;
  }
  let [lowest, highest] = [Infinity, -Infinity];
  for (const [from, to] of slices(count)) {
    for (let at = from; at < to; at++) {
      const page = pages[at] as number;
      if (page < lowest) lowest = page;
      if (page > highest) highest = page;
    }
    yield undefined;
  }
  // One page, in several epochs.
  if (lowest === highest) {
    yield pages.subarray(0, 1);
    return;
  }
  const bucketCount = Math.ceil((2 * count) / BUCKET_PAGES);
  const width = Math.ceil((highest - lowest + 1) / bucketCount);
  const ends = new Uint32Array(bucketCount);
  for (const [from, to] of slices(count)) {
    for (let at = from; at < to; at++) {
      const bucket = Math.floor(((pages[at] as number) - lowest) / width);
      ends[bucket] = (ends[bucket] as number) + 1;
    }
    yield undefined;
  }
  for (let at = 1; at < bucketCount; at++)
    ends[at] = (ends[at] as number) + (ends[at - 1] as number);
  const starts = Uint32Array.from(ends);
  const sorted = new Float64Array(count);
  for (const [from, to] of slices(count)) {
    for (let at = from; at < to; at++) {
      const page = pages[at] as number;
      const bucket = Math.floor((page - lowest) / width);
      const place = (starts[bucket] as number) - 1;
      starts[bucket] = place;
      sorted[place] = page;
    }
    yield undefined;
  }
  for (let at = 0; at < bucketCount; at++) yield* buckets(sorted.subarray(starts[at], ends[at]));
}

function* slices(count: number): Generator<readonly [from: number, to: number]> {
  for (let from = 0; from < count; from += SLICE_PAGES) {
    yield [from, Math.min(count, from + SLICE_PAGES)];
  }
}

function wholePages(layers: readonly Overlay[], start: number, end: number): Run {
  const length = (end - start) * PAGE_BYTES;
  return {
    kind: 'data',
    offset: start * PAGE_BYTES,
    length,
    copyTo: (target) => copyRange(layers, start * PAGE_BYTES, length, target),
  };
}

/** A page that the epochs hold in parts: only these are written, the base keeps the rest. */
function* partsOfPage(layers: readonly Overlay[], page: number): Generator<Run> {
  const held = new RangeSet();
  for (const layer of layers) layer.forEachRunIn(page, (start, end) => held.add(start, end));
  for (const [start, end] of held.runs()) {
    yield {
      kind: 'data',
      offset: page * PAGE_BYTES + start,
      length: end - start,
      copyTo: (target) => copyRange(layers, page * PAGE_BYTES + start, end - start, target),
    };
  }
}

function copyRange(
  layers: readonly Overlay[],
  offset: number,
  length: number,
  target: Uint8Array,
): void | Promise<void> {
  const part = target.length === length ? target : target.subarray(0, length);
  return applyOver([...layers].reverse(), offset, part);
}
