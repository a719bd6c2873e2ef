import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { COLO, NONE, Pair, PROTECTED, until } from '../../support/primary-pair.js';
import { record } from '../../support/records.js';

describe('what a primary says of itself', () => {
  test('before it has seen its QEMU is no word about the replica', async () => {
    const pair = await Pair.start({ isWithoutQemu: true });
    await pair.connectSecondary();
    await until(() => pair.beats.length > 2);
    expect(new Set(pair.beats.map(({ state }) => state))).toEqual(new Set(['unknown']));
  });

  test('once it has found no protection is that it has none', async () => {
    const pair = await Pair.start();
    await pair.connectSecondary();
    await until(() => pair.beats.at(-1)?.state === 'unprotected');
    expect(pair.beats.at(-1)?.periodMs).toBe(3_600_000);
  });
});

test('a survivor is protected at once: protect waits until its QEMU was looked at', async () => {
  const pair = await Pair.start({ isSurvivor: true });
  const failed = pair.role.protect(() => undefined);
  // As far as its first stage, which this QEMU does not pass.
  await expect(failed).rejects.toMatchObject({ message: expect.stringContaining('stage check') });
});

describe('failover on the primary', () => {
  test('is refused without a QMP connection, and throws no replica away', async () => {
    const pair = await Pair.start({ isWithoutQemu: true });
    await pair.connectSecondary();
    await until(() => pair.beats.length > 0);
    await expect(pair.role.runOn(true)).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
    expect(pair.terms.record).toBe(BLANK);
    expect(pair.kinds('alone')).toEqual([]);
  });

  test('is refused when nothing is protected, and fences nobody', async () => {
    const pair = await Pair.start({ fence: 'exit 0' });
    await until(() => pair.role.status().primaryVm === 'ready');
    await expect(pair.role.runOn(true)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.kinds('fence')).toEqual([]);
    expect(pair.state).toBe('unprotected');
  });
});

describe('a protection that runs', () => {
  test('is found again; memory pressure asks for one checkpoint an epoch', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    pair.fake?.qemu.reply('query-migrate', { status: 'colo' });
    await until(() => pair.state === 'protected');
    pair.status = { ...pair.status, memoryPressure: true };
    await pair.connectSecondary();
    await until(() => pair.received('migrate-set-parameters') > 0);
    const before = pair.beats.length;
    await until(() => pair.beats.length > before + 5);
    expect(pair.received('migrate-set-parameters')).toBe(1);
    pair.status = { ...pair.status, epoch: 6 };
    await until(() => pair.received('migrate-set-parameters') === 2);
  });

  test('is not let go by a detach that can tell nobody, and is by a forced one', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'exit 1' });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await expect(pair.role.detach(false)).rejects.toMatchObject({
      remedy: expect.stringContaining('--force'),
    });
    expect(pair.state).toBe('protected');
    expect(pair.kinds('fence')).toEqual([]);
    await pair.role.detach(true);
    expect(pair.state).toBe('unprotected');
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
  });

  test('a forced failover overrules a fence that hangs', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'sleep 3600' });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    const first = pair.role.runOn(false);
    // Told nobody for lowMs, then the fence runs.
    await delay(400);
    await Promise.all([first, pair.role.runOn(true)]);
    expect(pair.state).toBe('alone');
  });

  test('that hangs is said to hang only if it still does when its links are cut', async () => {
    // The secondary would have it fenced at the first word of it.
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'exit 0' });
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().peer.pulse === 'up');
    const { qemu } = pair.fake ?? {};
    qemu?.on('query-status', () => 'silence');
    qemu?.on('query-yank', () => {
      qemu
        .reply('query-status', { status: 'running', running: true })
        .reply('query-colo-status', NONE);
      return { return: [] };
    });
    await until(() => pair.state === 'alone');
    expect(pair.kinds('vm')).toContainEqual(expect.objectContaining({ state: 'hung' }));
    expect(pair.beats.filter(({ vm, state }) => vm === 'hung' && state !== 'alone')).toEqual([]);
  });

  test('is not called alone where the secondary answers that it has not given up', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    pair.yields = false;
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().peer.pulse === 'up');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await pair.role.runOn(true);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
  });
});

