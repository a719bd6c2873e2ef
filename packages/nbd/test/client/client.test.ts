import { describe, expect, it } from '@jest/globals';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { MemoryExport, NbdClient, NbdServer } from '../../src/index.js';
import type { Extent, ExportSession, NbdClientOptions, NbdExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { withDirectory } from '../support/programs.js';
import { settle } from '../support/wire-peer.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** An export of 8 GiB that holds nothing. */
function huge(changes: Partial<ExportSession>): NbdExport {
  const disk = new MemoryExport('disk', MIB);
  const { features, blockSize } = disk;
  const open = (): ExportSession => ({ ...disk.open(), ...changes });
  return { name: 'disk', sizeBytes: 8 * GIB, features, blockSize, open };
}

/** Only its length counts: it must never be sent. */
const fourGib = { length: 4 * GIB } as unknown as Uint8Array;

async function connected(
  use: (client: NbdClient) => Promise<void>,
  target: NbdExport,
  options: NbdClientOptions = {},
): Promise<void> {
  await withDirectory(async (directory) => {
    const server = new NbdServer({ exports: [target] });
    const address = await server.listen({ path: join(directory, 's') });
    try {
      await use(await NbdClient.connect(address, options));
    } finally {
      await server.close();
    }
  });
}

describe('a request that cannot be encoded', () => {
  const cases: [string, (client: NbdClient) => Promise<unknown>][] = [
    ['a READ of 4 GiB', (client) => client.readInto(0, fourGib)],
    ['a WRITE of 4 GiB', (client) => client.write(0, fourGib)],
    ['a TRIM of -1 bytes', (client) => client.trim(0, -1)],
    ['a CACHE of 1.5 bytes', (client) => client.cache(0, 1.5)],
    ['zeroes at -1', (client) => client.writeZeroes(-1, 1)],
    ['a READ at 2^53', (client) => client.readInto(2 ** 53, new Uint8Array(1))],
    ['a block status of NaN bytes', (client) => client.blockStatus(0, NaN)],
  ];

  it.each(cases)('%s is rejected; the connection can be used and disconnects', (_name, request) =>
    connected(
      async (client) => {
        await expect(request(client)).rejects.toMatchObject({
          ...{ code: 'NBD_COMMAND', wireError: 'EINVAL' },
        });
        await client.writeZeroes(0, 4096);
        await client.disconnect();
      },
      huge({ writeZeroes: () => undefined }),
    ),
  );
});

describe.each([false, true])('a range of 5 GiB, extended headers %p', (extendedHeaders) => {
  const ranges: [string, (client: NbdClient) => Promise<unknown>, unknown][] = [
    ['trim', (client) => client.trim(0, 5 * GIB), undefined],
    ['writeZeroes', (client) => client.writeZeroes(0, 5 * GIB, { fua: true }), undefined],
    ['cache', (client) => client.cache(0, 5 * GIB), undefined],
    [
      'blockStatus',
      (client) => client.blockStatus(GIB, 5 * GIB),
      [{ length: 7 * GIB, hole: true, zero: true }],
    ],
  ];
  const none = (): void => undefined;
  const blockStatus = (): Extent[] => [{ length: 9 * GIB, hole: true, zero: true }];
  const target = huge({ trim: none, writeZeroes: none, cache: none, blockStatus });

  it.each(ranges)('%s', (_name, request, result) =>
    connected(
      async (client) => {
        expect(client).toMatchObject({ structured: true, extendedHeaders });
        const answer = expect(request(client));
        if (extendedHeaders) await answer.resolves.toEqual(result);
        else await answer.rejects.toMatchObject({ code: 'NBD_COMMAND', wireError: 'EINVAL' });
        await client.write(4097, Buffer.from('hello'));
        expect((await client.read(4097, 5)).toString()).toBe('hello');
        await expect(client.read(8 * GIB, 1)).rejects.toThrow(/beyond the end/);
        await client.disconnect();
      },
      target,
      { extendedHeaders },
    ),
  );
});

describe('disconnect', () => {
  it('resolves for every caller', () => {
    let answer: (() => void) | undefined;
    const flush = (): Promise<void> => new Promise((resolve) => (answer = resolve));
    return connected(async (client) => {
      const flushed = client.flush();
      while (answer === undefined) await settle();
      const both = [client.disconnect(), client.disconnect()];
      answer();
      await Promise.all([flushed, ...both, client.disconnect()]);
    }, huge({ flush }));
  });

  it('closes the connection if the server does not', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 's');
      const sockets: Socket[] = [];
      // It answers NBD_OPT_GO, and nothing after that.
      const mute = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket);
        socket.on('error', () => undefined);
        socket.write(bytes.hex(`4e42444d41474943${bytes.IHAVEOPT}0003`));
        let receivedBytes = 0;
        let hasAnswered = false;
        socket.on('data', (data: Buffer) => {
          receivedBytes += data.length;
          if (hasAnswered || receivedBytes < 4 + 16) return;
          hasAnswered = true;
          const info = '0000' + '0000000000100000' + '0001';
          socket.write(bytes.hex('0003e889045565a9' + '00000007' + '00000003' + '0000000c' + info));
          socket.write(bytes.hex('0003e889045565a9' + '00000007' + '00000001' + '00000000'));
        });
      });
      await new Promise<void>((resolve) => mute.listen(path, resolve));
      const client = await NbdClient.connect({ path }, { structured: false, timeoutMs: 1000 });
      await client.disconnect();
      for (const socket of sockets) socket.destroy();
      mute.close();
    }));
});
