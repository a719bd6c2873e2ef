import type { Overlay } from '../memory/overlay.js';
import { PAGE_BYTES, SECTOR_BYTES } from '../memory/slab-pool.js';

// What several overlays hold of a range of a disk. Layers are passed newest first.

/** Whether some of what the layers hold of the range is in a spill file. */
export function isSpilled(layers: readonly Overlay[], offset: number, length: number): boolean {
  for (const layer of layers) {
    if (layer.hasSpilled && layer.isSpilled(offset, offset + length)) return true;
  }
  return false;
}

/** Copies what the layers hold of a range over `target`; a promise only if some is spilled. */
export function applyOver(
  layers: readonly Overlay[],
  offset: number,
  target: Uint8Array,
): void | Promise<void> {
  if (isSpilled(layers, offset, target.length)) return applyLater(layers, offset, target);
  const end = offset + target.length;
  for (let position = offset; position < end;) {
    const page = Math.floor(position / PAGE_BYTES);
    const from = position - page * PAGE_BYTES;
    const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
    applyAll(layers, page, from, to, target, position - offset);
    position += to - from;
  }
}

async function applyLater(
  layers: readonly Overlay[],
  offset: number,
  target: Uint8Array,
): Promise<void> {
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    await layers[layer]?.applyRange(offset, target);
  }
}

/** Copies what the layers have in memory of bytes [from, to) of one page. */
export function applyAll(
  layers: readonly Overlay[],
  page: number,
  from: number,
  to: number,
  target: Uint8Array,
  targetAt: number,
): void {
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    layers[layer]?.applyTo(page, from, to, target, targetAt);
  }
}

/** Whether the layers together hold all of bytes [from, to) of the page. */
export function coversAll(
  layers: readonly Overlay[],
  page: number,
  from: number,
  to: number,
): boolean {
  const first = Math.floor(from / SECTOR_BYTES);
  const end = Math.ceil(to / SECTOR_BYTES);
  const wanted = ((1 << end) - 1) & ~((1 << first) - 1);
  let held = 0;
  for (const layer of layers) {
    held |= layer.sectorsOf(page);
    if ((held & wanted) === wanted) return true;
  }
  return false;
}

/** The smallest range with everything that the layers don't hold; [-1, -1] if they hold it all. */
export function uncovered(
  layers: readonly Overlay[],
  offset: number,
  length: number,
): readonly [from: number, to: number] {
  const end = offset + length;
  let [first, last] = [-1, -1];
  for (let position = offset; position < end;) {
    const page = Math.floor(position / PAGE_BYTES);
    const from = position - page * PAGE_BYTES;
    const to = Math.min(PAGE_BYTES, end - page * PAGE_BYTES);
    if (!coversAll(layers, page, from, to)) {
      if (first < 0) first = position;
      last = position + to - from;
    }
    position += to - from;
  }
  return [first, last];
}

/**
 * The memory of whole pages from `page` on, as many as one layer holds in a row without anything of
 * a newer layer over them. Undefined if not even the first page can be had so.
 */
export function wholePages(
  layers: readonly Overlay[],
  page: number,
  endPage: number,
): Buffer | undefined {
  let clearEnd = endPage;
  for (const layer of layers) {
    const found = layer.wholePages(page, clearEnd);
    if (found !== undefined) return found;
    clearEnd = layer.untouchedEnd(page, clearEnd);
    if (clearEnd === page) return undefined;
  }
  return undefined;
}

/** What the layers make of a page: data, zeros, or nothing, so that the base decides. */
export function kindOf(layers: readonly Overlay[], page: number): 'data' | 'zeros' | undefined {
  for (const layer of layers) {
    if (layer.touches(page)) return layer.isZeroed(page) ? 'zeros' : 'data';
  }
  return undefined;
}
