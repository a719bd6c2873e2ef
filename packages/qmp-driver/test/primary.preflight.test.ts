import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PrimaryDriver } from '../src/index.js';
import { driveFakeVm, type DrivenVm, FAST, linkOf } from './support/driver.js';
import { FakeVm, refuse } from './support/fake-vm.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];

beforeEach(async () => {
  ({ vm, qmp, driver } = await driveFakeVm());
});
afterEach(() => qmp.close());

/** The other disk of the fake. */
const OTHER = linkOf('mirror', { device: 'drive1', id: 'g1' });

describe('preflight', () => {
  test('nothing to say', async () => {
    expect(await driver.preflight([linkOf('replication'), OTHER])).toEqual([]);
  });

  test.each([
    [10, 0, 0, true],
    [10, 0, 2, true],
    [10, 0, 6, true],
    [10, 0, 7, false],
    [10, 0, 13, false],
    [10, 1, 0, true],
    [10, 1, 2, true],
    [10, 1, 3, false],
    [11, 1, 3, false],
    [9, 0, 2, false],
    [7, 2, 22, false],
  ])('QEMU %i.%i.%i: broken is %s', async (major, minor, micro, broken) => {
    const other = new FakeVm({ version: { major, minor, micro } });
    const client = await other.connect();
    const findings = await new PrimaryDriver(client, FAST).preflight([linkOf('mirror'), OTHER]);
    expect(findings.map(({ code }) => code)).toEqual(broken ? ['colo-broken-version'] : []);
    await client.close();
  });

  test('what this QEMU lacks', async () => {
    const bare = new FakeVm({ capabilities: [] });
    bare.qemu.reply('query-migrate-capabilities', [{ capability: 'events', state: false }]);
    bare.qemu.reply('query-qmp-schema', []);
    const client = await bare.connect();
    const findings = await new PrimaryDriver(client, FAST).preflight([
      linkOf('replication'),
      OTHER,
    ]);
    expect(findings.map(({ code }) => code)).toEqual([
      'oob-missing',
      'colo-not-built',
      'driver-missing',
      'driver-missing',
      'driver-missing',
    ]);
    await client.close();
  });

  test('what is in the way', async () => {
    await driver.seed([linkOf('nbd')]);
    await qmp.executeRaw('blockdev-mirror', {
      'job-id': 'mine',
      device: 'plainnode',
      target: 'g0-seed',
    });
    vm.status = 'paused';
    vm.migration = 'active';
    const disks = [
      linkOf('nbd'),
      linkOf('nbd', { device: 'drive1', id: 'g1' }),
      linkOf('nbd', { device: 'quorum0', id: 'g2' }),
      linkOf('nbd', { device: 'vdz', id: 'g3' }),
    ];
    const findings = await driver.preflight(disks);
    expect(findings.map(({ code, device }) => `${code} ${device ?? ''}`.trim())).toEqual([
      'not-running',
      'migration-under-way',
      'already-linked vb0',
      'job-in-the-way drive1',
      'no-quorum drive1',
      'disk-named-twice quorum0',
      'job-in-the-way quorum0',
      'disk-not-found vdz',
    ]);
    expect(findings.every(({ remedy }) => remedy.endsWith('.'))).toBe(true);
  });

  test('QEMU does not answer', async () => {
    vm.qemu.on('query-migrate', () => 'silence');
    await expect(driver.preflight([])).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    vm.qemu.on('query-migrate', () => refuse('no'));
    await expect(driver.preflight([])).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
  });
});
