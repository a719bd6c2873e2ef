import { expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { digestsOf, digestsOfZeros } from '../src/digests.js';

it('equal grains have equal digests, others have others', async () => {
  const data = randomBytes(3 * 4096 + 512);
  const copy = Buffer.from(data);
  copy[4096] = (copy[4096] ?? 0) ^ 1;
  const [one, other] = [await digestsOf(data, 4096), await digestsOf(copy, 4096)];
  expect(one).toHaveLength(4);
  expect(other.map((digest, at) => digest === one[at])).toEqual([true, false, true, true]);
  expect(one.every((digest) => Buffer.from(digest, 'base64').length === 16)).toBe(true);
});

it('zeros have the same digests whether they are read or not', async () => {
  const zeros = Buffer.alloc(300 * 1024);
  expect(await digestsOf(zeros, 128 * 1024)).toEqual(digestsOfZeros(zeros.length, 128 * 1024));
  zeros[zeros.length - 1] = 1;
  expect((await digestsOf(zeros, 128 * 1024)).map((digest) => digest === '')).toEqual([
    ...[true, true, false],
  ]);
});
