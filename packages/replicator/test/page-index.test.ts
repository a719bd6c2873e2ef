import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PageIndex } from '../src/page-index.js';

/** Dense, strided, beyond 32 bits and near the top: whatever a hash may fold together. */
const page = fc.oneof(
  fc.nat(300),
  fc.nat(300).map((at) => at * 2 ** 16),
  fc.nat(300).map((at) => at * 2 ** 32),
  fc.nat(300).map((at) => 2 ** 32 + at),
  fc.nat(300).map((at) => Number.MAX_SAFE_INTEGER - at),
  fc.maxSafeNat(),
);

describe('PageIndex', () => {
  test('does what a Map from page to order of arrival does', () => {
    fc.assert(
      fc.property(fc.array(page, { maxLength: 600 }), fc.array(page), (pages, others) => {
        const index = new PageIndex();
        const model = new Map<number, number>();
        for (const one of pages) {
          if (!model.has(one)) model.set(one, model.size);
          expect(index.findOrAdd(one)).toBe(model.get(one));
        }
        expect(index.count).toBe(model.size);
        const all = [...pages, ...others];
        expect(all.map((one) => index.find(one))).toEqual(all.map((one) => model.get(one) ?? -1));
        expect([...model.values()].map((slot) => index.pageOf(slot))).toEqual([...model.keys()]);
      }),
    );
  });

  test('pages whose numbers share their low 32 bits are told apart', () => {
    const index = new PageIndex();
    for (let at = 0; at < 1000; at++) expect(index.findOrAdd(7 + at * 2 ** 32)).toBe(at);
    for (let at = 0; at < 1000; at++) expect(index.find(7 + at * 2 ** 32)).toBe(at);
    expect(index.find(7 + 1000 * 2 ** 32)).toBe(-1);
  });

  test('grows to a hundred thousand pages and takes at most 34 bytes for each', () => {
    const index = new PageIndex();
    const count = 100_000;
    for (let at = 0; at < count; at++) index.findOrAdd(at * 3);
    for (let at = 0; at < count; at++)
      if (index.find(at * 3) !== at) throw new Error(`page ${at * 3}`);
    expect(index.find(1)).toBe(-1);
    expect(index.metadataBytes / count).toBeLessThan(34);
  });
});
