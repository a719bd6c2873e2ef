import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { lstat, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryExport, NbdClient, NbdServer } from '../../src/index.js';
import type { NbdClientOptions } from '../../src/index.js';
import { eventually, start, withDirectory } from '../support/programs.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const PEERS: readonly [string, string, (path: string, image: string) => string[]][] = [
  [
    'qemu-nbd',
    'disk',
    (path, image) => ['-e', '4', '-k', path, '-x', 'disk', '-f', 'raw', '-t', image],
  ],
  ['nbdkit', '', (path, image) => ['-f', '-U', path, 'file', image]],
];

describe.each(PEERS)('the client against %s', (program, name, args) => {
  const talking = async (
    options: NbdClientOptions,
    use: (client: NbdClient, image: string) => Promise<void>,
    sizeBytes = 8 * MIB,
  ): Promise<void> =>
    withDirectory(async (directory) => {
      const [path, image] = [join(directory, 's'), join(directory, 'image')];
      await writeFile(image, '');
      await truncate(image, sizeBytes);
      const peer = start(program, ...args(path, image));
      try {
        const client = await eventually(
          () => NbdClient.connect({ path }, { export: name, ...options }),
          peer.child,
        );
        await use(client, image);
        await client.disconnect();
        expect((await NbdClient.list({ path })).map((each) => each.name)).toEqual([name]);
      } finally {
        await peer.stop();
      }
    });

  it.each([true, false])('reads and writes, structured %p', (structured) =>
    talking({ structured }, async (client, image) => {
      expect(client.sizeBytes).toBe(8 * MIB);
      expect(client.structured).toBe(structured);
      const data = randomBytes(3 * MIB);
      const parts = Array.from({ length: 48 }, (_, i) => i * 65536);
      await Promise.all(
        parts.map((at) => client.write(at + 512, data.subarray(at, at + 65536), { fua: true })),
      );
      await client.flush();
      const read = await Promise.all(parts.map((at) => client.read(at + 512, 65536)));
      expect(Buffer.concat(read).equals(data)).toBe(true);
      await client.writeZeroes(512, 65536);
      await client.trim(4 * MIB, MIB);
      await client.flush();
      expect((await readFile(image)).subarray(512, 512 + 65536).every((byte) => byte === 0)).toBe(
        true,
      );
      await expect(client.read(8 * MIB, 512)).rejects.toMatchObject({ code: 'NBD_COMMAND' });
    }),
  );

  it('asks for the block status', () =>
    talking({}, async (client) => {
      await client.write(MIB, randomBytes(65536));
      expect(client.hasBlockStatus).toBe(true);
      const extents = await client.blockStatus(0, 8 * MIB);
      expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(8 * MIB);
      const [one] = await client.blockStatus(MIB, 4096, { one: true });
      expect(one).toEqual({ length: 4096, hole: false, zero: false });
    }));

  it('zeroes 5 GiB with one request if the server has extended headers', () =>
    talking(
      {},
      async (client) => {
        const zeroes = client.writeZeroes(0, 5 * GIB);
        if (!client.extendedHeaders) {
          await expect(zeroes).rejects.toMatchObject({ wireError: 'EINVAL' });
          return;
        }
        await zeroes;
        const extents = await client.blockStatus(0, 6 * GIB);
        expect(extents.every(({ zero }) => zero)).toBe(true);
      },
      6 * GIB,
    ));

  it('is refused an export that is not there', () =>
    talking({}, async (_client, image) => {
      if (program !== 'qemu-nbd') return;
      const path = join(image, '..', 's');
      const wrong = NbdClient.connect({ path }, { export: 'wrong' });
      await expect(wrong).rejects.toMatchObject({ code: 'NBD_REFUSED', reason: 'unknown' });
    }));
});

