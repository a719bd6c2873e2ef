import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QEMU_PROCESSES } from '../../../src/daemon/vm/qemu-process.js';
import { QmpListener } from '../../../src/daemon/vm/qmp-listener.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-qemu-process-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A process that is called as QEMU is, with a monitor at that path. */
async function startQemu(socket: string): Promise<{ pid: number; kill: () => Promise<unknown> }> {
  const program = path.join(dir, 'qemu-system-test');
  await copyFile('/bin/bash', program);
  const child = spawn(program, ['-c', 'read line', '-qmp', `unix:${socket},server=on,wait=off`]);
  await once(child, 'spawn');
  const exited = once(child, 'exit');
  return { pid: child.pid ?? 0, kill: () => (child.kill('SIGKILL'), exited) };
}

describe('a QEMU whose socket is in no table of this network namespace', () => {
  test('is known by the path on its command line, and its end by its process', async () => {
    const socket = path.join(dir, 'web.qmp');
    const qemu = await startQemu(socket);
    const listener = await QmpListener.at({ type: 'unix', path: socket });
    expect(await listener.hasEnded()).toBe(false);
    await qemu.kill();
    expect(await listener.hasEnded()).toBe(true);
  });

  test('is not one with a longer or shorter path, and nobody is known without one', async () => {
    const qemu = await startQemu(path.join(dir, 'web.qmp'));
    for (const file of [path.join(dir, 'web.qm'), path.join(dir, 'web.qmp2'), undefined]) {
      expect(await QEMU_PROCESSES.ownersOf([], file)).toEqual([]);
    }
    const [found] = await QEMU_PROCESSES.ownersOf([], path.join(dir, 'web.qmp'));
    expect(found?.pid).toBe(qemu.pid);
    await qemu.kill();
  });
});
