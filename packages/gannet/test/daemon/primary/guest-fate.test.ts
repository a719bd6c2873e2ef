import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { DiskFailure, PrimaryDriver } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu } from 'qemu-qmp-client/testing';
import { type CrashPolicy, fateOf, GuestFate } from '../../../src/daemon/primary/guest-fate.js';
import {
  nextPrimaryState,
  type PrimaryRoleState,
} from '../../../src/daemon/primary/primary-state.js';
import type { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record, termsInMemory } from '../../support/records.js';

// A guest's fate, beside a QEMU that is a script and a driver that writes down what it does.
let qemu: FakeQemu;
let qmp: QmpClient;
let state: PrimaryRoleState;
let done: string[];
let policy: CrashPolicy;
let fate: GuestFate;
let terms: TermStore;
/** Which QEMU is there, as far as can be known. */
let qemuProcess: string | undefined;
/** The driver's next halts fail. */
let failingHalts: number;

const driver = {
  halt: () => {
    done.push('halt');
    return failingHalts-- > 0 ? Promise.reject(new Error('busy')) : Promise.resolve();
  },
  runAlone: () => Promise.resolve(void done.push('run alone')),
};

beforeEach(async () => {
  qemu = new FakeQemu().reply('query-status', { status: 'running', running: true });
  qemu.reply('system_wakeup', {});
  qmp = await QmpClient.connect({ target: { kind: 'stream', stream: qemu.connect() } });
  state = { phase: 'protected', loss: undefined };
  done = [];
  policy = 'fail-over';
  failingHalts = 0;
  qemuProcess = '7@100';
  terms = termsInMemory(record('protected', 3));
  fate = begun();
});
afterEach(() => qmp.close());

/** As the next daemon has it: it knows no more than what is on the disk. */
function begun(): GuestFate {
  const begun = new GuestFate({
    terms,
    history: { add: (...[kind]) => void done.push(`event ${kind}`) },
    config: () => ({ vm: 'web', primary: { onGuestCrash: policy } }),
    state: () => state,
    step: (event) => {
      const next = nextPrimaryState(state, event);
      if (next !== 'refused') state = next;
    },
    driver: () => driver as unknown as PrimaryDriver,
    process: () => Promise.resolve(qemuProcess),
    cancelProtect: ({ message }) => void done.push(`cancel: ${message}`),
    idle: () => Promise.resolve(void done.push('idle')),
    outdate: () => Promise.resolve(void done.push('outdate')),
    onTrouble: (error) => void done.push(`trouble: ${(error as Error).message}`),
  });
  begun.attend(qmp);
  return begun;
}

function failure(effect: DiskFailure['effect']): DiskFailure {
  return { device: 'vb0', node: 'disk0', effect, message: 'no space' };
}

async function hear(event: string, data?: object): Promise<void> {
  qemu.emit(event, data);
  await qmp.execute('query-status', {});
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(2);
}

type Heard = readonly [event: string, data?: object];
const PANIC: Heard = ['GUEST_PANICKED', { action: 'pause' }];
const POWEROFF: Heard = ['SHUTDOWN', { guest: true, reason: 'guest-shutdown' }];
const YIELDED = { phase: 'yielding', reason: 'no space', isStopped: true };

test.each([
  ['ended', 'fail-over', 'end'],
  ['ended', 'end', 'end'],
  ['crashed', 'fail-over', 'yield'],
  ['crashed', 'end', 'end'],
  ['asleep', 'fail-over', 'wake'],
  ['asleep', 'end', 'wake'],
] as const)('%s, with onGuestCrash %s: %s', (kind, crash, expected) => {
  expect(fateOf({ kind, reason: '' }, crash)).toBe(expected);
});

