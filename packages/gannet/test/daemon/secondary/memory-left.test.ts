import { expect, test } from '@jest/globals';
import { memoryLeft, RATE_OVER_MS, withSample } from '../../../src/daemon/secondary/memory-left.js';

const ROOM = { softBytes: 400, hardBytes: 1000, spillBytes: 0 };
const at = (atMs: number, bytes: number) => ({ atMs, bytes });

test.each([
  ['nothing is known yet', [], ROOM, null, null],
  ['one sample is no rate', [at(0, 100)], ROOM, null, null],
  ['it grows', [at(0, 100), at(10_000, 200)], ROOM, 20, 80],
  [
    'the present rate is that of all samples',
    [at(0, 0), at(1, 150), at(10_000, 200)],
    ROOM,
    10,
    40,
  ],
  ['it stays', [at(0, 100), at(10_000, 100)], ROOM, null, null],
  ['it shrinks', [at(0, 200), at(10_000, 100)], ROOM, null, null],
  ['soft is reached', [at(0, 300), at(10_000, 500)], ROOM, 0, 25],
  ['both are reached, and nothing grows', [at(0, 1000), at(10_000, 1000)], ROOM, 0, 0],
  ['a spill file', [at(0, 0), at(10_000, 200)], { ...ROOM, spillBytes: 1000 }, 10, 90],
] as const)('%s', (_what, samples, room, softSeconds, hardSeconds) => {
  expect(memoryLeft(samples, room)).toEqual({ softSeconds, hardSeconds });
});

test('what is too old for the present rate is left out', () => {
  const samples = withSample([at(0, 1), at(1000, 2)], at(RATE_OVER_MS + 1, 3));
  expect(samples).toEqual([at(1000, 2), at(RATE_OVER_MS + 1, 3)]);
});
