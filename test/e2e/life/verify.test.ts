import { afterEach, describe, expect, it } from '@jest/globals';
import { open } from 'node:fs/promises';
import { findGuest, LabPair, type LabPairOptions } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell, expectSurvivorWhole } from '../guests.js';
import { rows } from '../rows.js';

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
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  await pair.protect();
  await pair.waitForCommits(2);
  return pair;
}

/** A bit of the secondary's base changes by itself. */
async function flipBit(base: string, offset: number): Promise<void> {
  const file = await open(base, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    await file.write(byte, 0, 1, offset);
  } finally {
    await file.close();
  }
}

/** What QEMU offers over NBD. */
async function exportsOf({ primary }: LabPair): Promise<readonly unknown[]> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: primary.qmpPaths[0] } });
  try {
    return await qmp.execute('query-block-exports');
  } finally {
    await qmp.close();
  }
}

describe('verify on a pair whose guest writes', () => {
  const links = rows<Partial<LabPairOptions>>(
    [{ link: 'replication', disks: 2 }],
    [{ link: 'nbd' }, { link: 'mirror', local: { format: 'qcow2' } }, { engine: 'vsmr' }],
  );

  it.each(links)('finds a flipped bit at its place, and repairs it: %j', async (options) => {
    const running = await protectedPair(options);
    const { client } = running.primaryDaemon;
    const places = { comparedBytes: (options.disks ?? 1) * DISK_MB * MIB, busyBytes: 0 };
    expect(await client.call('verify', {})).toMatchObject({
      ...{ ...places, isWhole: true, wrongBytes: 0, places: [] },
    });

    const disk = (options.disks ?? 1) - 1;
    const offset = (DISK_MB - 3) * MIB + 5 * 4096 + SECTOR_BYTES + 17;
    await flipBit(running.bases[disk] ?? '', offset);
    const wrong = { disk: `disk${disk}`, offset: offset - 17, length: SECTOR_BYTES };
    const found = await client.call('verify', {});
    expect(found.places).toEqual([{ ...wrong, isRepaired: false }]);
    expect(found).toMatchObject({ wrongBytes: SECTOR_BYTES, repairedBytes: 0 });

    const repaired = await client.call('verify', { repair: true });
    expect(repaired.places).toEqual([{ ...wrong, isRepaired: true }]);
    expect(await client.call('verify', {})).toMatchObject({ wrongBytes: 0, isWhole: true });

    expect(running.primaryDaemon.eventsOf('replica-differs')).toHaveLength(2);
    expect(running.primaryDaemon.eventsOf('verified')).toHaveLength(4);
    await untilSo('QEMU to offer nothing', async () => (await exportsOf(running)).length === 0);
    await expectPrimaryWell(running);
    await running.primary.kill('SIGKILL');
    await running.failOver();
    await expectSurvivorWhole(running);
  });
});

describe('a verify that is under way', () => {
  it('ends with the protection, or when it is asked to; the guest runs on', async () => {
    const running = await protectedPair({});
    const { client } = running.primaryDaemon;
    const isVerifying = async (): Promise<boolean> => {
      const status = await client.call('status', {});
      return status.role === 'primary' && status.verifying !== undefined;
    };
    const slow = client.call('verify', { bytesPerSec: MIB });
    await untilSo('it to run', isVerifying);
    await expect(client.call('verify', {})).rejects.toMatchObject({ code: 'GANNET_BUSY' });
    expect(await client.call('verify', { stop: true })).toMatchObject({ isWhole: false });
    expect(await slow).toMatchObject({ isWhole: false, wrongBytes: 0 });

    const cut = client.call('verify', { bytesPerSec: MIB }).catch((error: unknown) => error);
    await untilSo('it to run', isVerifying);
    await running.secondaryDaemon.kill('SIGKILL');
    const error = await cut;
    expect(['GANNET_REFUSED', 'GANNET_PEER_UNREACHABLE']).toContain(
      (error as { code: string }).code,
    );
    await untilSo('QEMU to offer nothing', async () => (await exportsOf(running)).length === 0);
    await expectPrimaryWell(running);
  });
});
