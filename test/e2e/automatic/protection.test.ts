import { afterEach, expect, it } from '@jest/globals';
import { findGuest, type LabDaemon, LabPair } from '@gannet/lab';
import type { Status } from '@gannet/contract';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell } from '../guests.js';

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

it('a VM is protected without a command: at first, and when its secondary returns', async () => {
  pair = await LabPair.create({
    guest: await findGuest(),
    periodMs: 500,
    // The secondary that returns finds the bases of the one before.
    secondary: { overwrite: true },
    config: () => ({ protection: 'automatic' }),
  });
  await pair.bootPrimary();
  await pair.startPrimaryDaemon();
  const first = pair.primaryDaemon;
  await until('it to wait', async () => (await whyOf(first)) === 'no-secondary');
  await pair.startSecondary();
  await expectProtected(pair);

  await pair.secondaryDaemon.kill('SIGKILL');
  await pair.secondary.kill('SIGKILL');
  await until('the primary to be alone', () => first.eventsOf('alone').length > 0);
  await expectPrimaryWell(pair);
  await pair.replaceSecondary();
  await expectProtected(pair);
});
