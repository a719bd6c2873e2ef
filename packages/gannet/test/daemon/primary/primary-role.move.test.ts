import { describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { record } from '../../support/records.js';
import { COLO, ENDED, NONE, Pair, PROTECTED, until } from '../../support/primary-pair.js';

// A VM that was handed over, as the next daemon finds it; and who can't be moved.

const OFFERED = record('protected', 3, { movedTo: 'b' });
const quiet = (): Promise<void> => delay(400);

/** Its daemon has ended after the last checkpoint, before the secondary has said anything. */
async function handedOver(own = OFFERED): Promise<Pair> {
  const pair = await Pair.start({ colo: COLO, own });
  // The end of COLO continues the guest.
  pair.fake?.qemu.reply('query-migrate', { status: 'colo' });
  pair.fake?.qemu.on('x-colo-lost-heartbeat', () => {
    pair.fake?.qemu.reply('query-colo-status', ENDED).reply('query-migrate', { status: 'failed' });
    pair.isRunning = true;
    return { return: {} };
  });
  await until(() => pair.role.status().state === 'yielding');
  await until(() => !pair.isRunning);
  return pair;
}

describe('who can not be moved', () => {
  test('a VM under COLO, and it runs on', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().primaryVm === 'ready');
    await expect(pair.role.methods.move({}, () => undefined)).rejects.toMatchObject({
      ...{ code: 'GANNET_REFUSED', exit: 'refused' },
      message: expect.stringContaining('COLO continues the guest') as unknown,
      remedy: expect.stringContaining('engine: vsmr') as unknown,
    });
    expect([pair.isRunning, pair.state]).toEqual([true, 'protected']);
    expect(pair.terms.record).toMatchObject({ word: 'protected', term: 3 });
    expect(pair.terms.record.movedTo).toBeUndefined();
  });

  test('a VM that is not protected', async () => {
    const pair = await Pair.start();
    await until(() => pair.state === 'unprotected');
    await expect(pair.role.methods.move({}, () => undefined)).rejects.toMatchObject({
      ...{ code: 'GANNET_REFUSED', message: expect.stringContaining('nothing to move') as unknown },
    });
  });
});

describe('a VM that was handed over', () => {
  test('stands still on silence, and asks for the takeover', async () => {
    const pair = await handedOver();
    await quiet();
    expect([pair.state, pair.isRunning, pair.received('cont')]).toEqual(['yielding', false, 0]);
    expect(pair.role.status().health.code).toBe('handing-over');
    await pair.connectSecondary();
    await until(() => pair.beats.some(({ state }) => state === 'yielding'));
    expect(pair.beats.at(-1)?.record).toMatchObject({ word: 'protected', term: 3, movedTo: 'b' });
    await quiet();
    expect([pair.state, pair.isRunning]).toEqual(['yielding', false]);
  });

  test('is moved when the secondary has written its claim, whatever is restarted', async () => {
    const pair = await handedOver();
    const claimed = record('taken-over', 4, { evidence: 'word' });
    pair.status = { ...pair.status, state: 'failed-over', record: claimed };
    await pair.connectSecondary();
    await until(() => pair.terms.record.word === 'outdated');
    expect(pair.terms.record).toMatchObject({ term: 4, movedTo: 'b' });
    expect([pair.state, pair.isRunning]).toEqual(['superseded', false]);
    expect(pair.role.status().health.code).toBe('moved');
    expect(pair.kinds('two-copies')).toEqual([]);
    expect(await pair.role.methods.move({}, () => undefined)).toEqual({
      ...{ movedTo: 'b', stillMs: null },
    });
    pair.isRunning = true;
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await pair.restartDaemon();
    await until(() => pair.state === 'superseded');
    await until(() => !pair.isRunning);
    expect(pair.role.status().health).toMatchObject({ code: 'moved', guest: 'secondary' });
  });

  test.each([
    ['never can take over', { state: 'diverged', record: record('outdated', 3) }],
    ['was restarted', { state: 'seeding', record: record('none', 3) }],
  ] as const)('runs on by the word of a secondary that %s', async (_what, said) => {
    const pair = await handedOver();
    pair.status = { ...pair.status, ...said };
    await pair.connectSecondary();
    await until(() => pair.state === 'alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', evidence: 'word' });
    expect(pair.terms.record.movedTo).toBeUndefined();
  });

  test('runs on when the secondary VM has ended, once the secondary has yielded', async () => {
    const pair = await handedOver();
    pair.yields = false;
    pair.status = { ...pair.status, vm: 'lost' };
    await pair.connectSecondary();
    await until(() => pair.terms.record.word === 'leaving');
    await quiet();
    // Told, and not done: it may be taking over.
    expect([pair.isRunning, pair.received('x-colo-lost-heartbeat')]).toEqual([false, 0]);
    expect(pair.terms.record).toMatchObject({ term: 4, movedTo: 'b' });
    pair.yields = true;
    await until(() => pair.state === 'alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
  });

  test('the secondary was faster than what takes it back', async () => {
    const pair = await handedOver();
    pair.yields = false;
    pair.status = { ...pair.status, vm: 'lost' };
    await pair.connectSecondary();
    await until(() => pair.terms.record.word === 'leaving');
    const claimed = record('taken-over', 4, { evidence: 'word' });
    pair.status = { ...pair.status, vm: 'ready', state: 'failed-over', record: claimed };
    await until(() => pair.terms.record.word === 'outdated');
    expect([pair.state, pair.isRunning]).toEqual(['superseded', false]);
    expect(pair.terms.record.movedTo).toBe('b');
  });

  test('while it is taken back, the next daemon does not go on by itself either', async () => {
    const pair = await handedOver(record('leaving', 4, { movedTo: 'b' }));
    await quiet();
    expect([pair.state, pair.isRunning]).toEqual(['yielding', false]);
    expect(pair.terms.record.word).toBe('leaving');
    await pair.connectSecondary();
    await until(() => pair.state === 'alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
  });

  test('an operator takes it back by force', async () => {
    const pair = await handedOver();
    const { failover } = pair.role.methods;
    await expect(failover({}, () => undefined)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await failover({ force: true }, () => undefined);
    expect(pair.state).toBe('alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', evidence: 'operator' });
  });
});
