import { expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { TermRecord } from '@gannet/contract';
import { type Change, TermRetries } from '../../../src/daemon/terms/term-retries.js';
import { record } from '../../support/records.js';

// Writes that nobody asks for again, to a file that does not take them for a while.

function file(own: TermRecord): {
  retries: TermRetries;
  written: () => TermRecord;
  fails: (does: boolean) => void;
  tries: () => number;
} {
  let isFull = false;
  let tries = 0;
  let written = own;
  const retries = new TermRetries(async (change: Change) => {
    tries++;
    await Promise.resolve();
    const next = change(written);
    if (next && isFull) throw new Error('no space');
    if (next) written = { ...written, ...next };
  });
  return {
    ...{ retries, written: () => written, tries: () => tries },
    fails: (does) => (isFull = does),
  };
}

const to = (term: number): Change => {
  return (own) => (own.term === term ? undefined : { ...own, term });
};

test('what can be written is written once', async () => {
  const { retries, written, tries } = file(record('alone', 1));
  const troubles: unknown[] = [];
  await retries.insist('a', to(2), (error) => troubles.push(error)).done;
  expect(written().term).toBe(2);
  expect(tries()).toBe(1);
  expect(troubles).toEqual([]);
});

test('a full disk is told of once, and tried until there is room', async () => {
  const { retries, written, fails, tries } = file(record('alone', 1));
  const troubles: unknown[] = [];
  fails(true);
  const { tried, done } = retries.insist('a', to(2), (error) => troubles.push(error));
  await tried;
  expect(written().term).toBe(1);
  while (tries() < 3) await delay(5);
  fails(false);
  await done;
  expect(written().term).toBe(2);
  expect(troubles).toHaveLength(1);
});

test('of one thing the last wish counts, also one that comes during a write', async () => {
  const { retries, written, fails } = file(record('alone', 1));
  fails(true);
  const first = retries.insist('a', to(2), () => undefined);
  await first.tried;
  const second = retries.insist('a', to(3), () => undefined);
  fails(false);
  await second.done;
  expect(written().term).toBe(3);

  const third = retries.insist('a', to(4), () => undefined);
  await retries.insist('a', to(5), () => undefined).done;
  await third.done;
  expect(written().term).toBe(5);
});

test('what has nothing to change any more ends', async () => {
  const { retries, fails, tries } = file(record('alone', 1));
  fails(true);
  let isWanted = true;
  const change: Change = (own) => (isWanted ? { ...own, term: 2 } : undefined);
  const { tried, done } = retries.insist('a', change, () => undefined);
  await tried;
  isWanted = false;
  await done;
  expect(tries()).toBe(2);
});

test('at the end it is tried once more', async () => {
  const { retries, written, fails } = file(record('alone', 1));
  fails(true);
  const { tried, done } = retries.insist('a', to(2), () => undefined);
  const lost = retries.insist(
    'b',
    (own) => ({ ...own, term: 7 }),
    () => undefined,
  );
  await tried;
  await lost.tried;
  fails(false);
  await retries.close();
  await done;
  expect(written().term).toBeGreaterThan(1);

  fails(true);
  const failed = retries.insist('c', to(9), () => undefined);
  await retries.close();
  await expect(failed.done).rejects.toThrow('no space');
});
