import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { MoveError, SecondaryDriver } from '../../src/index.js';
import { DONE, FakeVm, refuse } from '../support/fake-vm.js';

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

describe('moveToLocal', () => {
  const local = {
    device: 'vb0',
    file: { driver: 'file', filename: '/nowhere/s.raw' },
    id: 'local0',
  } as const;
  const nothing = (): Promise<void> => Promise.resolve();

  beforeEach(async () => {
    // The secondary's disk: the quorum over the replicator's export alone.
    const server = { type: 'unix', path: '/nowhere/nbd.sock' } as const;
    await qmp.execute('blockdev-add', { driver: 'nbd', 'node-name': 'svm0', server });
    const quorum = vm.nodes.get('quorum0');
    quorum?.children.clear();
    quorum?.children.set('children.0', 'svm0');
    vm.qemu.on('stop', () => {
      vm.status = 'paused';
      return DONE;
    });
    vm.qemu.on('cont', () => {
      vm.status = 'running';
      return DONE;
    });
    vm.qemu.received.length = 0;
  });

  /** For waits that have to time out. Others must not take a busy machine for a hung QEMU. */
  const impatient = (): SecondaryDriver =>
    new SecondaryDriver(qmp, { pollMs: 5, commandTimeoutMs: 1000, moveTimeoutMs: 1500 });

  test('stops, drains, swaps, continues, in that order', async () => {
    let seen: string[] = [];
    await driver.moveToLocal([local], () => {
      expect(vm.status).toBe('paused');
      seen = vm.commands();
      return Promise.resolve();
    });
    expect(seen).not.toContain('x-blockdev-change');
    expect(vm.children('quorum0')).toEqual(['children.1=gannet-local0']);
    expect(vm.nodes.has('svm0')).toBe(false);
    expect(vm.status).toBe('running');
    expect(vm.sent('blockdev-add')).toEqual([
      { ...local.file, 'node-name': 'gannet-local0-try', locking: 'off' },
      {
        driver: 'raw',
        'node-name': 'gannet-local0-try',
        'read-only': true,
        file: { ...local.file, locking: 'off' },
      },
      { driver: 'raw', 'node-name': 'gannet-local0', file: local.file },
    ]);
    const steps = vm.commands().filter((one) => !/query|qom-list/.test(one));
    expect(steps).toEqual([
      'blockdev-add',
      'blockdev-del',
      'blockdev-add',
      'blockdev-del',
      'stop',
      'blockdev-add',
      'x-blockdev-change',
      'x-blockdev-change',
      'blockdev-del',
      'cont',
    ]);
  });

  test('leaves a guest stopped that did not run', async () => {
    vm.status = 'paused';
    await driver.moveToLocal([local], nothing);
    expect(vm.status).toBe('paused');
    expect(vm.sent('stop')).toEqual([]);
  });

  test('touches nothing without a quorum', async () => {
    const disks = [local, { ...local, device: 'drive1', id: 'local1' }];
    await expect(driver.moveToLocal(disks, nothing)).rejects.toMatchObject({
      code: 'DRIVER_NO_QUORUM',
    });
    expect(vm.sent('stop')).toEqual([]);
  });

  test('cannot stop', async () => {
    vm.qemu.on('stop', () => 'silence');
    const moving = impatient().moveToLocal([local], nothing);
    const error: unknown = await moving.catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MoveError);
    expect(error).toMatchObject({ code: 'DRIVER_MOVE_UNDONE', guestStopped: false });
    expect(vm.commands().slice(-2)).toEqual(['stop', 'cont']);
  });

  async function undone(message: RegExp): Promise<void> {
    const error: unknown = await driver.moveToLocal([local], nothing).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'DRIVER_MOVE_UNDONE', guestStopped: true });
    expect((error as MoveError).message).toMatch(message);
    expect(vm.children('quorum0').map((child) => child.split('=')[1])).toEqual(['svm0']);
    expect(vm.nodes.has('gannet-local0')).toBe(false);
    expect(vm.status).toBe('paused');
  }

  test('draining fails', async () => {
    const failing = driver.moveToLocal([local], () => Promise.reject(new Error('disk full')));
    await expect(failing).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNDONE',
      guestStopped: true,
      message: 'the disks stay on the replicator: the buffers could not be written: disk full',
    });
    expect(vm.children('quorum0')).toEqual(['children.0=svm0']);
  });

  test('the file is not there', async () => {
    vm.qemu.once('blockdev-add', () => refuse('Could not open: No such file or directory'));
    const drain = jest.fn(nothing);
    await expect(driver.moveToLocal([local], drain)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNDONE',
      guestStopped: false,
      message: expect.stringMatching(
        /^QEMU cannot open \/nowhere\/s\.raw.*No such file or directory/,
      ),
    });
    expect(vm.sent('stop')).toEqual([]);
    expect(vm.status).toBe('running');
    expect(drain).not.toHaveBeenCalled();
  });

  test('the file has another format than it should have', async () => {
    vm.qemu.once('blockdev-add', () => DONE);
    vm.qemu.once('blockdev-add', () => refuse('Image is not in qcow2 format'));
    const drain = jest.fn(nothing);
    await expect(driver.moveToLocal([{ ...local, format: 'qcow2' }], drain)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNDONE',
      guestStopped: false,
      message: expect.stringMatching(/Image is not in qcow2 format/),
    });
    expect(vm.status).toBe('running');
    expect(drain).not.toHaveBeenCalled();
  });

  test('the file cannot be opened at the end, after all', async () => {
    vm.qemu.once('blockdev-add', () => DONE);
    vm.qemu.once('blockdev-add', () => DONE);
    vm.qemu.once('blockdev-add', () => refuse('Could not open: Permission denied'));
    await undone(/Permission denied/);
  });

  test('asked again, it continues the guest that the first attempt has stopped', async () => {
    vm.qemu.once('x-blockdev-change', () => refuse('sizes differ'));
    await undone(/sizes differ/);
    const outcome = await driver.moveToLocal([local], nothing);
    expect(outcome).toEqual({ guestStopped: false });
    expect(vm.status).toBe('running');
    expect(vm.children('quorum0').map((child) => child.split('=')[1])).toEqual(['gannet-local0']);
  });

  test('asked again after the move, it neither stops the guest nor drains', async () => {
    await driver.moveToLocal([local], nothing);
    const before = vm.commands().length;
    const drain = jest.fn(nothing);
    expect(await driver.moveToLocal([local], drain)).toEqual({ guestStopped: false });
    expect(drain).not.toHaveBeenCalled();
    expect(
      vm
        .commands()
        .slice(before)
        .filter((name) => !/query|qom-list/.test(name)),
    ).toEqual([]);
    const later = new SecondaryDriver(qmp, { pollMs: 5 });
    expect(await later.moveToLocal([local], drain)).toEqual({ guestStopped: false });
    expect(vm.status).toBe('running');
  });

  test('asked again when only cont had failed, it continues', async () => {
    vm.qemu.once('cont', () => refuse('not now'));
    await expect(driver.moveToLocal([local], nothing)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNTIDY',
      guestStopped: true,
    });
    expect(await driver.moveToLocal([local], nothing)).toEqual({ guestStopped: false });
    expect(vm.status).toBe('running');
  });

  test('asked again when a node was left, it deletes the node', async () => {
    let refused = 0;
    vm.qemu.on('blockdev-del', ({ arguments: args }) => {
      const name = String(args['node-name']);
      refused += name === 'svm0' ? 1 : 0;
      if (name === 'svm0' && refused === 1) return refuse('Node svm0 is busy for a while');
      vm.nodes.delete(name);
      return DONE;
    });
    await expect(driver.moveToLocal([local], nothing)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNTIDY',
      guestStopped: false,
    });
    expect(vm.nodes.has('svm0')).toBe(true);
    await driver.moveToLocal([local], nothing);
    expect(vm.nodes.has('svm0')).toBe(false);
  });

  test('a node of somebody else that has the name stays, and is not in the way', async () => {
    await qmp.execute('blockdev-add', { driver: 'null-co', 'node-name': 'gannet-local0' });
    vm.qemu.once('x-blockdev-change', () => refuse('sizes differ'));
    const failing = driver.moveToLocal([local], nothing);
    await expect(failing).rejects.toMatchObject({ code: 'DRIVER_MOVE_UNDONE' });
    expect([...vm.nodes.keys()].filter((name) => name.startsWith('gannet-local0'))).toEqual([
      'gannet-local0',
    ]);
    await driver.moveToLocal([local], nothing);
    expect(vm.nodes.get('gannet-local0')?.drv).toBe('null-co');
    expect(vm.children('quorum0').map((child) => child.split('=')[1])).toEqual(['gannet-local0-1']);
  });

  test('says so of a guest that somebody else has stopped', async () => {
    vm.status = 'paused';
    expect(await driver.moveToLocal([local], nothing)).toEqual({ guestStopped: true });
  });

  test('the quorum does not take the file', async () => {
    vm.qemu.once('x-blockdev-change', () => refuse('sizes differ'));
    await undone(/node gannet-local0 cannot be added to quorum quorum0: sizes differ/);
  });

  test('the old child does not go', async () => {
    // The first change adds the file, and the fake makes it so; the second removes the old child.
    const quorum = vm.nodes.get('quorum0');
    vm.qemu.once('x-blockdev-change', () => {
      quorum?.children.set('children.1', 'gannet-local0');
      return DONE;
    });
    vm.qemu.once('x-blockdev-change', () => refuse('too few children'));
    await undone(/children\.0 \(node svm0\) cannot leave quorum quorum0: too few children/);
  });

  test('a second disk fails when the first was swapped: both stay', async () => {
    const quorum = vm.nodes.get('quorum0');
    vm.qemu.once('x-blockdev-change', () => {
      quorum?.children.set('children.1', 'gannet-local0');
      return DONE;
    });
    vm.qemu.once('x-blockdev-change', () => {
      quorum?.children.delete('children.0');
      return refuse('said no and did it');
    });
    await undone(/said no and did it/);
  });

  test('undoing fails, too', async () => {
    vm.qemu.on('x-blockdev-change', () => refuse('no'));
    vm.qemu.on('blockdev-del', () => refuse('never'));
    await expect(driver.moveToLocal([local], nothing)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_STUCK',
      guestStopped: true,
      message: expect.stringContaining('node gannet-local0 cannot be deleted: never'),
    });
  });

  test('the old node stays: the guest goes on all the same', async () => {
    vm.qemu.on('blockdev-del', () => refuse('Block device svm0 is in use'));
    await expect(impatient().moveToLocal([local], nothing)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNTIDY',
      guestStopped: false,
    });
    expect(vm.children('quorum0')).toEqual(['children.1=gannet-local0']);
    expect(vm.status).toBe('running');
  });

  test('cont fails', async () => {
    vm.qemu.on('cont', () => refuse('Resetting the Virtual Machine is required'));
    await expect(driver.moveToLocal([local], nothing)).rejects.toMatchObject({
      code: 'DRIVER_MOVE_UNTIDY',
      guestStopped: true,
    });
  });
});
