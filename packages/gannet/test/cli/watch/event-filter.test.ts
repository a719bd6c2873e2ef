import { describe, expect, test } from '@jest/globals';
import type { DaemonEvent } from '@gannet/contract/events';
import {
  foldRoutine,
  isEventKind,
  parseMoment,
  passes,
} from '../../../src/cli/watch/event-filter.js';

const NOW = Date.parse('2026-03-04T12:00:00Z');
const at = (minute: number): string => new Date(NOW + 60_000 * minute).toISOString();
const trouble = (minute: number): DaemonEvent => ({
  ...{ at: at(minute), role: 'primary', kind: 'trouble', code: 'X', message: 'm', remedy: 'r' },
});
const reloaded = (minute: number): DaemonEvent => ({
  ...{ at: at(minute), role: 'primary', kind: 'reloaded', changed: ['k'] },
});
const commit = (minute: number, epoch: number): DaemonEvent => ({
  ...{ at: at(minute), role: 'secondary', kind: 'commit', epoch, committedPages: 1 },
  ...{ droppedPages: 0, gateClosedMs: 1, checkpointMs: 1, unflushedWrites: 0, provisional: false },
});

describe('the events that are asked for', () => {
  test.each([
    [{}, true],
    [{ sinceMs: NOW, untilMs: NOW }, true],
    [{ sinceMs: NOW + 1 }, false],
    [{ untilMs: NOW - 1 }, false],
    [{ kinds: ['trouble', 'commit'] }, true],
    [{ kinds: ['commit'] }, false],
    [{ level: 'error' }, true],
  ] as const)('%j: an error at noon passes: %s', (filter, isIn) => {
    expect(passes(trouble(0), filter)).toBe(isIn);
  });

  test('have the level that was named, or a higher one', () => {
    expect(passes(reloaded(0), { level: 'info' })).toBe(true);
    expect(passes(reloaded(0), { level: 'warn' })).toBe(false);
    expect(passes(commit(0, 1), { level: 'debug' })).toBe(true);
    expect(passes(commit(0, 1), { level: 'info' })).toBe(false);
  });

  test('are of a kind that there is', () => {
    expect(['trouble', 'comit', 'commit'].map(isEventKind)).toEqual([true, false, true]);
  });
});

test('what comes with every checkpoint is folded, as long as nothing else happens', () => {
  const [first, second, third] = [commit(0, 1), commit(1, 2), commit(3, 3)];
  expect(foldRoutine([reloaded(0), first, second, trouble(2), third])).toEqual([
    reloaded(0),
    { first, last: second, events: 2 },
    trouble(2),
    { first: third, last: third, events: 1 },
  ]);
});

describe('a moment', () => {
  test.each([
    ['90s', NOW - 90_000],
    ['10m', NOW - 600_000],
    ['2h', NOW - 7_200_000],
    ['3d', NOW - 259_200_000],
    ['2026-03-04T11:00:00Z', NOW - 3_600_000],
    ['2026-03-04T12:00+01:00', NOW - 3_600_000],
    ['2026-03-04 07:30', new Date(2026, 2, 4, 7, 30).getTime()],
    ['2026-03-04', new Date(2026, 2, 4).getTime()],
  ])('%s', (text, ms) => {
    expect(parseMoment(text, NOW)).toBe(ms);
  });

  test.each(['', 'yesterday', '10', '10 m', '-5m', '2026-13-01', '04.03.2026'])(
    '%j is none',
    (text) => {
      expect(parseMoment(text, NOW)).toBeUndefined();
    },
  );
});
