/** What the tests of automatic protection ask of a pair. */
import { findGuest, type LabDaemon, LabPair } from '@gannet/lab';
import type { Status } from '@gannet/contract';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell } from '../guests.js';

export const { untilSo: until } = waiting({ patienceMs: 60_000 });

export const statusOf = async ({ client }: LabDaemon): Promise<Status> => client.call('status');
export const whyOf = async (daemon: LabDaemon): Promise<string | null | undefined> =>
  (await statusOf(daemon)).automatic?.why;

/** Without a command, its daemon has protected the VM and its replica has made commits. */
export async function expectProtected(running: LabPair): Promise<void> {
  await until('the VM to be protected', async () => {
    const { health } = await statusOf(running.primaryDaemon);
    return health.level === 'good';
  });
  await running.waitForCommits(2);
  await expectPrimaryWell(running);
}

/** A secondary that returns finds the bases of the one before. */
export async function automaticPair(): Promise<LabPair> {
  return LabPair.create({
    guest: await findGuest(),
    periodMs: 500,
    secondary: { overwrite: true },
    config: () => ({ protection: 'automatic' }),
  });
}
