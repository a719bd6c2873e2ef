import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { findGuest, LabPair } from '@gannet/lab';
import { gannet, PEER, until } from '../trouble/support.js';

/** A pair of its own: in what state it ends depends on the moment at which QEMU responds again. */
let pair: LabPair;

beforeAll(async () => {
  const config = () => ({ peer: PEER });
  pair = await LabPair.create({ guest: await findGuest(), diskMb: 64, periodMs: 500, config });
  await pair.startProtected(2);
});
afterAll(() => pair.dispose());

it('QEMU stops answering: a checkpoint times out, and later reports are true', async () => {
  const onPrimary = ['-c', pair.primaryDaemon.configPath];
  pair.primary.sigstop();
  const asked = await gannet('checkpoint', ...onPrimary);
  await until(
    () => gannet('status', ...onPrimary),
    ({ json }) => json['primaryVm'] === 'hung',
  );
  const again = await gannet('checkpoint', ...onPrimary);
  // The daemon tries to free its QEMU by cutting the links.
  await until(
    () => Promise.resolve(pair.primaryDaemon.eventsOf('trouble')),
    (troubles) => troubles.some(({ message }) => message.includes('its links cut')),
  );
  pair.primary.sigcont();
  expect(asked.code).toBe(5);
  // Its own question, or that of the watch, whichever had its deadline first.
  expect(asked.error['message']).toMatch(/query-(migrate-parameters|status)/);
  expect(again.code).toBe(5);
  expect(again.error['message']).toContain('query-status');
  // QEMU reads now what it was told while it hung: if it finds that its links are to be cut, it is
  // freed and runs alone. Otherwise it is protected as before.
  const { json } = await until(
    () => gannet('status', ...onPrimary),
    (status) => status.json['primaryVm'] === 'ready',
  );
  expect(['protected', 'alone']).toContain(json['state']);
  if (json['state'] === 'protected') await pair.waitForCommits(pair.commits.length + 2);
  await pair.primary.oracle.waitForWrites(50, { signal: pair.primary.gone });
  expect(pair.primary.oracle.clean).toBe(true);
});
