import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, LabPair, type LabPairOptions } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectSurvivorWhole } from '../guests.js';
import { rows } from '../rows.js';
import { backup, exportsOf, flipBit, isVerifying } from './support.js';

const MIB = 1024 * 1024;
const DISK_MB = 64;
const FILL_MB = 16;
const SECTOR_BYTES = 512;

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

const { untilSo } = waiting({ patienceMs: 60_000 });

async function protectedPair(options: Partial<LabPairOptions>): Promise<LabPair> {
  pair = await LabPair.create({
    ...{ guest: await findGuest(), periodMs: 500, diskMb: DISK_MB, fillMb: FILL_MB },
    ...options,
  });
  await pair.startProtected(2);
  return pair;
}

describe('on a pair whose guest writes', () => {
  const pairs = rows<Partial<LabPairOptions>>(
    [{ link: 'replication', disks: 2 }],
    [{ link: 'nbd' }, { link: 'mirror', local: { format: 'qcow2' } }, { engine: 'vsmr' }],
  );

  it.each(pairs)('backup is the commit, verify finds a flipped bit: %j', async (options) => {
    const running = await protectedPair(options);
    const { primaryDaemon } = running;
    const { client } = primaryDaemon;
    const copied = await backup(running);
    expect(copied.filter(({ equal }) => !equal)).toEqual([]);
    expect(copied).toHaveLength(running.regionCount);

    const disks = options.disks ?? 1;
    const whole = { isWhole: true, comparedBytes: disks * DISK_MB * MIB, busyBytes: 0 };
    expect(await client.call('verify', {})).toMatchObject({ ...whole, wrongBytes: 0, places: [] });

    const offset = (DISK_MB - 3) * MIB + 5 * 4096 + SECTOR_BYTES;
    await flipBit(running.bases[disks - 1] ?? '', offset + 17);
    const wrong = { disk: `disk${disks - 1}`, offset, length: SECTOR_BYTES };
    const found = await client.call('verify', {});
    expect(found.places).toEqual([{ ...wrong, isRepaired: false }]);
    const repaired = await client.call('verify', { repair: true });
    expect(repaired.places).toEqual([{ ...wrong, isRepaired: true }]);
    expect(await client.call('verify', {})).toMatchObject({ ...whole, wrongBytes: 0 });
    expect(primaryDaemon.eventsOf('replica-differs')).toHaveLength(2);

    const slow = client.call('verify', { bytesPerSec: MIB });
    await untilSo('it to run', () => isVerifying(running));
    await expect(client.call('verify', {})).rejects.toMatchObject({ code: 'GANNET_BUSY' });
    expect(await client.call('verify', { stop: true })).toMatchObject({ isWhole: false });
    expect(await slow).toMatchObject({ isWhole: false, wrongBytes: 0 });
    await untilSo('QEMU to offer nothing', async () => (await exportsOf(running)).length === 0);
    await running.primary.kill('SIGKILL');
    await running.failOver();
    await expectSurvivorWhole(running);
  });
});