test('a secondary that is lost while QEMU is connected again is let go after that', async () => {
  const pair = await Pair.start({ colo: COLO, own: PROTECTED });
  await pair.connectSecondary();
  const isReady = (): boolean => pair.role.status().primaryVm === 'ready';
  await until(() => isReady() && pair.role.status().peer.pulse === 'up');
  const before = pair.kinds('vm').length;
  pair.fake?.qemu.once('query-colo-status', async () => {
    // The QEMU is asked for the second time, and its daemon has another wish meanwhile.
    pair.status = { ...pair.status, state: 'diverged' };
    pair.secondary?.beatNow();
    await until(() => pair.kinds('secondary-lost').length > 0);
    pair.fake?.qemu.reply('query-colo-status', NONE);
    return { return: COLO };
  });
  await pair.fake?.qemu.drop();
  const bugs = (): unknown[] => {
    return pair.events.filter(({ kind, code }) => kind === 'trouble' && code === 'GANNET_INTERNAL');
  };
  await until(() => (isReady() && pair.kinds('vm').length > before + 1) || bugs().length > 0);
  expect(bugs()).toEqual([]);
});

describe('a protected guest', () => {
  async function protectedPair(): Promise<Pair> {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'exit 0' });
    pair.fake?.qemu.reply('yank', {});
    await pair.connectSecondary();
    await until(() => pair.beats.at(-1)?.state === 'protected');
    await until(() => pair.role.status().peer.pulse === 'up');
    return pair;
  }

  test('whose disk fails is stopped before the secondary hears of it', async () => {
    const pair = await protectedPair();
    const seen: boolean[] = [];
    const heard = pair.beats.length;
    pair.fake?.qemu.emit('BLOCK_IO_ERROR', {
      ...{ device: '', 'node-name': 'node0', operation: 'write', action: 'stop' },
      ...{ nospace: true, reason: 'No space left on device' },
    });
    await until(() => {
      const isSaid = pair.beats.slice(heard).some(({ state }) => state === 'yielding');
      if (isSaid) seen.push(pair.isRunning);
      return isSaid;
    });
    expect(seen).toEqual([false]);
    expect(pair.beats.at(-1)?.trouble).toMatch(/vb0.*No space left/);
    await expect(pair.role.detach(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await expect(pair.role.protect(() => undefined)).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringMatching(/yielding.*No space left/) as unknown,
    });
    // The end of COLO is no reason to go on alone.
    pair.fake?.qemu.emit('COLO_EXIT', { mode: 'primary', reason: 'error' });
    const later = pair.beats.length;
    await until(() => pair.beats.length > later + 3);
    expect(pair.state).toBe('yielding');
    expect([...pair.kinds('alone'), ...pair.kinds('fence')]).toEqual([]);

    const taken = record('taken-over', 4, { evidence: 'word' });
    pair.status = { ...pair.status, state: 'failed-over', record: taken };
    await until(() => pair.state === 'superseded');
  });

  test('that is shut down has ended: the secondary is told, and nobody is fenced', async () => {
    const pair = await protectedPair();
    pair.fake?.qemu.reply('query-colo-status', NONE);
    pair.fake?.qemu.emit('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    await until(() => pair.beats.at(-1)?.state === 'ended');
    expect(pair.role.status().reason).toBe('the guest shut itself down');
    await until(() => pair.status.state === 'diverged');
    await until(() => pair.terms.record.word === 'alone');
    expect(pair.terms.record).toMatchObject({ term: 4, evidence: 'word' });
    expect(pair.kinds('fence')).toEqual([]);
    await expect(pair.role.protect(() => undefined)).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringMatching(/ended.*the guest shut itself down/) as unknown,
    });
    expect(pair.state).toBe('ended');
  });
});