describe('the client against this server', () => {
  it.each([
    [true, true],
    [false, false],
  ])('does everything, structured %p', (structured, hasBlockStatus) =>
    withDirectory(async (directory) => {
      const path = join(directory, 's');
      const disk = new MemoryExport('disk', MIB);
      const server = new NbdServer({ exports: [disk] });
      await server.listen({ path });
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      const client = await NbdClient.connect({ path }, { export: 'disk', structured });
      expect(client).toMatchObject({ sizeBytes: MIB, structured, hasBlockStatus });
      expect(client.blockSize).toEqual({ minimum: 1, preferred: 4096, maximum: 32 * MIB });
      const data = randomBytes(100_001);
      await client.write(4097, data, { fua: true });
      expect((await client.read(4097, 100_001)).equals(data)).toBe(true);
      await client.writeZeroes(5000, 1, { fast: true, noHole: true });
      await client.cache(0, 4096);
      await client.trim(0, 4096);
      await client.flush();
      expect(disk.data[5000]).toBe(0);
      if (hasBlockStatus) {
        const extents = await client.blockStatus(0, 8192);
        expect(extents).toEqual([
          { length: 4096, hole: true, zero: true },
          { length: 4096, hole: false, zero: false },
        ]);
      }
      await expect(client.read(MIB, 1)).rejects.toMatchObject({
        code: 'NBD_COMMAND',
        wireError: 'EINVAL',
      });
      const pending = client.read(0, 10);
      await client.disconnect();
      await expect(pending).resolves.toHaveLength(10);
      await expect(client.read(0, 1)).rejects.toMatchObject({ code: 'NBD_CONNECTION' });
      await server.close();
    }),
  );

  it('fails all that is pending with the first cause when the connection is lost', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 's');
      const disk = new MemoryExport('disk', MIB);
      const inner = disk.open();
      const hang = { ...inner, read: () => new Promise<void>(() => undefined) };
      const { name, sizeBytes, features, blockSize } = disk;
      const target = { name, sizeBytes, features, blockSize, open: () => hang };
      const server = new NbdServer({ exports: [target], limits: { closeMs: 10 } });
      await server.listen({ path });
      const client = await NbdClient.connect({ path });
      const pending = [client.read(0, 1), client.read(1, 1)];
      const outcomes = Promise.allSettled(pending);
      await client.flush();
      await server.close();
      const [first, second] = await outcomes;
      expect(first).toMatchObject({ status: 'rejected', reason: { code: 'NBD_CONNECTION' } });
      expect(second).toEqual(first);
      await expect(client.flush()).rejects.toMatchObject({ code: 'NBD_CONNECTION' });
    }));

  it('gives up on a server that says nothing, or something else', () =>
    withDirectory(async (directory) => {
      const sockets: Socket[] = [];
      let greeting = '';
      const path = join(directory, 's');
      const mute = createServer((socket) => {
        sockets.push(socket);
        socket.on('error', () => undefined).write(greeting);
      });
      await new Promise<void>((resolve) => mute.listen(path, resolve));
      const silent = NbdClient.connect({ path }, { timeoutMs: 20 });
      await expect(silent).rejects.toMatchObject({
        code: 'NBD_CONNECTION',
        message: 'no NBD handshake within 20 ms',
      });
      greeting = 'SSH-2.0-OpenSSH_9.2 not NBD';
      await expect(NbdClient.connect({ path })).rejects.toMatchObject({ code: 'NBD_PROTOCOL' });
      for (const socket of sockets) socket.destroy();
      mute.close();
      const nobody = NbdClient.connect({ path: join(directory, 'none') });
      await expect(nobody).rejects.toMatchObject({ code: 'NBD_CONNECTION' });
    }));
});

describe('the unix socket', () => {
  it('is replaced if no server answers on it, and only then', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 's');
      const stale = start('nbdkit', '-f', '-U', path, 'null', '1M');
      await eventually(() => NbdClient.list({ path }), stale.child);
      const second = new NbdServer({ exports: [] });
      await expect(second.listen({ path })).rejects.toMatchObject({ code: 'NBD_LISTEN' });
      stale.child.kill('SIGKILL');
      await new Promise((resolve) => stale.child.once('exit', resolve));
      expect((await lstat(path)).isSocket()).toBe(true);
      await second.listen({ path });
      await expect(NbdClient.list({ path })).resolves.toEqual([]);
      await second.close();
      await writeFile(path, 'precious');
      const third = new NbdServer({ exports: [] });
      await expect(third.listen({ path })).rejects.toThrow('is not a socket');
      expect(await readFile(path, 'utf8')).toBe('precious');
    }));
});
