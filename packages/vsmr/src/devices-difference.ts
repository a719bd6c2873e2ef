import type { DevicesPart } from './wire/frames.js';

/** States are compared in blocks of this size. */
const BLOCK_BYTES = 512;
/** The most that a part has. */
const PART_BYTES_MAX = 1024 * 1024;

/**
 * What makes the state of the devices out of the last one: blocks that differ, and those that the
 * last one had not. At least one part, so that the size is known.
 */
export function* devicesDifference(
  last: Uint8Array,
  now: Uint8Array,
): Generator<DevicesPart, void, undefined> {
  const bytes = now.length;
  const part = (from: number, to: number): DevicesPart => {
    return { bytes, offset: from, data: now.subarray(from, to) };
  };
  let isFirst = true;
  for (let from = 0, to: number; from < bytes; from = to) {
    to = Math.min(from + BLOCK_BYTES, bytes);
    if (isSame(last, now, from, to)) continue;
    while (to < bytes && to - from < PART_BYTES_MAX) {
      const end = Math.min(to + BLOCK_BYTES, bytes);
      if (isSame(last, now, to, end)) break;
      to = end;
    }
    yield part(from, to);
    isFirst = false;
  }
  if (isFirst) yield part(0, 0);
}

function isSame(last: Uint8Array, now: Uint8Array, from: number, to: number): boolean {
  return to <= last.length && Buffer.compare(last.subarray(from, to), now.subarray(from, to)) === 0;
}
