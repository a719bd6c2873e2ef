import { describe, expect, it } from '@jest/globals';
import {
  joined,
  judgeSuspect,
  type SuspectState,
  type SuspectVerdict,
  touches,
} from '../../../src/daemon/verify/suspect.js';

describe('the table of suspects', () => {
  const cells: [SuspectState, equal: boolean, arrived: boolean, SuspectVerdict][] = [
    ['suspect', true, false, 'agrees'],
    ['suspect', true, true, 'agrees'],
    ['suspect', false, true, 'in flight'],
    ['suspect', false, false, 'doubtful'],
    ['doubtful', true, false, 'agrees'],
    ['doubtful', true, true, 'agrees'],
    ['doubtful', false, true, 'in flight'],
    ['doubtful', false, false, 'wrong'],
  ];
  it.each(cells)('%s, equal: %s, arrived: %s: %s', (state, isEqual, hasArrived, verdict) => {
    expect(judgeSuspect(state, { isEqual, hasArrived })).toBe(verdict);
  });
});

it('runs that meet are joined', () => {
  expect(joined([])).toEqual([]);
  expect(
    joined([
      [0, 512],
      [512, 1024],
      [2048, 2560],
    ]),
  ).toEqual([
    [0, 1024],
    [2048, 2560],
  ]);
});

it('a run touches what it shares a byte with', () => {
  const runs = [[100, 200]] as const;
  expect(touches(runs, 0, 100)).toBe(false);
  expect(touches(runs, 0, 101)).toBe(true);
  expect(touches(runs, 199, 300)).toBe(true);
  expect(touches(runs, 200, 300)).toBe(false);
});
