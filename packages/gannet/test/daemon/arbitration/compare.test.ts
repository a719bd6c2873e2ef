import { describe, expect, test } from '@jest/globals';
import { COPY_WORDS, type CopyWord } from '@gannet/contract';
import { compare, COMPARISON, type Standing } from '../../../src/daemon/arbitration/compare.js';
import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { record } from '../../support/records.js';

/** Each cell in its three columns: the own term is lower, the same, higher. */
const EXPECTED: Record<CopyWord, Record<CopyWord, readonly [Standing, Standing, Standing]>> = {
  none: {
    none: ['same', 'same', 'same'],
    protected: ['same', 'same', 'same'],
    leaving: ['same', 'same', 'same'],
    alone: ['same', 'same', 'same'],
    'taken-over': ['yield', 'yield', 'yield'],
    outdated: ['same', 'same', 'same'],
  },
  protected: {
    none: ['yielded', 'yielded', 'yielded'],
    protected: ['yield', 'same', 'prevail'],
    leaving: ['yield', 'same', 'prevail'],
    alone: ['yield', 'same', 'prevail'],
    'taken-over': ['yield', 'yield', 'prevail'],
    outdated: ['yielded', 'yielded', 'yielded'],
  },
  leaving: {
    none: ['yielded', 'yielded', 'yielded'],
    protected: ['yield', 'same', 'prevail'],
    leaving: ['yield', 'same', 'prevail'],
    alone: ['yield', 'same', 'prevail'],
    'taken-over': ['yield', 'yield', 'prevail'],
    outdated: ['yielded', 'yielded', 'yielded'],
  },
  alone: {
    none: ['yielded', 'yielded', 'yielded'],
    protected: ['yield', 'same', 'prevail'],
    leaving: ['yield', 'same', 'prevail'],
    alone: ['yield', 'same', 'prevail'],
    'taken-over': ['yield', 'yield', 'prevail'],
    outdated: ['yielded', 'yielded', 'yielded'],
  },
  'taken-over': {
    none: ['yielded', 'yielded', 'yielded'],
    protected: ['yield', 'prevail', 'prevail'],
    leaving: ['yield', 'prevail', 'prevail'],
    alone: ['yield', 'prevail', 'prevail'],
    'taken-over': ['yield', 'same', 'prevail'],
    outdated: ['yielded', 'yielded', 'yielded'],
  },
  outdated: {
    none: ['same', 'same', 'same'],
    protected: ['same', 'same', 'same'],
    leaving: ['same', 'same', 'same'],
    alone: ['same', 'same', 'same'],
    'taken-over': ['same', 'same', 'same'],
    outdated: ['same', 'same', 'same'],
  },
};

describe.each(COPY_WORDS)('a primary that says %s', (own) => {
  test.each(COPY_WORDS)('and a peer that says %s', (peer) => {
    const verdicts = [1, 2, 3].map((term) =>
      compare('primary', record(own, term), record(peer, 2)),
    );
    expect(verdicts).toEqual(EXPECTED[own][peer]);
  });
});

describe('a comparison', () => {
  test('is the same from both sides: never do both yield, or both prevail', () => {
    const both = COPY_WORDS.flatMap((own) => COPY_WORDS.map((peer) => [own, peer] as const));
    for (const [own, peer] of both) {
      for (const [terms, forced] of [
        [1, false],
        [2, false],
        [3, false],
        [2, true],
      ] as const) {
        const primary = record(own, terms, { isForced: forced });
        const secondary = record(peer, 2);
        const one = compare('primary', primary, secondary);
        const other = compare('secondary', secondary, primary);
        const seen = [one, other].sort().join(' ');
        expect(seen).not.toMatch(/yield yield$|prevail prevail/);
        // Whoever prevails is obeyed, unless the other side remembers nothing.
        if (one === 'prevail') expect(other).toBe('yield');
        if (other === 'prevail') expect(one).toBe('yield');
      }
    }
  });

  test('of equal terms: what was forced, then who has taken over', () => {
    const alone = record('alone', 4);
    const takenOver = record('taken-over', 4);
    const forced = { isForced: true };
    expect(compare('primary', alone, takenOver)).toBe('yield');
    expect(compare('secondary', takenOver, alone)).toBe('prevail');
    expect(compare('primary', { ...alone, ...forced }, takenOver)).toBe('prevail');
    expect(compare('secondary', takenOver, { ...alone, ...forced })).toBe('yield');
    expect(compare('primary', { ...alone, ...forced }, { ...takenOver, ...forced })).toBe('yield');
  });

  test('of two VMs says nothing, whatever the terms', () => {
    const other = record('taken-over', 9, { lineage: 'b2' });
    expect(compare('primary', record('protected', 1), other)).toBe('foreign');
    expect(compare('primary', { ...BLANK }, other)).toBe('yield');
  });

  test('a new secondary does not mind the survivor that it will protect', () => {
    expect(compare('secondary', BLANK, record('taken-over', 3))).toBe('same');
  });

  test('has a cell for all words', () => {
    for (const own of COPY_WORDS) expect(Object.keys(COMPARISON[own])).toEqual([...COPY_WORDS]);
  });
});
