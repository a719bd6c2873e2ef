/** The way out: links are cut, and the block graph is as it was. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PrimaryDriver } from '../src/index.js';
import { driveFakeVm, type DrivenVm, FAST, linkOf, ORIGINAL, protect } from './support/driver.js';
import { DONE, FakeVm, refuse } from './support/fake-vm.js';

const SOCKET = { type: 'unix', path: '/nowhere/net.sock' } as const;

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];
let failures: DrivenVm['failures'];

beforeEach(async () => {
  ({ vm, qmp, driver, failures } = await driveFakeVm());
});
afterEach(() => qmp.close());

describe('running alone', () => {
  test.each(['replication', 'nbd', 'mirror'] as const)('%s: all is as it was', async (link) => {
    await protect(driver, linkOf(link));
    vm.migrationConnected = true;
    await driver.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0']);
    expect(vm.jobs.size).toBe(0);
    expect(vm.colo).toMatchObject({ mode: 'none', 'last-mode': 'primary' });
    expect(vm.xColo).toBe(false);
    expect(vm.yanked).toContain('migration');
    expect(failures).toEqual([]);
    const commands = vm.commands();
    const first = (name: string): number => commands.lastIndexOf(name);
    expect(commands.indexOf('yank')).toBeLessThan(first('blockdev-del'));
    expect(first('blockdev-del')).toBeLessThan(first('x-colo-lost-heartbeat'));
    await driver.runAlone();
  });

  test('cuts by out-of-band commands, and nothing that is not ours', async () => {
    await qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': 'backup',
      server: { type: 'unix', path: '/b' },
    });
    await protect(driver, linkOf('replication'));
    await driver.runAlone();
    expect(vm.yanked).toEqual(['g0-nbd', 'migration']);
    const yanks = vm.qemu.received.filter(({ command }) => command.endsWith('yank'));
    expect(yanks.length).toBeGreaterThan(1);
    expect(yanks.every(({ oob }) => oob)).toBe(true);
  });

  test('never cuts a monitor, whatever its name is (C1)', async () => {
    vm.chardevsConnected = ['gannet-qmp', 'gannet-mirrored-net0', 'gannet-mirrored-net1'];
    vm.migrationConnected = true;
    const network = [{ netdev: 'net0', mirror: SOCKET, compare: SOCKET }];
    const withCard = new PrimaryDriver(qmp, { ...FAST, network });
    await withCard.seed([linkOf('nbd')]);
    await withCard.cutLinks(1000);
    expect(vm.yanked).toEqual(['gannet-mirrored-net0', 'g0-seed', 'migration']);
  });

  test('a mirror that ends because it was cut is no news', async () => {
    await protect(driver, linkOf('mirror'));
    vm.qemu.on('yank', () => {
      vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
      return DONE;
    });
    await driver.runAlone();
    expect(failures).toEqual([]);
    await driver.seed([linkOf('mirror')]);
    vm.endJob('g0-seed', 'BLOCK_JOB_COMPLETED', 'Input/output error');
    await qmp.execute('query-status');
    expect(failures).toHaveLength(1);
  });

  test('asks again when a connection ended between listing and cutting', async () => {
    await protect(driver, linkOf('nbd'));
    vm.qemu.once('yank', () => refuse('Instance not found', 'DeviceNotFound'));
    await driver.runAlone();
    expect(vm.yanked).toEqual(['g0-link', 'migration']);
  });

  test('takes the child by the name that it has', async () => {
    await protect(driver, linkOf('nbd'));
    const quorum = vm.nodes.get('quorum0');
    quorum?.children.delete('children.1');
    quorum?.children.set('children.7', 'g0-link');
    await driver.runAlone();
    const removed = { parent: 'quorum0', child: 'children.7' };
    expect(vm.sent('x-blockdev-change')).toContainEqual(removed);
  });

  test('takes the child from a quorum that somebody has put a snapshot on', async () => {
    await protect(driver, linkOf('nbd'));
    const children = new Map([['backing', 'quorum0']]);
    vm.nodes.set('over', { drv: 'qcow2', sizeBytes: 2 ** 20, children, own: new Set() });
    vm.top = 'over';
    await driver.checkGraph();
    expect(failures).toMatchObject([{ message: expect.stringContaining('has lost its replica') }]);
    await driver.runAlone();
    expect([...vm.nodes.keys()]).toEqual([...ORIGINAL, 'over']);
    expect(vm.children('quorum0')).toEqual(['children.0=disk0']);
  });

  test('waits for a node that is still in use', async () => {
    await protect(driver, linkOf('nbd'));
    for (let busy = 0; busy < 3; busy += 1) {
      vm.qemu.once('blockdev-del', () => refuse('Block device g0-link is in use'));
    }
    await driver.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('gives up at its deadline, and still ends COLO', async () => {
    await protect(driver, linkOf('nbd'));
    vm.qemu.on('blockdev-del', () => refuse('Block device g0-link is in use'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message: 'node g0-link cannot be deleted: Block device g0-link is in use',
    });
    expect(vm.sent('blockdev-del').length).toBeGreaterThan(5);
    expect(vm.colo.mode).toBe('none');
  });

  test('does not repeat what is refused for another reason', async () => {
    await protect(driver, linkOf('nbd'));
    const before = vm.sent('blockdev-del').length;
    vm.qemu.on('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message: 'node g0-link cannot be deleted: Node g0-link is not owned by the monitor',
    });
    expect(vm.sent('blockdev-del')).toHaveLength(before + 1);
    expect(vm.colo.mode).toBe('none');
  });

  test('a child that cannot leave', async () => {
    await protect(driver, linkOf('nbd'));
    vm.qemu.on('x-blockdev-change', () => refuse('The number of children cannot be lower'));
    await expect(driver.runAlone()).rejects.toMatchObject({
      code: 'DRIVER_REMOVE_FAILED',
      message:
        'children.1 (node g0-link) cannot leave quorum quorum0: ' +
        'The number of children cannot be lower',
    });
  });

  test('a connection without out-of-band still lets go, and says so', async () => {
    const plain = new FakeVm({ capabilities: [] });
    const client = await plain.connect();
    const alone = new PrimaryDriver(client, FAST);
    await alone.seed([linkOf('nbd')]);
    await expect(alone.runAlone()).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
    expect([...plain.nodes.keys()]).toEqual(ORIGINAL);
    await client.close();
  });

  test('a restarted driver adopts what it finds', async () => {
    await protect(driver, linkOf('mirror'));
    const later = new PrimaryDriver(qmp, FAST);
    await later.adopt([linkOf('mirror')]);
    await later.finishSeed();
    expect(vm.jobs.size).toBe(1);
    await later.runAlone();
    expect([...vm.nodes.keys()]).toEqual(ORIGINAL);
  });

  test('a rollback that failed is finished by the next seed', async () => {
    await protect(driver, linkOf('nbd'));
    vm.qemu.once('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_REMOVE_FAILED' });
    expect(vm.nodes.has('g0-link')).toBe(true);
    await driver.seed([linkOf('nbd')]);
    expect(vm.nodes.has('g0-link')).toBe(false);
    await driver.attach([linkOf('nbd')]);
    expect(vm.children('quorum0')).toHaveLength(2);
  });

  test('a rollback that fails again refuses the next seed', async () => {
    await protect(driver, linkOf('nbd'));
    vm.qemu.on('blockdev-del', () => refuse('Node g0-link is not owned by the monitor'));
    await expect(driver.rollback()).rejects.toMatchObject({ code: 'DRIVER_REMOVE_FAILED' });
    const before = vm.sent('blockdev-mirror').length;
    const code = 'DRIVER_REMOVE_FAILED';
    await expect(driver.seed([linkOf('nbd')])).rejects.toMatchObject({ code });
    expect(vm.sent('blockdev-mirror')).toHaveLength(before);
  });

  test('a migration under way is cancelled', async () => {
    await driver.seed([linkOf('nbd')]);
    vm.migration = 'active';
    await driver.rollback();
    expect(vm.migration).toBe('cancelled');
    expect(vm.sent('x-colo-lost-heartbeat')).toEqual([]);
  });
});
