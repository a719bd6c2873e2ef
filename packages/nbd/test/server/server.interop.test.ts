import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { lstat, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryExport, NbdServer } from '../../src/index.js';
import type { ExportSession, NbdServerEvent } from '../../src/index.js';
import { run, withDirectory } from '../support/programs.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

interface Scene {
  readonly directory: string;
  readonly disk: MemoryExport;
  readonly events: NbdServerEvent[];
  readonly uri: string;
}

async function serving(
  transport: string,
  use: (scene: Scene) => Promise<void>,
  sizeBytes = 32 * MIB,
): Promise<void> {
  await withDirectory(async (directory) => {
    const disk = new MemoryExport('disk', sizeBytes, { description: 'a disk' });
    const events: NbdServerEvent[] = [];
    const exports = [disk, new MemoryExport('other', MIB)];
    const server = new NbdServer({ exports, onEvent: (event) => events.push(event) });
    const path = join(directory, 'nbd.sock');
    let uri = `nbd+unix:///disk?socket=${path}`;
    if (transport === 'unix') await server.listen({ path });
    else {
      const address = await server.listen({ host: '127.0.0.1', port: 0 });
      if ('port' in address) uri = `nbd://127.0.0.1:${address.port}/disk`;
    }
    try {
      await use({ directory, disk, events, uri });
    } finally {
      await server.close();
    }
    if (transport === 'unix') await expect(lstat(path)).rejects.toThrow('ENOENT');
    expect(events.filter(({ kind }) => kind === 'failed')).toEqual([]);
  });
}

describe.each(['unix', 'tcp'])('over %s', (transport) => {
  it('nbdinfo shows the exports', () =>
    serving(transport, async ({ uri }) => {
      const info = JSON.parse(await run('nbdinfo', '--json', uri)) as { exports: unknown[] };
      expect(info.exports).toMatchObject([
        {
          'export-name': 'disk',
          description: 'a disk',
          'export-size': 32 * MIB,
          contexts: ['base:allocation'],
          ...{ can_multi_conn: true, can_df: true, can_flush: true, can_fua: true },
          ...{ can_cache: true, can_fast_zero: true, can_trim: true, can_zero: true },
          ...{ block_size_minimum: 1, block_size_maximum: 32 * MIB },
        },
      ]);
      const list = await run('nbdinfo', '--list', uri.replace('/disk', '/'));
      expect(list).toContain('export="disk"');
      expect(list).toContain('export="other"');
    }));

  it('nbdcopy copies there and back with four connections', () =>
    serving(transport, async ({ uri, directory, disk, events }) => {
      const [from, to] = [join(directory, 'from'), join(directory, 'to')];
      const data = Buffer.concat([
        randomBytes(9 * MIB),
        Buffer.alloc(14 * MIB),
        randomBytes(9 * MIB),
      ]);
      await writeFile(from, data);
      await run('nbdcopy', '--connections=4', '--threads=4', '--flush', from, uri);
      expect(disk.data.equals(data)).toBe(true);
      expect(events.filter(({ kind }) => kind === 'opened')).toHaveLength(4);
      await run('nbdcopy', '--connections=4', '--threads=4', uri, to);
      expect((await readFile(to)).equals(data)).toBe(true);
    }));

  it('qemu-img sees size and holes, converts and compares', () =>
    serving(transport, async ({ uri, directory, disk }) => {
      randomBytes(MIB).copy(disk.data, 4 * MIB);
      const info = JSON.parse(await run('qemu-img', 'info', '--output=json', uri)) as unknown;
      expect(info).toMatchObject({ 'virtual-size': 32 * MIB });
      const map = JSON.parse(await run('qemu-img', 'map', '--output=json', uri)) as unknown[];
      expect(map).toMatchObject([
        { start: 0, length: 4 * MIB, zero: true, data: false },
        { start: 4 * MIB, length: MIB, zero: false, data: true },
        { start: 5 * MIB, length: 27 * MIB, zero: true, data: false },
      ]);
      const image = join(directory, 'image.qcow2');
      await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', uri, image);
      const before = Buffer.from(disk.data);
      disk.data.fill(1);
      await run('qemu-img', 'convert', '-n', '-f', 'qcow2', '-O', 'raw', image, uri);
      expect(disk.data.equals(before)).toBe(true);
      await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', image, uri);
    }));

  it('qemu-io verifies what it wrote, at any alignment', () =>
    serving(transport, async ({ uri, disk }) => {
      const commands = [
        ...['write -P 1 0 1M', 'write -P 2 4096 4096', 'write -P 3 512 512', 'write -P 4 4095 1'],
        ...['write -P 5 1234567 7654321', 'write -z 2M 64k', 'write -z -u 3M 64k'],
        ...['write -f -P 6 20M 8k', 'discard 24M 1M', 'flush'],
        ...['read -P 1 0 512', 'read -P 3 512 512', 'read -P 1 1024 3071', 'read -P 4 4095 1'],
        ...['read -P 2 4096 4096', 'read -P 1 8192 500k', 'read -P 5 1234567 800000'],
        ...['read -P 0 2M 64k', 'read -P 0 3M 64k', 'read -P 6 20M 8k', 'read -P 5 4M 100'],
      ];
      const output = await run('qemu-io', '-f', 'raw', ...commands.flatMap((c) => ['-c', c]), uri);
      expect(output).not.toMatch(/fail|error/i);
      expect(output.match(/^(read|wrote) /gm)).toHaveLength(19);
      expect(disk.data[4095]).toBe(4);
      await expect(run('qemu-io', '-f', 'raw', '-c', 'read -P 9 0 512', uri)).rejects.toThrow();
    }));

  it('qemu-io zeroes 6 GiB and maps 8 GiB, with extended headers or without', () =>
    withDirectory(async (directory) => {
      const covered = { zero: 0, trim: 0 };
      const inner = new MemoryExport('disk', MIB);
      const { features, blockSize } = inner;
      const open = (): ExportSession => ({
        ...inner.open(),
        writeZeroes: (_offset, length) => void (covered.zero += length),
        trim: (_offset, length) => void (covered.trim += length),
        blockStatus: (_offset, length) => [{ length, hole: true, zero: true }],
      });
      const disk = { name: 'disk', sizeBytes: 8 * GIB, features, blockSize, open };
      const server = new NbdServer({ exports: [disk] });
      const path = join(directory, 's');
      await server.listen({ path });
      const uri = `nbd+unix:///disk?socket=${path}`;
      try {
        const commands = ['-c', 'write -z -n 0 6G', '-c', 'discard 1G 1G'];
        await run('qemu-io', '-f', 'raw', ...commands, uri);
        const map = JSON.parse(await run('qemu-img', 'map', '--output=json', uri)) as unknown[];
        expect(map).toMatchObject([{ start: 0, length: 8 * GIB, zero: true }]);
      } finally {
        await server.close();
      }
      expect(covered).toEqual({ zero: 6 * GIB, trim: GIB });
    }));

  it('fio verifies random sizes', () =>
    serving(transport, async ({ uri, directory, events }) => {
      await run(
        'fio',
        ...['--name=verify', '--ioengine=nbd', `--uri=${uri}`, '--rw=randwrite', '--iodepth=16'],
        ...['--bsrange=512-256k', '--bs_unaligned=1', '--size=32m', '--verify=crc32c'],
        ...['--verify_fatal=1', '--do_verify=1', '--verify_backlog=64', `--aux-path=${directory}`],
      );
      expect(events.some(({ kind }) => kind === 'opened')).toBe(true);
    }));
});
