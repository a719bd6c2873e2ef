import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PageSet } from '../src/page-set.js';

test('is a set, in ascending order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(199)), (pages) => {
      const set = new PageSet(200);
      set.addAll(pages);
      const expected = [...new Set(pages)].sort((a, b) => a - b);
      expect([...set]).toEqual(expected);
      expect(set.size).toBe(expected.length);
      for (let page = 0; page < 200; page++) expect(set.has(page)).toBe(expected.includes(page));
      expect([...set.batches(7)].flatMap((batch) => [...batch])).toEqual(expected);
      expect([...set.batches(7)].every(({ length }) => length <= 7)).toBe(true);
      set.clear();
      expect([...set]).toEqual([]);
      expect(set.size).toBe(0);
    }),
  );
});

test('has no page that there is not', () => {
  expect(() => new PageSet(33).add(33)).toThrow(RangeError);
});
