import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import { NbdServer } from '@gannet/nbd';
import { temporaryFiles } from '../support/files.js';
import { TestVm } from '../support/vm.js';

const run = promisify(execFile);
const at = temporaryFiles();
const MIB = 1024 * 1024;
const DISK_BYTES = 32 * MIB;

/** Copies an export to a raw file. */
const TOOLS: readonly [string, (uri: string, file: string) => Promise<unknown>][] = [
  ['qemu-img', (uri, file) => run('qemu-img', ['convert', '-O', 'raw', uri, file])],
  ['nbdcopy', (uri, file) => run('nbdcopy', [uri, file])],
];

it.each(TOOLS)('%s makes a backup while epochs are written back', async (_name, copy) => {
  const disks = ['a', 'b'].map((name) => {
    return { name, base: at(`${name}.raw`), sizeBytes: DISK_BYTES };
  });
  const vm = (await TestVm.open(at, ['a', 'b'], { disks })).connectAll();
  const now = new Map(disks.map(({ name }) => [name, Buffer.alloc(DISK_BYTES)]));
  const write = async (name: string, offset: number, data: Buffer): Promise<void> => {
    await vm.pvm.get(name)?.write(offset, data, false);
    data.copy(now.get(name) as Buffer, offset);
  };
  for (const name of now.keys()) await write(name, 3 * MIB, randomBytes(8 * MIB));
  vm.commit();
  await using server = new NbdServer({ exports: vm.replica.exports, admission: vm.replica.gate });
  await server.listen({ path: at('nbd.sock'), mode: 0o600 });

  vm.replica.snapshots.hold();
  const pinned = new Map([...now].map(([name, data]) => [name, Buffer.from(data)]));
  const copying = new AbortController();
  const guest = (async (): Promise<void> => {
    for (let step = 0; !copying.signal.aborted; step++) {
      const offset = ((step * 37) % 31) * MIB + 4096 * (step % 7);
      for (const name of now.keys()) await write(name, offset, randomBytes(64 * 1024));
      vm.commit();
      await vm.writeBack();
    }
  })();
  for (const { name } of disks) {
    await copy(`nbd+unix:///${name}-snapshot?socket=${at('nbd.sock')}`, at(`${name}.copy`));
  }
  copying.abort();
  await guest;
  expect(vm.replica.snapshots.view?.keptBytes).toBeGreaterThan(0);
  expect(vm.replica.snapshots.view?.epoch).toBe(1);
  for (const [name, data] of pinned) {
    expect((await readFile(at(`${name}.copy`))).equals(data)).toBe(true);
  }
  expect(vm.replica.snapshots.drop()).toBe(true);
  await vm.replica.close();
});
