import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PageIndex } from '../../src/memory/page-index.js';

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

  test('never grows by much at once: adding a page does not cost all those before', () => {
    const index = new PageIndex();
    let before = index.metadataBytes;
    let most = 0;
    for (let at = 0; at < 300_000; at++) {
      index.findOrAdd(at * 77);
      most = Math.max(most, index.metadataBytes - before);
      before = index.metadataBytes;
    }
    // A table of 32 KiB is split, a piece of the list of pages begun, the directory doubled.
    expect(most).toBeLessThan(192 * 1024);
    expect(index.metadataBytes / index.count).toBeLessThan(20);
  });

  test('consecutive pages fill all tables evenly, but split one at a time', () => {
    const index = new PageIndex();
    let most = 0;
    for (let at = 0; at < 300_000; at += 256) {
      const before = index.metadataBytes;
      for (let page = at; page < at + 256; page++) index.findOrAdd(page);
      if (at > 0) most = Math.max(most, index.metadataBytes - before);
    }
    // A few tables of 32 KiB, and a piece of the list of pages.
    expect(most).toBeLessThan(128 * 1024 + 6 * 32 * 1024);
  });

  test('pages whose hashes agree in more bits than tables are told apart by', () => {
    const index = new PageIndex();
    // The hash takes the lower half, and a multiple of the upper: these are the pages that it can't
    // tell apart.
    const alike = Array.from({ length: 5000 }, (_, at) => {
      const low = Math.imul(at, 0x85ebca6b) >>> 0;
      return at * 2 ** 32 + low;
    });
    for (const [at, page] of alike.entries()) expect(index.findOrAdd(page)).toBe(at);
    for (const [at, page] of alike.entries()) expect(index.find(page)).toBe(at);
    expect(index.find(5000 * 2 ** 32)).toBe(-1);
    // It does not take a table for each bit of the hash.
    expect(index.metadataBytes / alike.length).toBeLessThan(2000);
  });
});
