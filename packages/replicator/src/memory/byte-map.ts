import { PAGE_BYTES, SECTOR_BYTES } from './slab-pool.js';

/** Bytes of a map: one bit for each byte of a page. */
export const BYTE_MAP_BYTES = PAGE_BYTES / 8;

/** The map of a page that is held in whole sectors so far. */
export function byteMapOf(sectorMask: number): Uint8Array {
  const map = new Uint8Array(BYTE_MAP_BYTES);
  const mapBytesPerSector = SECTOR_BYTES / 8;
  for (let sector = 0; sector < 8; sector++) {
    if (sectorMask & (1 << sector)) {
      map.fill(0xff, sector * mapBytesPerSector, (sector + 1) * mapBytesPerSector);
    }
  }
  return map;
}

/** Marks bytes [from, to) of the page as held. */
export function setBytes(map: Uint8Array, from: number, to: number): void {
  let at = from;
  for (; at < to && at % 8 !== 0; at++) map[at >> 3] = (map[at >> 3] as number) | (1 << (at & 7));
  const wholeEnd = to - (to % 8);
  if (at < wholeEnd) {
    map.fill(0xff, at >> 3, wholeEnd >> 3);
    at = wholeEnd;
  }
  for (; at < to; at++) map[at >> 3] = (map[at >> 3] as number) | (1 << (at & 7));
}

function byteIsSet(map: Uint8Array, at: number): boolean {
  return ((map[at >> 3] as number) & (1 << (at & 7))) !== 0;
}

/** Mask of the sectors that the map holds whole. */
export function sectorsIn(map: Uint8Array): number {
  let mask = 0;
  for (let sector = 0; sector < 8; sector++) {
    const start = (sector * SECTOR_BYTES) / 8;
    let whole = true;
    for (let at = start; whole && at < start + SECTOR_BYTES / 8; at++) whole = map[at] === 0xff;
    if (whole) mask |= 1 << sector;
  }
  return mask;
}

/**
 * Calls back for each run of bytes [start, end) that is held of bytes [from, to) of a page.
 *
 * @param mask of the sectors that are held, if the page has no map
 */
export function forEachHeldRun(
  mask: number,
  byteMap: Uint8Array | undefined,
  from: number,
  to: number,
  callback: (start: number, end: number) => void,
): void {
  const grain = byteMap ? 1 : SECTOR_BYTES;
  const held = (at: number): boolean =>
    byteMap ? byteIsSet(byteMap, at) : (mask & (1 << (at / SECTOR_BYTES))) !== 0;
  let start = -1;
  for (let at = from; at < to; at = Math.min(to, at - (at % grain) + grain)) {
    if (held(at - (at % grain))) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      callback(start, at);
      start = -1;
    }
  }
  if (start >= 0) callback(start, to);
}