describe('a protected guest whose disk fails', () => {
  test.each(['lacks-write', 'stopped', 'reported'] as const)('%s: it yields', async (effect) => {
    fate.diskFailed(failure(effect));
    // Before anything else is done: each moment counts.
    expect(state).toEqual({ ...YIELDED, isStopped: false });
    expect(done[0]).toBe('halt');
    await until(() => state.phase === 'yielding' && state.isStopped);
    expect(done).toEqual(['halt', 'event yielding', 'event disk-failed']);
  });

  test('a read that another child answered is told once', () => {
    fate.diskFailed(failure('read-elsewhere'));
    fate.diskFailed(failure('read-elsewhere'));
    expect(state.phase).toBe('protected');
    expect(done).toEqual(['event disk-failed']);
  });

  test('more errors are the same news', async () => {
    for (let count = 0; count < 5; count++) fate.diskFailed(failure('lacks-write'));
    await until(() => state.phase === 'yielding' && state.isStopped);
    expect(done.filter((what) => what === 'halt')).toHaveLength(1);
    expect(done.filter((what) => what === 'event disk-failed')).toHaveLength(1);
  });

  test('a QEMU that does not stop at once is asked again, and told of', async () => {
    failingHalts = 3;
    fate.diskFailed(failure('lacks-write'));
    await until(() => state.phase === 'yielding' && state.isStopped);
    expect(done.filter((what) => what === 'halt')).toHaveLength(4);
    expect(done.filter((what) => what === 'trouble: busy')).toHaveLength(1);
  });

  test('whoever continues it sees it stopped again', async () => {
    fate.diskFailed(failure('lacks-write'));
    await until(() => state.phase === 'yielding' && state.isStopped);
    await hear('RESUME');
    await until(() => done.filter((what) => what === 'halt').length === 2);
    await until(() => state.phase === 'yielding' && state.isStopped);
  });

  test('the end of its QEMU is a standstill', () => {
    failingHalts = 1000;
    fate.diskFailed(failure('lacks-write'));
    fate.hasEnded();
    expect(state).toEqual(YIELDED);
  });

  test('an operator who overrules that waits for the stop that is under way', async () => {
    let end = (): void => undefined;
    const halting = new Promise<void>((resolve) => (end = resolve));
    const halts = jest.spyOn(driver, 'halt').mockReturnValue(halting);
    fate.diskFailed(failure('lacks-write'));
    fate.expectForce(true);
    state = { phase: 'letting-go', to: 'alone', reason: 'force', loss: undefined };
    const halted = fate.halted().then(() => done.push('halted'));
    await qmp.execute('query-status');
    expect(done).not.toContain('halted');
    end();
    await halted;
    expect(halts).toHaveBeenCalledTimes(1);
    expect(state.phase).toBe('letting-go');
    halts.mockRestore();
  });

  test('a write that is flushed while a guest that crashed is being stopped counts', async () => {
    await hear(...PANIC);
    expect(state.phase).toBe('yielding');
    fate.diskFailed(failure('lacks-write'));
    await until(() => terms.record.lacks !== null);
    expect(terms.record.lacks).toEqual({ reason: 'no space', hasReplica: true, qemu: '7@100' });
  });

  test('it goes on here by force only', () => {
    expect(() => fate.expectForce(false)).not.toThrow();
    fate.diskFailed(failure('lacks-write'));
    expect(() => fate.expectForce(false)).toThrow(/is stopped.*no space/);
    expect(() => fate.expectForce(true)).not.toThrow();
  });

  test.each(['protecting', 'letting-go'] as const)(
    '%s: nobody can take over, so it is stopped, also once that has ended',
    async (phase) => {
      state =
        phase === 'protecting'
          ? { phase, before: 'unprotected', stage: 'attach' }
          : { phase, to: 'alone', reason: 'silence', loss: undefined };
      fate.diskFailed(failure('lacks-write'));
      await until(() => done.filter((what) => what === 'halt').length === 2);
      expect(done).toEqual([
        expect.stringMatching(/^cancel: .*no space/),
        'halt',
        expect.stringMatching(/^trouble: .*no space/),
        'event disk-failed',
        'idle',
        'halt',
      ]);
      expect(state.phase).toBe(phase);
    },
  );

  test('it is stopped again when the end of COLO has continued it', async () => {
    state = { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined };
    fate.diskFailed(failure('lacks-write'));
    await until(() => done.filter((what) => what === 'halt').length === 2);
    // Letting go has failed, and is tried again.
    await fate.release();
    expect(done.filter((what) => what === 'halt')).toHaveLength(3);
    // A failed try of an operator's force accepts nothing.
    const failed = fate.accepting(true, () => Promise.reject(new Error('QEMU hangs')));
    await expect(failed).rejects.toThrow('QEMU hangs');
    await fate.release();
    expect(done.filter((what) => what === 'halt')).toHaveLength(4);
    await fate.accepting(true, () => fate.release());
    await fate.release();
    expect(done.filter((what) => what === 'halt')).toHaveLength(4);
  });

  test('a guest that was stopped so is not protected again before it was restarted', () => {
    // COLO would continue it, on a disk that lacks what it has written.
    state = { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined };
    fate.diskFailed(failure('lacks-write'));
    expect(() => fate.expectSound()).toThrow(/cannot be protected as it is: no space/);
    fate.hasEnded();
    expect(() => fate.expectSound()).not.toThrow();
  });

  test('the next daemon knows what only the secondary has', async () => {
    fate.diskFailed(failure('lacks-write'));
    await until(() => terms.record.lacks !== null);
    expect(terms.record).toMatchObject({ word: 'protected', term: 3 });
    expect(terms.record.lacks).toEqual({ reason: 'no space', hasReplica: true, qemu: '7@100' });

    // In the same QEMU, whose guest somebody has continued meanwhile.
    fate = begun();
    expect(await fate.failureIn(qmp, 'protected')).toBe('no space');
    // In a new one.
    expect(await fate.failureIn(qmp, 'idle')).toBe('no space');
    state = { phase: 'unattached' };
    expect(fate.yieldsAs('idle', 'no space')).toBe(true);
    expect(state).toMatchObject({ phase: 'yielding', reason: 'no space' });

    await fate.accepting(false, () => Promise.resolve());
    expect(terms.record.lacks).not.toBeNull();
    await fate.accepting(true, () => Promise.resolve());
    expect(terms.record.lacks).toBeNull();
    fate = begun();
    expect(await fate.failureIn(qmp, 'idle')).toBeUndefined();
  });

  test.each([
    // The one whose guest was told so: somebody, or the end of COLO, has continued it.
    ['7@100', 'ended', 'running', 'stopped again'],
    ['7@100', 'idle', 'running', 'stopped again'],
    ['7@100', 'idle', 'paused', 'still'],
    ['7@100', 'ended', 'io-error', 'still'],
    ['8@200', 'idle', 'running', 'runs'],
    ['8@200', 'idle', 'paused', 'runs'],
    // Whose it was can't be known: one that runs was started again, unless it was in COLO.
    [undefined, 'idle', 'running', 'runs'],
    [undefined, 'idle', 'prelaunch', 'runs'],
    [undefined, 'idle', 'paused', 'still'],
    [undefined, 'ended', 'running', 'stopped again'],
  ] as const)(
    'the next daemon knows what nobody has: QEMU %s, %s, %s: %s',
    async (process, found, status, outcome) => {
      state = { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined };
      fate.diskFailed(failure('lacks-write'));
      await until(() => terms.record.lacks !== null);

      fate = begun();
      state = { phase: 'unprotected' };
      qemuProcess = process;
      qemu.reply('query-status', { status, running: status === 'running' }).reply('stop');
      expect(await fate.failureIn(qmp, found)).toBeUndefined();
      const stops = qemu.received.filter(({ command }) => command === 'stop');
      expect(stops).toHaveLength(outcome === 'stopped again' ? 1 : 0);
      const expectSound = (): void => fate.expectSound();
      if (outcome === 'runs') {
        expect(expectSound).not.toThrow();
        expect(fate.standstill).toBeUndefined();
      } else {
        expect(expectSound).toThrow(/cannot be protected as it is: no space/);
        expect(fate.standstill).toBe('no space');
      }
    },
  );

  test('whoever continues a guest on a disk that lacks writes sees it stopped again', async () => {
    state = { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined };
    fate.diskFailed(failure('lacks-write'));
    await until(() => done.filter((what) => what === 'halt').length === 2);
    state = { phase: 'alone' };
    await hear('RESUME');
    await until(() => done.filter((what) => what === 'halt').length === 3);
    // In the next QEMU it may run.
    fate.hasEnded();
    await hear('RESUME');
    expect(done.filter((what) => what === 'halt')).toHaveLength(3);
    expect(fate.standstill).toBeUndefined();
  });

  test.each(['stopped', 'reported'] as const)(
    '%s while it is protected: it stands still until somebody continues it',
    async (effect) => {
      state = { phase: 'protecting', before: 'unprotected', stage: 'attach' };
      fate.diskFailed(failure(effect));
      await until(() => done.filter((what) => what === 'halt').length === 2);
      state = { phase: 'unprotected' };
      await until(() => fate.standstill === 'no space');
      expect(terms.record.lacks).toBeNull();
      await hear('RESUME');
      expect(fate.standstill).toBeUndefined();
      expect(done.filter((what) => what === 'halt')).toHaveLength(2);
    },
  );

  test('QEMU stops it while nothing protects it', async () => {
    state = { phase: 'alone' };
    fate.diskFailed(failure('stopped'));
    expect(fate.standstill).toBe('no space');
    // The next daemon hears of no error any more.
    fate = begun();
    qemu.reply('query-status', { status: 'io-error', running: false });
    expect(await fate.failureIn(qmp, 'idle')).toBeUndefined();
    expect(fate.standstill).toBe('QEMU was found with run state io-error');
    await hear('RESUME');
    expect(fate.standstill).toBeUndefined();
  });

  test('what its term file does not take counts all the same, and is written later', async () => {
    const update = terms.update.bind(terms);
    terms.update = () => Promise.reject(new Error('no space there either'));
    fate.diskFailed(failure('lacks-write'));
    await until(() => done.includes('trouble: no space there either'));
    expect(await fate.failureIn(qmp, 'idle')).toBe('no space');
    expect(fate.standstill).toBe('no space');
    expect(terms.record.lacks).toBeNull();
    terms.update = update;
    await until(() => terms.record.lacks !== null);
    expect(terms.record.lacks).toMatchObject({ reason: 'no space', hasReplica: true });
    expect(done.filter((what) => what.startsWith('trouble'))).toHaveLength(1);
  });

  test('one that is superseded meanwhile does not yield', () => {
    state = { phase: 'superseded' };
    expect(fate.yieldsAs('idle', 'no space')).toBe(false);
    expect(done).toEqual([]);
  });

  test.each(['unprotected', 'alone'] as const)('%s: QEMU deals with it', (phase) => {
    state = { phase };
    fate.diskFailed(failure('stopped'));
    expect(state.phase).toBe(phase);
    expect(done).toEqual(['event disk-failed']);
  });
});

