import { open } from 'node:fs/promises';
import { LabError } from '../errors.js';

export const ORACLE_SECTOR_BYTES = 512;

/** Which requests an oracle makes: see guest/oracle.c. */
export type OracleMode = '4k' | '512' | 'unaligned' | 'zero';

/** A part of a guest's disk that one oracle writes and checks. Units: 512-byte sectors. */
export interface OracleRegion {
  /** The guest's name of the disk: `vda` is the first, `vdb` the second. */
  readonly disk: string;
  readonly mode: OracleMode;
  readonly first: number;
  readonly sectors: number;
}

/**
 * One region of each mode on each disk, 16 MiB per disk in all. The boundary between the second and
 * the third region is inside a 4 KiB page.
 */
export function defaultRegions(disks: readonly string[] = ['vda']): OracleRegion[] {
  return disks.flatMap((disk): OracleRegion[] => [
    { disk, mode: '4k', first: 0, sectors: 16384 },
    { disk, mode: '512', first: 16384, sectors: 4097 },
    { disk, mode: 'unaligned', first: 20481, sectors: 8192 },
    { disk, mode: 'zero', first: 28673, sectors: 4095 },
  ]);
}

/** The guest's name of its disk number `index`, counted from 0. */
export function guestDiskName(index: number): string {
  return `vd${String.fromCharCode('a'.charCodeAt(0) + index)}`;
}

/** The value of `gannet.oracles=` on the guest's kernel command line. */
export function formatRegions(regions: readonly OracleRegion[]): string {
  return regions.map((r) => `${r.disk}:${r.mode}:${r.first}:${r.sectors}`).join(',');
}

/** The oracle's digest, fed piece by piece with the bytes of a region. */
export class RegionDigest {
  #a = 0x9e3779b9;
  #b = 0x85ebca6b;

  /** @param bytes a multiple of 4 bytes */
  update(bytes: Uint8Array): this {
    if (bytes.byteLength % 4 !== 0) throw new RangeError('a digest takes whole 32-bit words');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let a = this.#a;
    let b = this.#b;
    for (let offset = 0; offset < bytes.byteLength; offset += 4) {
      const word = view.getUint32(offset, true);
      a ^= word;
      a = Math.imul((a << 5) | (a >>> 27), 0x9e3779b1);
      b = (b + word) | 0;
      b = Math.imul((b << 11) | (b >>> 21), 0x85ebca77);
    }
    this.#a = a;
    this.#b = b;
    return this;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

/**
 * The digest of a region as a raw image holds it, to be compared with the guest's.
 *
 * @throws LabError if the image ends inside the region
 */
export async function imageDigest(
  imagePath: string,
  region: Pick<OracleRegion, 'first' | 'sectors'>,
): Promise<string> {
  const digest = new RegionDigest();
  const buffer = Buffer.alloc(1024 * 1024);
  const image = await open(imagePath, 'r');
  try {
    let position = region.first * ORACLE_SECTOR_BYTES;
    const end = position + region.sectors * ORACLE_SECTOR_BYTES;
    while (position < end) {
      const wanted = Math.min(buffer.length, end - position);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await image.read(buffer, filled, wanted - filled, position + filled);
        if (bytesRead === 0) throw new LabError(`${imagePath} ends at ${position + filled}`);
        filled += bytesRead;
      }
      digest.update(buffer.subarray(0, wanted));
      position += wanted;
    }
  } finally {
    await image.close();
  }
  return digest.toString();
}
