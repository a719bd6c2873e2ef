import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CheckpointWatch } from '../../../src/daemon/primary/checkpoint-watch.js';
import { SuspendAwareTimer } from '../../../src/daemon/suspend-aware-timer.js';
import { PeerLiveness, type LivenessState } from '../../../src/daemon/peer/peer-liveness.js';

// What a process that was halted makes of the time in which it could hear nothing.

const LIMITS = { lowMs: 800, highMs: 2000 };
const CHECK_MS = LIMITS.lowMs / 10;

describe('the pulse', () => {
  function begun(): {
    pulse: PeerLiveness;
    states: LivenessState[];
    awake: (fromMs: number, ms: number) => number;
  } {
    const states: LivenessState[] = [];
    const pulse = new PeerLiveness(LIMITS, (state) => states.push(state));
    pulse.heard(0);
    const awake = (fromMs: number, ms: number): number => {
      for (let now = fromMs; now <= fromMs + ms; now += CHECK_MS) pulse.check(now);
      return fromMs + ms;
    };
    return { pulse, states, awake };
  }

  test('silence is late, then lost, and the next sign of life ends it', () => {
    const { pulse, states, awake } = begun();
    awake(0, LIMITS.lowMs);
    expect(states).toEqual(['up', 'late']);
    const now = awake(LIMITS.lowMs, LIMITS.highMs - LIMITS.lowMs);
    expect(states).toEqual(['up', 'late', 'lost']);
    expect(pulse.silentMs(now)).toBe(LIMITS.highMs);
    pulse.heard(now);
    expect(states.at(-1)).toBe('up');
  });

  test('who slept has heard no silence', () => {
    const { pulse, states, awake } = begun();
    const halted = awake(0, 240);
    const woken = halted + 60_000;
    expect(pulse.silentMs(woken)).toBe(240);
    pulse.check(woken);
    expect(states).toEqual(['up']);
    // From then on it counts again.
    awake(woken, LIMITS.highMs - 240);
    expect(states).toEqual(['up', 'late', 'lost']);
  });

  test('what may be old keeps nobody up, and is not given up yet', () => {
    const { pulse, states, awake } = begun();
    const late = awake(0, LIMITS.highMs - CHECK_MS);
    pulse.stirred(late);
    const now = awake(late, LIMITS.highMs - CHECK_MS);
    expect(states).toEqual(['up', 'late']);
    awake(now, CHECK_MS);
    expect(states).toEqual(['up', 'late', 'lost']);
    pulse.stirred(now + CHECK_MS);
    expect(states.at(-1)).toBe('lost');
  });

  test('sleep makes a loss no older', () => {
    const { pulse, states, awake } = begun();
    const lost = awake(0, LIMITS.highMs);
    expect(states.at(-1)).toBe('lost');
    expect(pulse.silentMs(lost + 60_000)).toBe(LIMITS.highMs);
  });
});

describe('a countdown', () => {
  let now = 0;
  const pass = (ms: number): void => {
    now += ms;
    jest.advanceTimersByTime(100);
  };

  beforeEach(() => {
    now = 0;
    jest.useFakeTimers();
  });
  afterEach(() => void jest.useRealTimers());

  function count(): { ended: () => boolean; countdown: SuspendAwareTimer } {
    let hasEnded = false;
    const countdown = new SuspendAwareTimer(
      1000,
      () => (hasEnded = true),
      () => now,
    );
    return { countdown, ended: () => hasEnded };
  }

  test('ends when its time is over', () => {
    const { ended } = count();
    for (let at = 0; at < 9; at++) pass(100);
    expect(ended()).toBe(false);
    pass(100);
    expect(ended()).toBe(true);
  });

  test('stands still while the process does, and gives who wakes up time to read', () => {
    const { ended } = count();
    for (let at = 0; at < 9; at++) pass(100);
    pass(60_000);
    expect(ended()).toBe(false);
    pass(100);
    expect(ended()).toBe(true);
  });

  test('can be stopped', () => {
    const { countdown, ended } = count();
    countdown.stop();
    for (let at = 0; at < 20; at++) pass(100);
    expect(ended()).toBe(false);
  });

  test('a watch that is restarted in time says nothing', () => {
    const stalls: number[] = [];
    const watch = new CheckpointWatch(
      () => 1000,
      (limitMs) => stalls.push(limitMs),
    );
    for (let at = 0; at < 3; at++) {
      watch.restart();
      jest.advanceTimersByTime(900);
    }
    expect(stalls).toEqual([]);
    jest.advanceTimersByTime(200);
    expect(stalls).toEqual([1000]);
    watch.stop();
  });
});
