import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { NbdServer } from '@gannet/nbd';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { temporaryFiles } from '../support/files.js';
import { DISK_BYTES, TestVm } from '../support/vm.js';

const run = promisify(execFile);
const at = temporaryFiles();
const KIB = 1024;

let vm: TestVm;
let server: NbdServer;
let uri: string;
/** A disk full of data, protected. */
beforeEach(async () => {
  vm = await TestVm.open(at);
  server = new NbdServer({ exports: vm.replica.exports, admission: vm.replica.gate });
  const path = at('nbd.sock');
  await server.listen({ path });
  uri = `nbd+unix:///svm?socket=${path}`;
  vm.connect('pvm');
  await vm.pvm.get('disk')?.write(0, Buffer.alloc(DISK_BYTES, 0x55), false);
  vm.commit();
});
afterEach(async () => {
  await server.close();
  await vm.replica.close();
});

const write = (...commands: string[]): Promise<unknown> =>
  run('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), uri]);

/** Offsets of zeros and of data, as two clients see them. */
async function maps(): Promise<unknown[]> {
  const libnbd = JSON.parse((await run('nbdinfo', ['--map', '--json', uri])).stdout) as {
    offset: number;
    length: number;
    type: number;
  }[];
  const image = ['map', '--output=json', '-f', 'raw', uri];
  const qemu = JSON.parse((await run('qemu-img', image)).stdout) as {
    start: number;
    length: number;
    zero: boolean;
    data: boolean;
  }[];
  const text = (offset: number, length: number, kind: string): string =>
    `${offset / KIB}+${length / KIB} ${kind}`;
  const kinds = ['data', 'hole', 'zero', 'hole,zero'];
  return [
    libnbd.map(({ offset, length, type }) => text(offset, length, kinds[type] ?? '?')),
    qemu.map(({ start, length, zero, data }) => {
      return text(start, length, zero ? (data ? 'zero' : 'hole,zero') : 'data');
    }),
  ];
}

test('clients see zeros that are only in memory, and what the SVM writes there', async () => {
  expect(await maps()).toEqual([['0+256 data'], ['0+256 data']]);
  // What the primary zeroed and what the SVM discarded, side by side.
  await vm.pvm.get('disk')?.trim(16 * KIB, 32 * KIB, false);
  vm.commit();
  await write('discard 48k 16k', 'write -z 128k 64k');
  const zeroed = [
    ...['0+16 data', '16+48 hole,zero', '64+64 data'],
    ...['128+64 hole,zero', '192+64 data'],
  ];
  expect(await maps()).toEqual([zeroed, zeroed]);
  await write('write -P 0x77 20k 4k', 'write -z 132k 512');
  const written = [
    ...['0+16 data', '16+4 hole,zero', '20+4 data', '24+40 hole,zero', '64+64 data'],
    ...['128+4 hole,zero', '132+4 data', '136+56 hole,zero', '192+64 data'],
  ];
  expect(await maps()).toEqual([written, written]);
});

test('a copy through the map is the disk', async () => {
  await write('write -z 32k 128k', 'write -P 0x77 40k 4k', 'discard 200k 8k');
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, at('copy.raw')]);
  const disk = Buffer.alloc(DISK_BYTES, 0xaa);
  await vm.connect('svm').read(0, disk);
  expect((await readFile(at('copy.raw'))).equals(disk)).toBe(true);
});
