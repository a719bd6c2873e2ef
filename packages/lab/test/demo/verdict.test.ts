import { describe, expect, test } from '@jest/globals';
import { FAILOVER_EVIDENCE } from '@gannet/contract';
import { type DemoMeasured, judge } from '../../src/demo/verdict.js';

const GOOD: DemoMeasured = {
  seed: 1,
  checkpoints: 10,
  gateClosedMs: { median: 1, p99: 2 },
  killToResumeMs: 40,
  killToFirstWriteMs: 50,
  failover: {
    ...{ evidence: FAILOVER_EVIDENCE.fence, epoch: 11 },
    ...{ takenOverMs: 30, durableMs: 40, movedMs: 60 },
  },
  guestWrites: { primaryAtKill: 100, secondaryAtFailover: 100, secondaryAtEnd: 101 },
  mismatches: 0,
  ioErrors: 0,
  primaryClean: true,
  secondaryClean: true,
  regions: 4,
  regionsEqual: 4,
};

describe('the verdict of the demonstration', () => {
  test('holds when all is well', () => {
    expect(judge(GOOD, 10)).toEqual([]);
  });

  test.each<[fault: string, change: Partial<DemoMeasured>]>([
    ['too few checkpoints', { checkpoints: 9 }],
    ['1 mismatches between disk and memory', { mismatches: 1 }],
    ['2 I/O errors in the guests', { ioErrors: 2 }],
    ["the primary's guest found something wrong", { primaryClean: false }],
    ["the secondary's guest found something wrong", { secondaryClean: false }],
    [
      'the secondary did not continue',
      { guestWrites: { primaryAtKill: 9, secondaryAtFailover: 100, secondaryAtEnd: 100 } },
    ],
    ['nothing was compared', { regions: 0, regionsEqual: 0 }],
    ['the base image differs from what the guest wrote', { regionsEqual: 3 }],
  ])('fails by itself: %s', (fault, change) => {
    expect(judge({ ...GOOD, ...change }, 10)).toEqual([fault]);
  });

  test('names every fault', () => {
    const faults = judge({ ...GOOD, mismatches: 3, regionsEqual: 0, secondaryClean: false }, 11);
    expect(faults).toHaveLength(4);
  });
});
