import { afterEach, expect, it } from '@jest/globals';
import type { LabPair } from '@gannet/lab';
import { expectSurvivorWhole } from '../guests.js';
import { automaticPair, expectProtected, statusOf, until, whyOf } from './support.js';

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

it('a survivor is protected without a command, but not after a detach', async () => {
  pair = await automaticPair();
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  await expectProtected(pair);

  await pair.primary.kill('SIGKILL');
  await pair.failOver();
  await pair.advance();
  const survivor = pair.primaryDaemon;
  await until('the survivor to look out', async () => (await whyOf(survivor)) === 'no-secondary');
  expect((await statusOf(survivor)).role).toBe('secondary');
  await pair.startSecondary();
  await expectProtected(pair);
  expect((await statusOf(survivor)).role).toBe('primary');

  // What an operator has ended stays so, though the secondary is there again.
  await survivor.client.call('detach', {});
  await pair.replaceSecondary();
  const fresh = pair.secondaryDaemon;
  await until('a fresh secondary', async () => {
    const { peer } = await statusOf(survivor);
    return peer.status?.state === 'seeding' && peer.status.vm === 'ready';
  });
  expect(await whyOf(survivor)).toBe('detached');
  await survivor.client.call('protect', {});
  await pair.waitForCommits(2);
  expect(fresh.eventsOf('commit').length).toBeGreaterThan(1);
  await pair.primary.kill('SIGKILL');
  await pair.failOver();
  await expectSurvivorWhole(pair);
}, 240_000);
