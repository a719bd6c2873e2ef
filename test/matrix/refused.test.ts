import { execFile } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type DiskLink, PrimaryDriver, SecondaryDriver } from '@gannet/qmp-driver';
import { findGuest, GANNET_BIN, LabPair, type LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

/** For a QEMU that cannot enter COLO: run by scripts/matrix.mjs, with such a QEMU first in PATH. */

const BIN = GANNET_BIN;

interface Outcome {
  readonly code: number;
  readonly json: {
    readonly findings?: readonly { code: string; severity: string; message: string }[];
    readonly error?: { readonly message: string };
  };
}

function gannet(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args, '--json'], (error, stdout) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, json: JSON.parse(stdout) as Outcome['json'] });
    });
  });
}

let pair: LabPair;
let cleanups: (() => Promise<unknown>)[];

beforeEach(async () => {
  pair = await LabPair.create({ guest: await findGuest() });
  cleanups = [() => pair.dispose()];
  await pair.bootPrimary();
  await pair.startSecondary();
});
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function monitor(vm: LabVm): Promise<QmpClient> {
  const client = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  cleanups.push(() => client.close());
  return client;
}

describe('a QEMU that cannot enter COLO', () => {
  it('is refused by name by check and by protect, and its guest is left alone', async () => {
    await pair.startPrimaryDaemon();
    const config = ['-c', pair.primaryDaemon.configPath];
    const { code, json } = await gannet('check', ...config);
    expect(code).toBe(1);
    const refusals = json.findings?.filter((one) => one.code === 'colo-broken-version') ?? [];
    expect(refusals.map(({ severity }) => severity)).toEqual(['error', 'error']);
    expect(refusals[0]?.message).toMatch(/^QEMU 10\.0\.\d+ cannot enter COLO/);
    expect(refusals[1]?.message).toMatch(/^the secondary's QEMU 10\.0\.\d+ cannot enter COLO/);

    const client = await monitor(pair.primary);
    const before = await client.execute('query-named-block-nodes', { flat: true });
    const refused = await gannet('protect', ...config);
    expect(refused.code).not.toBe(0);
    expect(refused.json.error?.message).toMatch(/10\.0\.\d+ cannot enter COLO/);
    expect(await client.execute('query-named-block-nodes', { flat: true })).toHaveLength(
      before.length,
    );
    expect((await client.execute('query-status')).running).toBe(true);
  });

  it('is right: past the check, the migration completes without COLO', async () => {
    const { primary, disks } = pair.configOf('primary') as unknown as {
      readonly primary: { readonly nbd: string; readonly migrate: string };
      readonly disks: readonly { readonly device: string }[];
    };
    const links = disks.map(({ device }): DiskLink => {
      const server = { type: 'unix', path: primary.nbd.replace(/^unix:/, '') } as const;
      return { device, link: 'nbd', server, export: 'pvm', id: 'g0' };
    });
    await new SecondaryDriver(await monitor(pair.secondary)).prepare();
    const client = await monitor(pair.primary);
    const driver = new PrimaryDriver(client);
    await driver.seed(links);
    await driver.attach(links);
    const starting = driver.start({ uri: primary.migrate, periodMs: 1000, timeoutMs: 60_000 });
    await expect(starting).rejects.toMatchObject({ code: 'DRIVER_COLO_NOT_ENTERED' });
    expect((await client.execute('query-status')).status).toBe('postmigrate');
  });
});
