import { expect, test } from '@jest/globals';
import { notProtected, whyNotProtect } from '../../src/daemon/refusals.js';

const PROTECTS = /`gannet protect web` would protect it/;

test.each([
  [{ phase: 'unprotected' }, 'unprotected', PROTECTS],
  [{ phase: 'alone' }, 'alone', PROTECTS],
  [{ phase: 'superseded' }, 'superseded', /`gannet reprotect web` on the host that has taken over/],
  [{ phase: 'held' }, 'held', /Start the daemon on the secondary host/],
  [{ phase: 'yielding', reason: 'EIO', isStopped: true }, 'yielding', /`gannet failover web`/],
  [{ phase: 'ended', reason: 'shutdown' }, 'ended', /start the VM again/],
  [
    { phase: 'protecting', before: 'alone', stage: 'seed' },
    'protecting',
    /`gannet status web` shows what is in progress/,
  ],
] as const)('what %o has no protection for says what is not refused then', (state, shown, says) => {
  const error = notProtected('web', state, shown, 'checkpoint');
  expect(error).toMatchObject({ exit: 'refused', remedy: expect.stringMatching(says) });
  const isRefused = whyNotProtect('web', state, shown) !== undefined;
  expect(PROTECTS.test(error.remedy)).toBe(!isRefused);
});

test('to protect what is protected needs nothing to be done', () => {
  const error = whyNotProtect('web', { phase: 'protected', loss: undefined }, 'protected');
  expect(error?.message).toBe('web is protected already');
  expect(error?.remedy).toBe('Do nothing: `gannet status web` shows it.');
});
