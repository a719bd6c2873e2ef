import { createHash } from 'node:crypto';

/** Of a hash on the wire. */
export const HASH_BYTES = 16;
/** Of the key of a pair. */
export const KEY_BYTES = 32;

/**
 * Hashes of pages, one after another: SHA-256 of key and page, cut to 128 bits. The key is random
 * and the guests do not know it, so nobody in a guest can make two pages with one hash.
 */
export function hashPages(key: Uint8Array, data: Uint8Array, pageBytes: number): Uint8Array {
  const hashes = new Uint8Array((data.length / pageBytes) * HASH_BYTES);
  for (let page = 0; page * pageBytes < data.length; page++) {
    const hash = createHash('sha256').update(key);
    hash.update(data.subarray(page * pageBytes, (page + 1) * pageBytes));
    hashes.set(hash.digest().subarray(0, HASH_BYTES), page * HASH_BYTES);
  }
  return hashes;
}

/** The pages whose hashes differ. */
export function differing(pages: Uint32Array, ours: Uint8Array, theirs: Uint8Array): Uint32Array {
  return pages.filter((_, at) => {
    const [from, to] = [at * HASH_BYTES, (at + 1) * HASH_BYTES];
    return Buffer.compare(ours.subarray(from, to), theirs.subarray(from, to)) !== 0;
  });
}
