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

/** Whether a byte of the page is held. */
export function byteIsSet(map: Uint8Array, at: number): boolean {
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
