import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { PrimaryStatus } from '@gannet/contract';
import { HealthWatch } from '../../src/daemon/health-watch.js';
import { PRIMARY } from '../support/statuses.js';

/** The daemon's status, which nobody asks for, and the verdicts of which it told. */
let status: PrimaryStatus;
let told: string[];
let health: HealthWatch;
let since: string | undefined;

beforeEach(() => {
  jest.useFakeTimers({ now: new Date('2026-01-01T10:00:00Z') });
  [status, told, since] = [{ ...PRIMARY, state: 'unprotected' }, [], undefined];
  health = new HealthWatch({
    look: () => {
      since = health.judge(status).health.since;
      return Promise.resolve();
    },
    onChange: ({ code }, was) => told.push(`${was ?? 'nothing'} -> ${code}`),
  });
  health.start();
});
afterEach(() => {
  health.close();
  jest.useRealTimers();
});

describe('the verdict on a VM', () => {
  test('is judged at the beginning, and told', () => {
    expect(told).toEqual(['nothing -> unprotected']);
    expect(since).toBe('2026-01-01T10:00:00.000Z');
  });

  test('begins when it changes, although nobody asks until much later', () => {
    jest.setSystemTime(new Date('2026-01-01T11:00:00Z'));
    status = { ...status, primaryVm: 'lost' };
    health.lookSoon();
    jest.advanceTimersByTime(1);
    jest.setSystemTime(new Date('2026-01-01T12:00:00Z'));
    expect(health.judge(status).health).toMatchObject({
      code: 'down',
      since: '2026-01-01T11:00:00.000Z',
    });
    expect(told).toEqual(['nothing -> unprotected', 'unprotected -> down']);
  });

  test('is judged without any event too, and told once', () => {
    status = { ...status, primaryVm: 'lost' };
    jest.advanceTimersByTime(10_000);
    expect(told.slice(1)).toEqual(['unprotected -> down']);
    expect(since).toBe('2026-01-01T10:00:01.000Z');
  });

  test('of a change in many parts is the one at its end', () => {
    status = { ...status, primaryVm: 'lost' };
    health.lookSoon();
    status = { ...status, primaryVm: 'ready' };
    health.lookSoon();
    jest.advanceTimersByTime(1);
    expect(told.slice(1)).toEqual([]);
  });

  test('is not judged any more once the daemon closes', () => {
    health.lookSoon();
    health.close();
    status = { ...status, primaryVm: 'lost' };
    health.lookSoon();
    jest.advanceTimersByTime(10_000);
    expect(told.slice(1)).toEqual([]);
  });
});