describe('a QEMU that is found in COLO', () => {
  test.each([
    ['running', 'protected', false],
    ['running', 'broken', false],
    ['colo', 'protected', false],
    ['paused', 'protected', false],
    ['paused', 'broken', true],
    ['io-error', 'protected', true],
    ['guest-panicked', 'protected', true],
    ['internal-error', 'broken', true],
    ['watchdog', 'broken', true],
  ] as const)('%s, COLO %s: yields: %s', async (status, found, doesYield) => {
    qemu.reply('query-status', { status, running: status === 'running' });
    const reason = await fate.failureIn(qmp, found);
    expect(reason).toBe(doesYield ? `QEMU was found with run state ${status}` : undefined);
    // The secondary is being let go, or was never in step: nobody takes over.
    terms = termsInMemory(record('leaving', 4));
    expect(await begun().failureIn(qmp, found)).toBeUndefined();
  });
});

describe('what the guest does', () => {
  test('it is shut down: nobody takes over, and QEMU is let go', async () => {
    await hear(...POWEROFF);
    expect(state).toEqual({ phase: 'ended', reason: 'the guest shut itself down' });
    expect(done).toEqual(['event guest-ended', 'outdate', 'run alone']);
    await hear('RESUME');
    expect(state).toEqual({ phase: 'unprotected' });
  });

  test('it is shut down while its secondary is let go', async () => {
    state = { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined };
    await hear(...POWEROFF);
    expect(state.phase).toBe('ended');
  });

  test('it panics: the secondary takes over', async () => {
    await hear(...PANIC);
    await until(() => state.phase === 'yielding' && state.isStopped);
    expect(done).toEqual(['halt', 'event yielding']);
    await hear('SHUTDOWN', { guest: true, reason: 'guest-panic' });
    expect(state.phase).toBe('yielding');
  });

  test.each(['alone', 'leaving'] as const)(
    'it panics while the record says %s: nobody is asked to take over',
    async (word) => {
      await terms.update(() => record(word, 4));
      await hear(...PANIC);
      fate.diskFailed(failure('lacks-write'));
      await until(() => done.filter((what) => what === 'halt').length === 2);
      expect(state.phase).toBe('protected');
      expect(terms.record.lacks).toMatchObject({ hasReplica: false });
    },
  );

  test('it panics, and is to end', async () => {
    policy = 'end';
    await hear(...PANIC);
    expect(state).toEqual({ phase: 'ended', reason: 'the guest panicked' });
  });

  test('it sleeps: it is woken', async () => {
    await hear('SUSPEND');
    await until(() => done.length > 0);
    expect(done).toEqual(['event guest-woken']);
    expect(state.phase).toBe('protected');
  });

  test('a QEMU that can not wake it is told of', async () => {
    qemu.on('system_wakeup', () => ({
      error: { class: 'GenericError', desc: 'Unable to wake up: guest is not in suspended state' },
    }));
    await hear('SUSPEND');
    await until(() => done.length > 0);
    expect(done).toEqual([expect.stringMatching(/^trouble: .*not in suspended state/)]);
  });

  test.each([[POWEROFF], [PANIC]])('%s while it is protected for the first time', async (event) => {
    state = { phase: 'protecting', before: 'unprotected', stage: 'seed' };
    await hear(...event);
    expect(done).toEqual([expect.stringMatching(/^cancel: web cannot be protected/)]);
  });

  test.each(['unprotected', 'alone', 'superseded'] as const)(
    '%s: its own business',
    async (phase) => {
      state = { phase };
      for (const event of [POWEROFF, PANIC, ['SUSPEND'] as Heard]) await hear(...event);
      expect(done).toEqual([]);
      expect(state).toEqual({ phase });
    },
  );
});
