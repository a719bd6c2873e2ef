import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** What is hashed before the event loop may run: some tenths of a millisecond. */
const SLICE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(SLICE_BYTES);
/** Of the 32 bytes of SHA-256. */
const DIGEST_BYTES = 16;
/** Of a grain that is all zeros: no digest has this form. */
const ZERO_DIGEST = '';

/**
 * A digest of each grain of `data`, in order: the first half of its SHA-256 in base64, or an empty
 * string if it is all zeros. The last grain may be shorter.
 */
export async function digestsOf(data: Uint8Array, grainBytes: number): Promise<string[]> {
  const digests: string[] = [];
  let hashedBytes = 0;
  for (let at = 0; at < data.length; at += grainBytes) {
    const grain = data.subarray(at, at + grainBytes);
    digests.push(isZero(grain) ? ZERO_DIGEST : digestOf(grain));
    hashedBytes += grain.length;
    if (hashedBytes < SLICE_BYTES) continue;
    hashedBytes = 0;
    await nextTurn();
  }
  return digests;
}

/** The digests of zeros, without reading any. */
export function digestsOfZeros(length: number, grainBytes: number): string[] {
  return Array.from({ length: Math.ceil(length / grainBytes) }, () => ZERO_DIGEST);
}

function digestOf(grain: Uint8Array): string {
  return createHash('sha256').update(grain).digest().toString('base64', 0, DIGEST_BYTES);
}

function isZero(grain: Uint8Array): boolean {
  for (let at = 0; at < grain.length; at += SLICE_BYTES) {
    const length = Math.min(SLICE_BYTES, grain.length - at);
    if (ZEROS.compare(grain, at, at + length, 0, length) !== 0) return false;
  }
  return true;
}
