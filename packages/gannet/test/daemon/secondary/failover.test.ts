import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FAILOVER_EVIDENCE } from '@gannet/contract';
import {
  ALL,
  BUSY,
  hangingFence,
  HIGH_MS,
  OFF,
  Pair,
  type Step,
} from '../../support/failover-pair.js';

let pair: Pair;
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  pair = new Pair();
});
afterEach(() => {
  pair.controller.close();
  jest.useRealTimers();
});

/** Until everything that needs no time has happened. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('who asks', () => {
  test('is refused without proof', async () => {
    await expect(pair.controller.failOver(false)).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringContaining('nothing proves'),
    });
    expect(pair.called).toEqual([]);
    expect(pair.controller.state).toEqual({ phase: 'idle' });
  });

  test('and forces it has it done, and the same answer again', async () => {
    const report = await pair.forced();
    expect(report).toMatchObject({ epoch: 7, evidence: FAILOVER_EVIDENCE.operator });
    expect(pair.callsSince).toEqual(ALL);
    expect(await pair.controller.failOver(false)).toBe(report);
    expect(pair.callsSince).toEqual([]);
    expect(pair.kinds('failover-begins', 'failover-done')).toHaveLength(2);
  });

  test('after the survivor has ended is told so, and what to start', async () => {
    await pair.forced();
    const replica = { ...pair.view.replica, state: 'retired' } as const;
    pair.view = { ...pair.view, replica, ownVm: 'lost' };
    for (const force of [false, true]) {
      await expect(pair.controller.failOver(force, undefined, force)).rejects.toMatchObject({
        code: 'GANNET_REFUSED',
        message: expect.stringMatching(/has taken over on this host, and its QEMU has ended/),
        remedy: expect.stringContaining('start the VM from the local disks'),
      });
    }
    pair.view = { ...pair.view, replica: { ...replica, state: 'failed-over' } };
    await expect(pair.controller.failOver(false)).rejects.toMatchObject({
      remedy: expect.stringContaining('run `gannet recover web`'),
    });
  });

  test('and forces it has to say more if the primary is well', async () => {
    await expect(pair.controller.failOver(true)).rejects.toMatchObject({
      message: expect.stringMatching(/is well: .* it is protected \(term 3, protected\)/),
      remedy: expect.stringContaining('--overrule-peer'),
    });
    expect(pair.called).toEqual([]);
    pair.view = { ...pair.view, peer: { ...pair.view.peer, liveness: 'lost' } };
    await pair.controller.failOver(true);
    expect(pair.callsSince).toEqual(ALL);
  });

  test('is refused if the claim cannot be written, and nothing has happened', async () => {
    pair.fails.set('claim', new Error('ENOSPC'));
    await expect(pair.forced()).rejects.toThrow('ENOSPC');
    expect(pair.callsSince).toEqual(['claim']);
    expect(pair.kinds('failover-begins')).toEqual([]);
    pair.fails.clear();
    await pair.forced();
    expect(pair.callsSince).toEqual(ALL);
  });

  test('while another has asked gets the same answer', async () => {
    const both = [pair.forced(), pair.controller.failOver(false)];
    const [one, other] = await Promise.all(both);
    expect(one).toBe(other);
    expect(pair.callsSince).toEqual(ALL);
  });

  test('with force overrules a fence that hangs, and stops it', async () => {
    const { run } = hangingFence();
    pair.fence = run;
    pair.view = { ...pair.view, coloExit: 'error' };
    const first = pair.controller.failOver(false);
    await settle();
    expect(pair.callsSince).toEqual(['fence']);
    const [one, other] = await Promise.all([first, pair.forced()]);
    expect(one).toBe(other);
    expect(one).toMatchObject({ evidence: FAILOVER_EVIDENCE.operator });
    expect(pair.callsSince).toEqual(ALL);
    // It has not failed: nobody is to be called for it.
    expect(pair.kinds('fence')).toEqual([]);
  });

  test('with force overrules the fence of the policy, too', async () => {
    pair.fence = hangingFence().run;
    pair.hears({ vm: 'hung' });
    await settle();
    expect(await pair.forced()).toMatchObject({
      evidence: FAILOVER_EVIDENCE.operator,
    });
  });

  test('after a forced one was refused is not forced by it', async () => {
    pair.view = { ...pair.view, doubt: 'no answer' };
    await expect(pair.forced()).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    pair.view = { ...pair.view, doubt: undefined };
    await expect(pair.controller.failOver(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.called).toEqual([]);
  });

  test('gets the proof that has come while its fence failed', async () => {
    const { run, end } = hangingFence();
    pair.fence = run;
    pair.view = { ...pair.view, coloExit: 'error' };
    const asked = pair.controller.failOver(false);
    await settle();
    pair.hears({ vm: 'lost' });
    end(BUSY);
    expect(await asked).toMatchObject({ evidence: FAILOVER_EVIDENCE.word });
  });

  test('keeps why its fence failed until there is proof', async () => {
    pair.fence = () => Promise.resolve(BUSY);
    pair.view = { ...pair.view, coloExit: 'error' };
    await expect(pair.controller.failOver(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.controller.fenceFailure).toBe(BUSY.words);
    await pair.forced();
    expect(pair.controller.fenceFailure).toBeUndefined();
  });
});

describe('who could not run does not fence', () => {
  test.each([
    ['in doubt', { doubt: 'no answer' }],
    ['its own VM has ended', { ownVm: 'lost' as const }],
    ['its own VM is unusable', { ownVm: 'unusable' as const }],
  ])('%s', async (_what, change) => {
    pair.view = { ...pair.view, ...change };
    pair.hears({ vm: 'hung' });
    pair.hearsNothing(3_600_000);
    await settle();
    expect(pair.called).toEqual([]);
    await expect(pair.forced()).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.called).toEqual([]);
  });

  test('its own VM hangs though its links are cut', async () => {
    pair.isFreed = false;
    pair.view = { ...pair.view, ownVm: 'hung' };
    pair.hearsNothing(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual(['free']);
    expect(pair.kinds('fence')).toEqual([]);
    await expect(pair.forced()).rejects.toMatchObject({
      message: expect.stringContaining('is hung'),
    });
  });

  test('its own VM hangs, which this daemon did not notice: it was halted, too', async () => {
    pair.doesAnswer = false;
    pair.isFreed = false;
    pair.hears({ vm: 'hung' });
    await settle();
    expect(pair.callsSince).toEqual(['free']);
    expect(pair.kinds('fence')).toEqual([]);
    expect(pair.kinds('trouble')).toMatchObject([
      { message: expect.stringContaining('the secondary VM is hung') },
    ]);
  });

  test('its own VM hung on its links, and is freed', async () => {
    pair.view = { ...pair.view, ownVm: 'hung' };
    pair.hearsNothing(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual(['free', 'fence', ...ALL]);
  });

  test('its own VM ended while the fence ran: nothing but the fence happens', async () => {
    const { run, end } = hangingFence();
    pair.fence = run;
    pair.hears({ vm: 'hung' });
    await settle();
    pair.view = { ...pair.view, ownVm: 'lost' };
    end(OFF);
    await settle();
    expect(pair.callsSince).toEqual(['fence']);
    expect(pair.kinds('fence')).toMatchObject([{ succeeded: true }]);
  });
});

describe('by itself', () => {
  test('it fences, and the evidence is the fence', async () => {
    pair.hears({ vm: 'hung' });
    await settle();
    expect(pair.callsSince).toEqual(['fence', ...ALL]);
    expect(pair.kinds('failover-begins')).toMatchObject([{ evidence: FAILOVER_EVIDENCE.fence }]);
  });

  test("it needs no fence when the primary's daemon says that its QEMU has ended", async () => {
    pair.hears({ vm: 'lost' });
    await settle();
    expect(pair.callsSince).toEqual(ALL);
  });

  test('it waits for the whole silence', async () => {
    pair.hearsNothing(1000);
    await settle();
    expect(pair.called).toEqual([]);
    pair.view = { ...pair.view, peer: { ...pair.view.peer, silentMs: 2100 }, commitAgeMs: 2100 };
    jest.advanceTimersByTime(1100);
    await settle();
    expect(pair.callsSince).toEqual(['fence', ...ALL]);
  });

  test('it tries a fence again that has failed, less and less often', async () => {
    pair.fence = () => Promise.resolve(BUSY);
    pair.hearsNothing(3_600_000);
    await settle();
    const tries: number[] = [];
    for (const waitMs of [HIGH_MS, 2 * HIGH_MS, 4 * HIGH_MS]) {
      jest.advanceTimersByTime(waitMs - 10);
      await settle();
      tries.push(pair.callsSince.length);
      // Whatever happens meanwhile is no reason to hurry.
      pair.controller.consider();
      await settle();
      jest.advanceTimersByTime(10);
      await settle();
    }
    expect(tries).toEqual([1, 1, 1]);
    pair.fence = () => Promise.resolve(OFF);
    jest.advanceTimersByTime(8 * HIGH_MS);
    await settle();
    expect(pair.kinds('failover-done')).toHaveLength(1);
  });

  test('a word that comes while it waits for the next try is acted upon at once', async () => {
    pair.fence = () => Promise.resolve(BUSY);
    pair.hearsNothing(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual(['fence']);
    pair.hears({ vm: 'lost' });
    await settle();
    expect(pair.callsSince).toEqual(ALL);
  });

  test('what it hears once its daemon has ended makes it wait for nothing', async () => {
    pair.controller.close();
    const timers = jest.getTimerCount();
    // The connections of the primary are closed last, and that looks like a loss.
    pair.hearsNothing(1000);
    await settle();
    expect(jest.getTimerCount()).toBe(timers);
    expect(pair.called).toEqual([]);
  });

  test('it ends with its daemon, and stops its fence', async () => {
    pair.fence = hangingFence().run;
    pair.hears({ vm: 'hung' });
    await settle();
    pair.controller.close();
    await settle();
    expect(pair.callsSince).toEqual(['fence']);
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual([]);
  });
});

describe('one that failed half way', () => {
  const failure = new Error('it did not');

  test.each<[Step, string[], string[]]>([
    [
      'journal',
      ['claim', 'takeOver', 'openNetwork', 'journal'],
      ['journal', 'move', 'openNetwork'],
    ],
    ['move', ['claim', 'takeOver', 'openNetwork', 'journal', 'move'], ['move', 'openNetwork']],
    ['openNetwork', ALL.slice(0, -1), ['openNetwork']],
  ])('at %s continues there, and repeats nothing', async (step, before, after) => {
    pair.fails.set(step, failure);
    await expect(pair.forced()).rejects.toMatchObject({
      message: failure.message,
      remedy: expect.stringContaining('Then run `gannet failover web` again.'),
      cause: failure,
    });
    expect(pair.callsSince).toEqual(before);
    expect(pair.kinds('failover-done')).toEqual([]);
    pair.fails.clear();
    // No force, and no evidence in sight: the guest runs here already.
    await pair.controller.failOver(false);
    expect(pair.callsSince).toEqual(after);
    expect(pair.kinds('failover-begins', 'failover-done')).toHaveLength(2);
  });

  test('before the guest ran here needs proof again', async () => {
    pair.fails.set('takeOver', failure);
    await expect(pair.forced()).rejects.toMatchObject({ cause: failure });
    pair.fails.clear();
    await expect(pair.controller.failOver(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await pair.forced();
    expect(pair.callsSince).toEqual(['claim', 'takeOver', ...ALL]);
  });

  test('without its network still gets to its disks', async () => {
    pair.fails.set('openNetwork', failure);
    await expect(pair.forced()).rejects.toMatchObject({ cause: failure });
    expect(pair.controller.state).toMatchObject({ phase: 'failed', at: 'opening-network' });
    expect(pair.called).toContain('move');
  });

  /** What is done in each of four pauses, each twice as long as the one before, and just before. */
  async function retries(): Promise<string[][]> {
    const done: string[][] = [];
    for (const waitMs of [HIGH_MS, 2 * HIGH_MS, 4 * HIGH_MS, 8 * HIGH_MS]) {
      jest.advanceTimersByTime(waitMs - 10);
      // Whatever happens meanwhile is no reason to hurry.
      pair.controller.consider();
      await settle();
      expect(pair.callsSince).toEqual([]);
      jest.advanceTimersByTime(10);
      await settle();
      done.push(pair.callsSince);
      if (done.length === 3) pair.fails.clear();
    }
    return done;
  }

  test.each<[Step, string[]]>([
    ['journal', ['move', 'openNetwork']],
    ['move', ['openNetwork']],
  ])('at %s by itself goes on by itself, less and less often', async (step, after) => {
    pair.fails.set(step, failure);
    pair.hears({ vm: 'lost' });
    await settle();
    expect(pair.callsSince.at(-1)).toBe(step);
    expect(await retries()).toEqual([[step], [step], [step], [step, ...after]]);
    expect(pair.kinds('failover-begins', 'failover-done')).toHaveLength(2);
    // It is done: nothing more happens.
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual([]);
  });

  test('before the guest ran here by itself proves again, less and less often', async () => {
    pair.fails.set('takeOver', failure);
    pair.hears({ vm: 'lost' });
    await settle();
    expect(pair.callsSince).toEqual(['claim', 'takeOver']);
    const again = ['claim', 'takeOver'];
    expect(await retries()).toEqual([again, again, again, ALL]);
  });

  test('before the guest ran here lets it be if the primary is well after all', async () => {
    pair.fails.set('takeOver', failure);
    pair.hears({ vm: 'lost' });
    await settle();
    pair.called.length = 0;
    pair.hears({ vm: 'ready' });
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual([]);
  });

  test('for an operator goes on by itself only where failover is automatic', async () => {
    pair.fails.set('journal', failure);
    pair.policy = { ...pair.policy, isAutomatic: false };
    await expect(pair.forced()).rejects.toMatchObject({ cause: failure });
    pair.fails.clear();
    pair.controller.consider();
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.kinds('failover-done')).toEqual([]);
    // As a reload of the configuration may have it.
    pair.policy = { ...pair.policy, isAutomatic: true };
    pair.controller.consider();
    await settle();
    expect(pair.kinds('failover-done')).toHaveLength(1);
  });

  test('is not tried again after its daemon has ended', async () => {
    pair.fails.set('journal', failure);
    pair.hears({ vm: 'lost' });
    await settle();
    pair.called.length = 0;
    pair.controller.close();
    jest.advanceTimersByTime(3_600_000);
    await settle();
    expect(pair.callsSince).toEqual([]);
  });
});
