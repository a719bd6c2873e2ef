import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { SecondaryDriver } from '../src/index.js';
import { DONE, FakeVm, refuse } from './support/fake-vm.js';

let vm: FakeVm;
let qmp: QmpClient;
let driver: SecondaryDriver;

beforeEach(async () => {
  vm = new FakeVm();
  qmp = await vm.connect();
  const options = { pollMs: 5, hungAfterMs: 30, commandTimeoutMs: 20_000 };
  driver = new SecondaryDriver(qmp, options);
});
afterEach(() => qmp.close());

describe('prepare', () => {
  test('readies a VM that waits', async () => {
    vm.status = 'inmigrate';
    await driver.prepare();
    expect(vm.xColo).toBe(true);
  });

  test.each(['running', 'paused', 'prelaunch'])('refuses one that is %s', async (status) => {
    vm.status = status;
    await expect(driver.prepare()).rejects.toMatchObject({ code: 'DRIVER_NOT_INCOMING' });
    expect(vm.xColo).toBe(false);
  });

  test('QEMU does not know x-colo', async () => {
    vm.status = 'inmigrate';
    vm.qemu.on('migrate-set-capabilities', () => refuse('Parameter x-colo is unexpected'));
    await expect(driver.prepare()).rejects.toMatchObject({ code: 'DRIVER_COLO_UNSUPPORTED' });
  });
});

describe('what the guest runs in', () => {
  let told: string[];

  beforeEach(async () => {
    told = [];
    vm.status = 'inmigrate';
    const onRanWithoutColo = ({ code }: { code: string }) => void told.push(code);
    driver = new SecondaryDriver(qmp, { onRanWithoutColo });
    await driver.prepare();
    vm.status = 'running';
  });

  /** All that follows an event has been answered. */
  async function resume(): Promise<void> {
    vm.qemu.emit('RESUME');
    for (let answer = 0; answer < 3; answer++) await qmp.execute('query-status');
  }

  test('a guest that runs without COLO is a second copy: it is stopped', async () => {
    await resume();
    expect(vm.status).toBe('paused');
    expect(told).toEqual(['DRIVER_COLO_NOT_ENTERED']);
  });

  test('one that does not stop is reported, too', async () => {
    vm.qemu.on('stop', () => refuse('no'));
    await resume();
    expect(told).toEqual(['DRIVER_COLO_NOT_ENTERED']);
  });

  test.each([
    { mode: 'secondary', 'last-mode': 'none', reason: 'none' },
    { mode: 'none', 'last-mode': 'secondary', reason: 'request' },
  ])('in COLO, or after it, it runs on: $mode, $last-mode', async (colo) => {
    vm.colo = colo;
    await resume();
    vm.colo = { mode: 'none', 'last-mode': 'none', reason: 'none' };
    await resume();
    expect(vm.sent('stop')).toEqual([]);
    expect(told).toEqual([]);
  });
});

describe('failOver', () => {
  beforeEach(() => {
    vm.colo = { mode: 'secondary', 'last-mode': 'none', reason: 'none' };
    vm.migrationConnected = true;
  });

  test('resolves when the guest has resumed; again is harmless', async () => {
    // So patient that a busy machine does not pass for a hung QEMU.
    const patient = new SecondaryDriver(qmp, { pollMs: 5, hungAfterMs: 20_000 });
    await patient.failOver({ timeoutMs: 20_000 });
    expect(vm.colo).toMatchObject({ mode: 'none', 'last-mode': 'secondary' });
    await patient.failOver({ timeoutMs: 20_000 });
    expect(vm.sent('x-colo-lost-heartbeat')).toHaveLength(1);
    expect(vm.yanked).toEqual([]);
  });

  test('waits for the RESUME, not for the mode alone', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => {
      vm.colo = { mode: 'none', 'last-mode': 'secondary', reason: 'request' };
      return DONE;
    });
    let done = false;
    const over = driver.failOver({ timeoutMs: 2000 }).then(() => (done = true));
    await vm.qemu.nextRequest('x-colo-lost-heartbeat');
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(done).toBe(false);
    vm.qemu.emit('STOP');
    vm.qemu.emit('RESUME');
    await over;
  });

  test("is not taken in by a last checkpoint's RESUME", async () => {
    vm.qemu.on('x-colo-lost-heartbeat', (_request, peer) => {
      vm.colo = { mode: 'none', 'last-mode': 'secondary', reason: 'request' };
      peer.emit('RESUME');
      return DONE;
    });
    vm.qemu.on('query-colo-status', () => {
      if (vm.sent('query-colo-status').length === 2) setTimeout(() => vm.qemu.emit('STOP'), 1);
      return { return: vm.colo };
    });
    const over = driver.failOver({ timeoutMs: 120 });
    await expect(over).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
  });

  test('cuts a hung migration channel, out-of-band', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => DONE);
    vm.qemu.on('yank', ({ oob, arguments: args }) => {
      expect(oob).toBe(true);
      expect(args).toEqual({ instances: [{ type: 'migration' }] });
      vm.colo = { mode: 'none', 'last-mode': 'secondary', reason: 'request' };
      vm.qemu.emit('RESUME');
      return DONE;
    });
    await driver.failOver({ timeoutMs: 500 });
    expect(vm.sent('yank')).toHaveLength(1);
  });

  test('there is nothing to take over', async () => {
    vm.colo = { mode: 'none', 'last-mode': 'none', reason: 'none' };
    await expect(driver.failOver({ timeoutMs: 100 })).rejects.toMatchObject({
      code: 'DRIVER_NOT_SECONDARY',
      message: 'this VM is no secondary in COLO: its mode is none, its last none',
    });
    expect(vm.sent('x-colo-lost-heartbeat')).toEqual([]);
  });

  test('a primary does not take over', async () => {
    vm.colo = { mode: 'primary', 'last-mode': 'none', reason: 'none' };
    const over = driver.failOver({ timeoutMs: 100 });
    await expect(over).rejects.toMatchObject({ code: 'DRIVER_NOT_SECONDARY' });
  });

  test('QEMU refuses', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => refuse('no'));
    await expect(driver.failOver({ timeoutMs: 100 })).rejects.toMatchObject({
      code: 'DRIVER_FAILOVER_FAILED',
      message: 'QEMU refused to fail over: no',
    });
  });

  test('somebody else was quicker', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', (_request, peer) => {
      vm.colo = { mode: 'none', 'last-mode': 'secondary', reason: 'request' };
      peer.emit('STOP');
      peer.emit('RESUME');
      return refuse('COLO failover is already activated');
    });
    await driver.failOver({ timeoutMs: 300 });
  });

  test('it never gets there', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => DONE);
    await expect(driver.failOver({ timeoutMs: 80 })).rejects.toMatchObject({
      code: 'DRIVER_DEADLINE',
    });
  });

  test('the caller aborts', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => DONE);
    const controller = new AbortController();
    const over = driver.failOver({ timeoutMs: 1000, signal: controller.signal });
    await vm.qemu.nextRequest('x-colo-lost-heartbeat');
    controller.abort();
    await expect(over).rejects.toMatchObject({ code: 'DRIVER_ABORTED' });
  });

  test('QEMU dies', async () => {
    vm.qemu.on('x-colo-lost-heartbeat', () => DONE);
    const over = driver.failOver({ timeoutMs: 1000 });
    await vm.qemu.nextRequest('x-colo-lost-heartbeat');
    await vm.qemu.drop();
    await expect(over).rejects.toMatchObject({ name: expect.stringMatching(/Colo|Failover/) });
  });
});
