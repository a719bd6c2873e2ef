import { afterEach, expect, it } from '@jest/globals';
import { findGuest, LabPair } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell } from '../guests.js';
import { exportsOf, isVerifying } from './support.js';

const MIB = 1024 * 1024;

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

const { untilSo } = waiting({ patienceMs: 60_000 });

const losses: readonly [string, (pair: LabPair) => unknown][] = [
  ['its daemon', ({ secondaryDaemon }) => secondaryDaemon.kill('SIGKILL')],
  ['its VM', ({ secondary }) => secondary.kill('SIGKILL')],
];

it.each(losses)(
  'a verify ends when the secondary dies, and leaves nothing: %s',
  async (_, lose) => {
    pair = await LabPair.create({ guest: await findGuest(), periodMs: 500, fillMb: 16 });
    const running = pair;
    await running.bootPrimary();
    await running.startSecondary();
    await running.startPrimaryDaemon();
    await running.protect();
    const { client } = running.primaryDaemon;
    const cut = client.call('verify', { bytesPerSec: MIB }).catch((error: unknown) => error);
    await untilSo('it to run', () => isVerifying(running));
    await lose(running);
    const { code } = (await cut) as { readonly code: string };
    expect(['GANNET_REFUSED', 'GANNET_PEER_UNREACHABLE', 'GANNET_PEER_FAILED']).toContain(code);
    await untilSo('QEMU to offer nothing', async () => (await exportsOf(running)).length === 0);
    await expectPrimaryWell(running);
  },
);
