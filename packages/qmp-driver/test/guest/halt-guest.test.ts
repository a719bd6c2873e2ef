import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { driveFakeVm, type DrivenVm, linkOf, protect } from '../support/driver.js';
import { DONE, refuse } from '../support/fake-vm.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];

beforeEach(async () => {
  ({ vm, qmp, driver } = await driveFakeVm());
  await protect(driver, linkOf('nbd'));
  vm.migrationConnected = true;
});
afterEach(() => qmp.close());

describe('halting the guest of a primary', () => {
  test('cuts the migration, and nothing else, before anything else is sent', async () => {
    const before = vm.qemu.received.length;
    await driver.halt();
    const [first, second] = vm.qemu.received.slice(before);
    expect(first).toMatchObject({ command: 'yank', oob: true });
    expect(second).toMatchObject({ command: 'stop' });
    expect(vm.yanked).toEqual(['migration']);
    expect(vm.status).toBe('paused');
  });

  test('stops it again if a checkpoint that was about to end has continued it', async () => {
    let stops = 0;
    vm.qemu.on('stop', () => {
      stops += 1;
      vm.status = stops < 3 ? 'running' : 'paused';
      return DONE;
    });
    await driver.halt();
    expect(stops).toBeGreaterThanOrEqual(3);
    expect(vm.status).toBe('paused');
  });

  test('a channel that is cut already is no obstacle', async () => {
    vm.qemu.on('yank', () => refuse('no such yank instance', 'DeviceNotFound'));
    await driver.halt();
    expect(vm.status).toBe('paused');
  });

  test('says so if QEMU will not stop', async () => {
    vm.qemu.on('stop', () => refuse('not now'));
    await expect(driver.halt()).rejects.toMatchObject({
      code: 'DRIVER_COMMAND_FAILED',
      message: 'the guest cannot be stopped: not now',
    });
  });
});
