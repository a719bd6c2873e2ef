import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { bootMs, MessageAge } from '../../../src/daemon/peer/message-age.js';

const LIMITS = { lowMs: 2000, highMs: 5000 };
const WIDEST_MS = 8000;

interface Seen {
  readonly beats: number;
  readonly begun: number;
}

/** Each connection is read every `turnMs`; a new one begins when one fails. */
function connections(age: MessageAge, turnMs: number, turns: number): Seen {
  let nowMs = 1000;
  let isOld = age.watch(nowMs);
  let seen: Seen = { beats: 0, begun: 1 };
  let isGreeted = false;
  for (let turn = 0; turn < turns; turn++) {
    nowMs += turnMs;
    if (isOld(nowMs, !isGreeted)) {
      isOld = age.watch(nowMs);
      isGreeted = false;
      seen = { ...seen, begun: seen.begun + 1 };
    } else {
      if (isGreeted) seen = { ...seen, beats: seen.beats + 1 };
      isGreeted = true;
    }
  }
  return seen;
}

describe('what is heard', () => {
  test('in time is read', () => {
    const isOld = new MessageAge(LIMITS).watch(0);
    expect(isOld(10, true)).toBe(false);
    expect([500, 1000, 2900].map((atMs) => isOld(atMs, false))).toEqual([false, false, false]);
  });

  test('after a long silence may be old, and so may all that follows on that connection', () => {
    const age = new MessageAge(LIMITS);
    const isOld = age.watch(0);
    expect(isOld(10, true)).toBe(false);
    expect(isOld(500, false)).toBe(false);
    expect([60_500, 60_501, 60_502].map((atMs) => isOld(atMs, false))).toEqual([true, true, true]);
    const isNextOld = age.watch(60_600);
    expect([isNextOld(60_610, true), isNextOld(60_620, false)]).toEqual([false, false]);
  });

  test('behind a hello that came late may be as old as the connection', () => {
    const isOld = new MessageAge(LIMITS).watch(0);
    expect(isOld(60_000, true)).toBe(false);
    expect(isOld(60_001, false)).toBe(true);
  });

  test('of a process whose turns all take long is read after a few connections', () => {
    for (const turnMs of [500, 1200, 2500, 3900]) {
      const { beats, begun } = connections(new MessageAge(LIMITS), turnMs, 100);
      expect(beats).toBeGreaterThan(80);
      expect(begun).toBeLessThanOrEqual(3);
    }
  });

  test('not at all: a connection is given up later and later', () => {
    const age = new MessageAge({ lowMs: 500, highMs: 5000 });
    expect(age.patienceMs).toBe(500);
    for (const patienceMs of [1000, 2000, 2500, 2500]) {
      age.failed(1000);
      expect(age.patienceMs).toBe(patienceMs);
    }
  });

  test('is never read after more than the widest limit', () => {
    const age = new MessageAge(LIMITS);
    expect(connections(age, WIDEST_MS + 1, 100).beats).toBe(0);
    expect(age.limitMs).toBe(WIDEST_MS);
  });

  test('in time for long enough has the usual limit again', () => {
    const age = new MessageAge(LIMITS);
    connections(age, 2500, 10);
    expect(age.limitMs).toBe(WIDEST_MS);
    const isOld = age.watch(100_000);
    for (let atMs = 100_500; atMs < 107_000; atMs += 500) isOld(atMs, false);
    expect(age.limitMs).toBe(2000);
  });
});

test('the clock is the one of the kernel that counts suspended time, proc(5)', () => {
  const kernelMs = (): number => 1000 * Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  const beforeMs = kernelMs();
  const nowMs = bootMs();
  expect(nowMs).toBeGreaterThanOrEqual(beforeMs);
  expect(nowMs).toBeLessThanOrEqual(kernelMs());
});
