import { expect, test } from '@jest/globals';
import { differing, HASH_BYTES, hashPages } from '../src/page-hashes.js';

const key = Buffer.alloc(32, 1);
const data = Buffer.concat([Buffer.alloc(16, 1), Buffer.alloc(16, 2), Buffer.alloc(16, 1)]);

test('equal pages have equal hashes, others have others', () => {
  const hashes = hashPages(key, data, 16);
  const [a, b, c] = [0, 1, 2].map((at) =>
    Buffer.from(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)).toString('hex'),
  );
  expect(a).toBe(c);
  expect(a).not.toBe(b);
});

test('another key gives other hashes', () => {
  expect(hashPages(key, data, 16)).not.toEqual(hashPages(Buffer.alloc(32, 2), data, 16));
});

test('a difference of one bit is found', () => {
  const pages = Uint32Array.of(5, 9, 12);
  for (let bit = 0; bit < data.length * 8; bit++) {
    const other = Buffer.from(data);
    other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const found = differing(pages, hashPages(key, data, 16), hashPages(key, other, 16));
    expect([...found]).toEqual([pages[bit >> 7]]);
  }
});
