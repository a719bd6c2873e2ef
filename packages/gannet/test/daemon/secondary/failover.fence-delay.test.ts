import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FAILOVER_EVIDENCE, type FailoverReport } from '@gannet/contract';
import { ALL, HIGH_MS, OFF, Pair } from '../../support/failover-pair.js';

// `fence.delayMs`: the side that waits before it fences looks again before it does.

const DELAY_MS = 5000;

let pair: Pair;
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  pair = new Pair();
  pair.policy = { ...pair.policy, fenceDelayMs: DELAY_MS };
});
afterEach(() => {
  pair.controller.close();
  jest.useRealTimers();
});

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function waits(): Promise<void> {
  await settle();
  expect(pair.callsSince).toEqual([]);
  expect(pair.controller.state).toEqual({ phase: 'proving' });
}

async function delayIsOver(): Promise<void> {
  jest.advanceTimersByTime(DELAY_MS);
  await settle();
}

/** Why an operator's failover may fence. */
const SILENT = { liveness: 'lost' as const, silentMs: 3_600_000 };

describe('the policy', () => {
  beforeEach(async () => {
    pair.hearsNothing(3_600_000);
    await waits();
  });

  test('fences when the delay is over and nothing has changed', async () => {
    jest.advanceTimersByTime(DELAY_MS - 10);
    await waits();
    await delayIsOver();
    expect(pair.callsSince).toEqual(['fence', ...ALL]);
    expect(pair.kinds('failover-begins')).toMatchObject([{ evidence: FAILOVER_EVIDENCE.fence }]);
  });

  test('does not fence a primary that is heard again', async () => {
    pair.hears({ vm: 'ready' });
    await delayIsOver();
    expect(pair.callsSince).toEqual([]);
    expect(pair.controller.state).toEqual({ phase: 'idle' });
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual([]);
  });

  test('needs no fence once the word has come that the QEMU has ended', async () => {
    pair.hears({ vm: 'lost' });
    await settle();
    // At once: a proof waits for nothing.
    expect(pair.callsSince).toEqual(ALL);
    expect(pair.kinds('failover-begins')).toMatchObject([{ evidence: FAILOVER_EVIDENCE.word }]);
  });

  test('is overruled by an operator, who does not wait', async () => {
    const report = await pair.forced();
    expect(report).toMatchObject({ evidence: FAILOVER_EVIDENCE.operator });
    expect(pair.callsSince).toEqual(ALL);
  });

  test('ends with its daemon, and nothing happens any more', async () => {
    pair.controller.close();
    await settle();
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.called).toEqual([]);
    expect(pair.kinds('failover-begins')).toEqual([]);
  });

  test.each([
    ['whose own VM has ended', { ownVm: 'lost' as const }],
    ['that is in doubt', { doubt: 'no answer' }],
  ])('of a side %s does not fence', async (_what, change) => {
    pair.view = { ...pair.view, ...change };
    await delayIsOver();
    expect(pair.callsSince).toEqual([]);
  });
});

describe('an operator who asks without --force', () => {
  let asked: Promise<FailoverReport>;
  beforeEach(async () => {
    pair.policy = { ...pair.policy, isAutomatic: false };
    pair.view = { ...pair.view, peer: { ...pair.view.peer, ...SILENT } };
    asked = pair.controller.failOver(false);
    asked.catch(() => undefined);
    await waits();
  });

  test('has the primary fenced when the delay is over', async () => {
    await delayIsOver();
    expect(await asked).toMatchObject({ evidence: FAILOVER_EVIDENCE.fence });
    expect(pair.callsSince).toEqual(['fence', ...ALL]);
  });

  test('is refused when the primary is heard again', async () => {
    pair.hears({ vm: 'ready' });
    await delayIsOver();
    await expect(asked).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.called).toEqual([]);
  });

  test('gets the word that has come meanwhile', async () => {
    pair.hears({ vm: 'lost' });
    await settle();
    expect(await asked).toMatchObject({ evidence: FAILOVER_EVIDENCE.word });
    expect(pair.callsSince).toEqual(ALL);
  });

  test('may force it meanwhile', async () => {
    const report = await pair.forced();
    expect(await asked).toBe(report);
    expect(report).toMatchObject({ evidence: FAILOVER_EVIDENCE.operator });
    expect(pair.callsSince).toEqual(ALL);
  });

  test('is refused when the daemon ends', async () => {
    pair.controller.close();
    await expect(asked).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.called).toEqual([]);
  });

  test('is refused when nothing could run here any more, and nobody is fenced', async () => {
    pair.view = { ...pair.view, ownVm: 'lost' };
    await delayIsOver();
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('has ended') });
    expect(pair.called).toEqual([]);
  });
});

test('a daemon that ends while its own QEMU is freed does not take over', async () => {
  let free = (): void => undefined;
  pair.free = () => new Promise((resolve) => (free = () => resolve(true)));
  pair.policy = { ...pair.policy, fenceDelayMs: 0 };
  pair.view = { ...pair.view, ownVm: 'hung' };
  pair.hearsNothing(100 * HIGH_MS);
  await settle();
  expect(pair.callsSince).toEqual(['free']);
  pair.fence = () => Promise.resolve(OFF);
  pair.controller.close();
  free();
  await settle();
  expect(pair.callsSince).toEqual([]);
});
