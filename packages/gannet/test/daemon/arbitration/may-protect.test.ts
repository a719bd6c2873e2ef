/** Each cell of the decision of `protection: automatic`. */
import { describe, expect, test } from '@jest/globals';
import { PRIMARY_STATES, SECONDARY_STATES, WAIT_REASONS } from '@gannet/contract';
import {
  ATTEMPTS_PER_HOUR,
  begun,
  BY_STATE,
  ended,
  NO_ATTEMPTS,
  PAUSES_MS,
  protectionStep,
  type ProtectionView,
} from '../../../src/daemon/arbitration/may-protect.js';

const HOUR_MS = 3_600_000;
const READY: ProtectionView = {
  ...{ state: 'alone', hasVm: true, isDetached: false, isBusy: false, hasWay: true },
  ...{ secondary: 'ready', attempts: NO_ATTEMPTS, nowMs: 0 },
};
const because = (view: Partial<ProtectionView>): unknown => {
  const step = protectionStep({ ...READY, ...view });
  return step.kind === 'wait' ? step.why : step.kind === 'begin' ? step.how : step.kind;
};

describe('with nothing in the way, by state', () => {
  const expected = {
    unknown: 'in-doubt',
    unprotected: 'protect',
    protecting: 'none',
    protected: 'none',
    alone: 'protect',
    held: 'in-doubt',
    yielding: 'no-guest',
    ended: 'no-guest',
    superseded: 'outdated',
    seeding: 'none',
    'failed-over': 'moving',
    retired: 'reprotect',
    diverged: 'none',
  } as const;
  test.each([...new Set([...PRIMARY_STATES, ...SECONDARY_STATES])])('%s', (state) => {
    expect(because({ state })).toBe(expected[state]);
  });
});

/** Each obstacle alone; together, the first of them counts. */
const OBSTACLES: readonly (readonly [string, Partial<ProtectionView>])[] = [
  ['no-guest', { hasVm: false }],
  ['detached', { isDetached: true }],
  ['busy', { isBusy: true }],
  ['no-way', { hasWay: false }],
  ['no-secondary', { secondary: 'silent' }],
  ['failed', { attempts: { begunMs: [0], failures: 1, failedMs: 0 } }],
];

describe.each(['unprotected', 'alone', 'retired'] as const)('a VM that is %s waits', (state) => {
  test.each(OBSTACLES)('%s', (why, view) => {
    expect(because({ state, ...view })).toBe(why);
  });
  test('for a secondary that is there, and of no use', () => {
    expect(because({ state, secondary: 'unready' })).toBe('secondary-unready');
  });
  test.each(OBSTACLES.map(([why], at) => [why, at] as const))('%s comes first', (why, at) => {
    const all = OBSTACLES.slice(at).reduce((view, [, more]) => ({ ...view, ...more }), {});
    expect(because({ state, ...all })).toBe(why);
  });
});

test.each(Object.entries(BY_STATE).filter(([, how]) => !/protect$/.test(how)))(
  'no obstacle changes what %s comes to',
  (state, how) => {
    for (const [, view] of OBSTACLES) {
      expect(because({ state: state as ProtectionView['state'], ...view })).toBe(how);
    }
  },
);

test('every reason can be met', () => {
  const met = new Set([
    ...Object.values(BY_STATE),
    ...OBSTACLES.map(([why]) => why),
    ...['secondary-unready', 'too-often'],
  ]);
  expect(WAIT_REASONS.filter((why) => !met.has(why))).toEqual([]);
});

describe('pauses', () => {
  test('grow with each failure in a row, up to the last one', () => {
    let attempts = NO_ATTEMPTS;
    for (const [at, pauseMs] of [...PAUSES_MS, PAUSES_MS.at(-1) ?? 0].entries()) {
      const failedMs = at * HOUR_MS;
      attempts = ended(begun(attempts, failedMs), true, failedMs);
      const before = protectionStep({ ...READY, attempts, nowMs: failedMs + pauseMs - 1 });
      expect(before).toEqual({ kind: 'wait', why: 'failed', untilMs: failedMs + pauseMs });
      expect(because({ attempts, nowMs: failedMs + pauseMs })).toBe('protect');
    }
  });

  test('are forgotten after a success, what has begun is not', () => {
    const failed = ended(begun(NO_ATTEMPTS, 1), true, 2);
    expect(ended(begun(failed, 3), false, 4)).toEqual({
      ...{ begunMs: [1, 3], failures: 0, failedMs: 0 },
    });
  });

  test(`no more than ${ATTEMPTS_PER_HOUR} attempts begin in any hour`, () => {
    let attempts = NO_ATTEMPTS;
    const beganMs: number[] = [];
    for (let nowMs = 0; nowMs < 5 * HOUR_MS; nowMs += 1000) {
      const step = protectionStep({ ...READY, attempts, nowMs });
      if (step.kind !== 'begin') {
        expect(step).toMatchObject({ why: 'too-often' });
        continue;
      }
      beganMs.push(nowMs);
      // It is protected at once, and loses its secondary again at once.
      attempts = ended(begun(attempts, nowMs), false, nowMs);
    }
    for (const fromMs of beganMs) {
      const within = beganMs.filter((ms) => ms >= fromMs && ms < fromMs + HOUR_MS);
      expect(within.length).toBeLessThanOrEqual(ATTEMPTS_PER_HOUR);
    }
    expect(beganMs.length).toBe(5 * ATTEMPTS_PER_HOUR);
  });

  test('a copy that always fails is tried less than once in ten minutes after a while', () => {
    let attempts = NO_ATTEMPTS;
    const beganMs: number[] = [];
    for (let nowMs = 0; nowMs < 4 * HOUR_MS; nowMs += 1000) {
      if (protectionStep({ ...READY, attempts, nowMs }).kind !== 'begin') continue;
      beganMs.push(nowMs);
      attempts = ended(begun(attempts, nowMs), true, nowMs);
    }
    const later = beganMs.slice(PAUSES_MS.length);
    expect(later.length).toBeGreaterThan(10);
    for (const [at, ms] of later.slice(1).entries()) {
      expect(ms - (later[at] ?? 0)).toBeGreaterThanOrEqual(PAUSES_MS.at(-1) ?? 0);
    }
  });
});
