import { afterEach, expect, it } from '@jest/globals';
import { findGuest, type LabDaemon, LabPair } from '@gannet/lab';
import type { Status } from '@gannet/contract';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell, expectSurvivorWhole } from '../guests.js';

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

const { untilSo: until } = waiting({ patienceMs: 60_000 });

const statusOf = async ({ client }: LabDaemon): Promise<Status> => client.call('status');
const whyOf = async (daemon: LabDaemon): Promise<string | null | undefined> =>
  (await statusOf(daemon)).automatic?.why;

/** Without a command, its daemon has protected the VM and its replica has made commits. */
async function expectProtected(running: LabPair): Promise<void> {
  await until('the VM to be protected', async () => {
    const { health } = await statusOf(running.primaryDaemon);
    return health.level === 'good';
  });
  await running.waitForCommits(2);
  await expectPrimaryWell(running);
}

it('a survivor is protected without a command, but not after a detach', async () => {
  pair = await LabPair.create({
    guest: await findGuest(),
    periodMs: 500,
    secondary: { overwrite: true },
    config: () => ({ protection: 'automatic' }),
  });
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
