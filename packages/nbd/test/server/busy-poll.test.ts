import { beforeEach, describe, expect, it } from '@jest/globals';
import { BusyPoll } from '../../src/server/busy-poll.js';

const FOR_MS = 0.1;
const LOOK_MS = 0.01;

let nowMs: number;
let due: (() => void)[];
let poll: BusyPoll;

beforeEach(() => {
  nowMs = 1000;
  due = [];
  poll = pollFor(FOR_MS);
});

function pollFor(ms: number): BusyPoll {
  return new BusyPoll(
    ms,
    () => nowMs,
    (run) => due.push(run),
  );
}

/**
 * The event loop as long as it is kept awake, at most `ms`. Returns how often it looked at its
 * sockets.
 */
function looksIn(ms: number): number {
  const endMs = nowMs + ms;
  let looks = 0;
  while (due.length > 0 && nowMs < endMs) {
    nowMs += LOOK_MS;
    for (const run of due.splice(0)) run();
    looks += 1;
  }
  nowMs = Math.max(nowMs, endMs);
  return looks;
}

/** An answer, and the next request after `ms`. */
function exchange(ms: number): number {
  poll.answered();
  const looks = looksIn(ms);
  poll.received();
  return looks;
}

describe('BusyPoll', () => {
  it('stays awake for a client that asks again at once, for the given interval', () => {
    expect(exchange(0.05)).toBe(0);
    expect(exchange(0.05)).toBeGreaterThanOrEqual(4);
    poll.answered();
    const looks = looksIn(10);
    expect(looks).toBeGreaterThanOrEqual(9);
    expect(looks).toBeLessThanOrEqual(11);
    expect(due).toEqual([]);
  });

  it('is not kept awake by slow ones', () => {
    for (let i = 0; i < 10; i++) expect(exchange(0.2)).toBe(0);
  });

  it('stops after four late requests, and starts again with one in time', () => {
    exchange(0.05);
    const looks = [...Array(6).keys()].map(() => exchange(1));
    expect(looks.map((count) => count > 0)).toEqual([true, true, true, true, false, false]);
    exchange(0.05);
    expect(exchange(0.05)).toBeGreaterThan(0);
  });

  it('has no more than one look under way, however many are answered', () => {
    exchange(0.05);
    for (let i = 0; i < 5; i++) poll.answered();
    expect(due).toHaveLength(1);
  });

  it('never polls with an interval of 0', () => {
    poll = pollFor(0);
    exchange(0.01);
    expect(exchange(0.01)).toBe(0);
  });
});
