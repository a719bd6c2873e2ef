import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RangeSet } from '../src/range-set.js';

const UNIVERSE = 64;
const step = fc.record({
  kind: fc.constantFrom('add' as const, 'remove' as const),
  start: fc.nat(UNIVERSE),
  length: fc.nat(UNIVERSE / 2),
});

describe('RangeSet', () => {
  test('does what a set of numbers does, and stays sorted, disjoint and coalesced', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const set = new RangeSet();
        const model = new Set<number>();
        for (const { kind, start, length } of steps) {
          set[kind](start, start + length);
          for (let at = start; at < start + length; at++) {
            if (kind === 'add') model.add(at);
            else model.delete(at);
          }
          expectEqual(set, model);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('an empty range changes nothing', () => {
    const set = new RangeSet();
    set.add(5, 5);
    expect(set.isEmpty).toBe(true);
    set.add(1, 9);
    set.remove(5, 5);
    set.remove(7, 3);
    expect([...set.runs()]).toEqual([[1, 9]]);
  });

  test('holds numbers beyond 32 bits', () => {
    const set = new RangeSet();
    set.add(2 ** 40, 2 ** 40 + 10);
    expect(set.runEnd(2 ** 40 + 3)).toBe(2 ** 40 + 10);
    expect(set.nextStart(0)).toBe(2 ** 40);
    expect(set.nextStart(2 ** 41)).toBe(Infinity);
  });
});

function expectEqual(set: RangeSet, model: ReadonlySet<number>): void {
  const runs: [number, number][] = [];
  let end = -1;
  for (const at of [...model].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && at === end) last[1]++;
    else runs.push([at, at + 1]);
    end = at + 1;
  }
  expect([...set.runs()]).toEqual(runs);
  expect(set.runCount).toBe(runs.length);
  expect(set.isEmpty).toBe(runs.length === 0);
  const asked: number[] = [];
  const wanted: number[] = [];
  for (let at = 0; at < 2 * UNIVERSE; at++) {
    asked.push(Number(set.has(at)), set.runEnd(at), set.nextStart(at));
    const within = runs.find(([start, stop]) => start <= at && at < stop);
    const next = runs.find(([, stop]) => stop > at);
    wanted.push(Number(model.has(at)), within?.[1] ?? at, next ? Math.max(at, next[0]) : Infinity);
  }
  expect(asked).toEqual(wanted);
}
