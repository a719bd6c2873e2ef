/** Seeds by daemons, which are killed and whose link is cut. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { PrimaryDriver } from '@gannet/qmp-driver';
import { recoverBases } from '@gannet/replicator';
import { findGuest, LabDaemon, LabPair } from '@gannet/lab';
import {
  at,
  Cable,
  dir,
  expectEqual,
  inFreshFolder,
  link,
  makeImage,
  MIB,
  SEED,
  Source,
  undoAfter,
  until,
  watch,
} from './seeding.js';

const BIN = path.resolve(import.meta.dirname, '../../../packages/gannet/dist/bin.js');

inFreshFolder();

function secondaryConfig(): { control: string; [key: string]: unknown } {
  return {
    vm: 'vm',
    control: at('secondary.ctl'),
    qmp: `unix:${at('nobody.qmp')}`,
    disks: [{ name: 'disk0', device: 'drive0', base: at('base.raw'), size: 32 * MIB }],
    secondary: { nbd: `unix:${at('replica.nbd')}`, peer: `unix:${at('peer.sock')}` },
  };
}

async function startSecondary(): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({
    role: 'secondary',
    dir,
    config: secondaryConfig(),
    bin: BIN,
  });
  undoAfter(() => daemon.kill('SIGKILL'));
  return daemon;
}

describe('a secondary daemon that is killed', () => {
  it('within a seed leaves a base that is not a disk; a new one starts over', async () => {
    const source = await Source.start(await makeImage('disk.raw', 32 * MIB, 32 * MIB));
    const first = await startSecondary();
    const direct = link({ server: { type: 'unix', path: at('replica.nbd') } });
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const seeding = driver.seed([direct], { ...SEED, onProgress });
    seeding.catch(() => undefined);
    await reached(0.3);
    await first.kill('SIGKILL');
    const record = JSON.parse(await readFile(at('base.raw.gannet'), 'utf8')) as { state: string };
    expect(record.state).toBe('seeding');
    await expect(recoverBases([{ name: 'disk0', base: at('base.raw') }])).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
      remedy: expect.stringContaining('can only be seeded again') as unknown,
    });

    const second = await startSecondary();
    await expect(seeding).rejects.toMatchObject({ code: 'DRIVER_SEED_FAILED' });
    await driver.rollback();
    await driver.seed([direct]);
    await driver.attach([direct]);
    await expectEqual(source);

    // Right after the seed, before anything was committed: the base may be whole, but nobody can
    // tell.
    await second.kill('SIGKILL');
    await expect(recoverBases([{ name: 'disk0', base: at('base.raw') }])).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
    await driver.rollback();
  });
});

describe('gannet protect', () => {
  it('survives a cut link while it seeds; status shows it; failover has every write', async () => {
    const cables: Cable[] = [];
    await using pair = await LabPair.create({
      guest: await findGuest(),
      diskMb: 96,
      fillMb: 64,
      link: 'replication',
      config: (role) =>
        role === 'primary' ? { primary: primarySection(pair.dir, cables[0]?.port) } : {},
    });
    const cable = await new Cable(path.join(pair.dir, 'replica0.nbd')).plug();
    cables.push(cable);
    undoAfter(() => cable.cut());
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const client = pair.primaryDaemon.client;
    interface Seed {
      readonly doneBytes: number;
      readonly limitBytesPerSec: number;
      readonly down: object | null;
    }
    interface Seen {
      readonly seed?: Seed;
    }
    const status = async (): Promise<Seen> => (await client.call('status', {})) as Seen;
    const reports: Record<string, unknown>[] = [];
    const done = client.call('protect', { bytesPerSec: 16 * MIB }, (report) => {
      reports.push(report);
    });
    done.catch(() => undefined);
    await until(status, ({ seed }) => seed !== undefined && seed.doneBytes > 8 * MIB);
    expect((await status()).seed?.limitBytesPerSec).toBe(16 * MIB);
    // As an operator does it: a changed configuration, and SIGHUP.
    const { configPath, pid } = pair.primaryDaemon;
    const config = await readFile(configPath, 'utf8');
    const changed = `primary:\n  seedBytesPerSec: ${12 * MIB}\n`;
    await writeFile(configPath, config.replace(/^primary:\n/m, changed));
    process.kill(pid!, 'SIGHUP');
    await until(status, ({ seed }) => seed?.limitBytesPerSec === 12 * MIB);
    await cable.cut();
    await until(status, ({ seed }) => seed?.down != null);
    await cable.plug();
    await until(status, ({ seed }) => seed !== undefined && seed.down === null);
    const command = [BIN, 'seed-rate', '--rate', '0', '-c', pair.primaryDaemon.configPath];
    const cli = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...command]);
    expect(await once(cli, 'close')).toEqual([0, null]);
    await done;
    expect(pair.primaryDaemon.eventsOf('seed-link-lost')).toHaveLength(1);
    expect(pair.primaryDaemon.eventsOf('seed-link-back')).toHaveLength(1);
    const seeds = reports.filter(({ doneBytes }) => doneBytes !== undefined);
    expect(seeds.some(({ bytesPerSec }) => Number(bytesPerSec) > 0)).toBe(true);
    expect(seeds.some(({ down }) => down !== null)).toBe(true);
    await expect(client.call('seed-rate', { bytesPerSec: 0 })).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
    });
    await pair.waitForCommits(3);
    await pair.primary.kill();
    await pair.failOver();
    expect(await pair.compare()).toMatchObject({ isClean: true });
  });
});

function primarySection(where: string, nbd: unknown): Record<string, unknown> {
  const file = (name: string): string => `unix:${path.join(where, name)}`;
  return {
    ...{ link: 'replication', nbd: `127.0.0.1:${String(nbd)}`, migrate: file('incoming0.sock') },
    ...{ peer: file('peer0.sock'), checkpointPeriodMs: 500 },
  };
}
