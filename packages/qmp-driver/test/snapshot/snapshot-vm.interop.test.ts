/** The state of devices goes from one QEMU to another, RAM beside it. */
import { open, stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { sharedRam } from '../../src/snapshot/shared-ram.js';
import { SnapshotVm } from '../../src/snapshot/snapshot-vm.js';
import { RealQemu } from '../support/real-qemu.js';

const RAM_BYTES = 64 << 20;
const SHARED = 'memory-backend-file,id=ram0,size=64M,share=on,mem-path=';

let qemu: RealQemu;
/** Of the VM that was started last. */
let lastPid: number | undefined;
beforeEach(async () => {
  qemu = await RealQemu.create();
});
afterEach(() => qemu.close());

async function start(name: string, ...args: readonly string[]): Promise<QmpClient> {
  const socket = qemu.path(`${name}.qmp`);
  const { pid } = qemu.run(
    ...['qemu-system-x86_64', '-S', '-nodefaults', '-display', 'none', '-accel', 'tcg'],
    ...['-qmp', `unix:${socket},server=on,wait=off`, '-device', 'virtio-rng-pci'],
    ...args,
  );
  lastPid = pid;
  return qemu.monitor({ kind: 'unix', path: socket });
}

function shared(name: string): string[] {
  const ram = `${SHARED}${qemu.path(`${name}.ram`)}`;
  return ['-object', ram, '-machine', 'q35,memory-backend=ram0', '-m', '64'];
}

test('what one VM saves, another loads; RAM is in neither', async () => {
  const [from, to] = [await start('from', ...shared('from')), await start('to', ...shared('to'))];
  const source = new SnapshotVm(from, { folder: qemu.folder, id: 'source' });
  const target = new SnapshotVm(to, { folder: qemu.folder, id: 'target' });
  const { path, bytes } = await source.prepare();
  expect(path).toBe(qemu.path('from.ram'));
  expect(bytes).toBe(RAM_BYTES);
  const { path: copied } = await target.prepare();

  // The firmware of one has run; that of the other never has.
  await source.resume();
  for (let turn = 0; turn < 500 && (await devicesOf(from)) === (await devicesOf(to)); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await source.pause();
  const state = await source.saveDevices();
  expect(state.length).toBeLessThan(8 << 20);
  expect((await stat(copied)).blocks).toBe(0);

  const ram = await open(path);
  const copy = await open(copied, 'r+');
  await copy.write(await ram.readFile(), 0, RAM_BYTES, 0);
  await Promise.all([ram.close(), copy.close()]);
  expect(await registersOf(to)).not.toBe(await registersOf(from));
  await target.loadDevices(state);
  expect(await registersOf(to)).toBe(await registersOf(from));

  // Again, and what was left behind disturbs nobody.
  await target.loadDevices(await source.saveDevices());
  for (const [vm, client] of [
    [source, from],
    [target, to],
  ] as const) {
    await vm.dispose();
    expect(await client.execute('query-jobs')).toEqual([]);
    expect(await client.execute('query-named-block-nodes')).toEqual([]);
  }
});

test('a VM that was too slow to load can load afterwards', async () => {
  const client = await start('vm', ...shared('vm'));
  const pid = lastPid ?? 0;
  const vm = new SnapshotVm(client, { folder: qemu.folder, stepTimeoutMs: 2000 });
  await vm.prepare();
  const state = await vm.saveDevices();
  process.kill(pid, 'SIGSTOP');
  await expect(vm.loadDevices(state)).rejects.toThrow();
  // Now it does all that it was told meanwhile: opens the image, and loads from it.
  process.kill(pid, 'SIGCONT');
  await vm.loadDevices(state);
  await vm.loadDevices(await vm.saveDevices());
  await vm.dispose();
  expect(await client.execute('query-jobs')).toEqual([]);
  expect(await client.execute('query-named-block-nodes')).toEqual([]);
});

test('RAM in a memfd is found through the process', async () => {
  const backend = ['-object', 'memory-backend-memfd,id=ram0,size=64M', '-m', '64'];
  const client = await start('vm', ...backend, '-machine', 'q35,memory-backend=ram0');
  await expect(sharedRam(client)).rejects.toMatchObject({ code: 'DRIVER_RAM_NOT_SHARED' });
  const { path, bytes } = await sharedRam(client, { pid: lastPid });
  expect(bytes).toBe(RAM_BYTES);
  const file = await open(path, 'r+');
  expect((await file.stat()).size).toBe(RAM_BYTES);
  await file.close();
});

describe('refused', () => {
  test('a state that is none, with what QEMU says; the VM can load another one', async () => {
    const client = await start('vm', ...shared('vm'));
    const vm = new SnapshotVm(client, { folder: qemu.folder });
    await vm.prepare();
    const state = await vm.saveDevices();
    const noImage = { code: 'DRIVER_ADD_FAILED' };
    await expect(vm.loadDevices(Buffer.alloc(70_000, 1))).rejects.toMatchObject(noImage);
    // The image is well, and the state in it is not.
    const garbled = Buffer.from(state);
    const at = garbled.indexOf('QEVM');
    garbled.fill(0xff, at + 500, at + 30_000);
    const failed = { code: 'DRIVER_SNAPSHOT_FAILED' };
    await expect(vm.loadDevices(garbled)).rejects.toMatchObject(failed);
    await vm.loadDevices(state);
  });

  test.each([
    ['private RAM', []],
    ['RAM on no file', ['-object', 'memory-backend-ram,id=ram0,size=64M,share=on']],
  ])('%s', async (_, args) => {
    const machine = args.length > 0 ? ['-machine', 'q35,memory-backend=ram0'] : [];
    const client = await start('vm', '-m', '64', ...args, ...machine);
    const refused = { code: 'DRIVER_RAM_NOT_SHARED' };
    await expect(sharedRam(client)).rejects.toMatchObject(refused);
  });
});

async function registersOf(client: QmpClient): Promise<string> {
  const command = { 'command-line': 'info registers' };
  return client.execute('human-monitor-command', command);
}

/** Where the firmware has put the devices. */
async function devicesOf(client: QmpClient): Promise<string> {
  return JSON.stringify(await client.execute('query-pci'));
}
