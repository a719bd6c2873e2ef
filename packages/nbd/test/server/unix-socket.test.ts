import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { NbdListenError } from '../../src/errors.js';
import { MemoryExport } from '../../src/memory-export.js';
import { NbdServer } from '../../src/server/server.js';

let dir: string;
let file: string;
let servers: NbdServer[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-unix-'));
  file = path.join(dir, 'web.nbd');
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  await rm(dir, { recursive: true, force: true });
});

async function listen(at = file): Promise<NbdServer> {
  const server = new NbdServer({ exports: [new MemoryExport('disk0', 4096)] });
  servers.push(server);
  await server.listen({ path: at });
  return server;
}

async function refusalOf(listening: Promise<unknown>): Promise<NbdListenError> {
  const error = await listening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof NbdListenError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}

describe('the path of a unix socket', () => {
  test('goes to one of several that claim it at once; the others are told why', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => listen()));
    const refused = outcomes.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as unknown] : [],
    );
    expect(refused).toHaveLength(7);
    expect(refused).toEqual(Array(7).fill(expect.objectContaining({ reason: 'in-use' })));
    expect(await readdir(dir)).toEqual(['web.nbd']);
  });

  test('goes to one of several that find the socket of a dead process there', async () => {
    const code = `require('net').createServer().listen(process.argv[1], () =>
      process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', code, file]);
    expect((await stat(file)).isSocket()).toBe(true);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => listen()));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await new Promise<void>((resolve, reject) => {
      const socket = connect(file, () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  });

  test('is not taken from a file or a folder', async () => {
    await writeFile(file, 'the only copy');
    expect(await refusalOf(listen())).toMatchObject({ reason: 'no-socket' });
    await rm(file);
    await mkdir(file);
    expect(await refusalOf(listen())).toMatchObject({ reason: 'no-socket' });
    expect(await readdir(dir)).toEqual(['web.nbd']);
  });

  test('is removed at the end, unless somebody else listens there by then', async () => {
    const first = await listen();
    await rm(file);
    const second = await listen();
    await first.close();
    expect((await stat(file)).isSocket()).toBe(true);
    await second.close();
    expect(await readdir(dir)).toEqual([]);
  });

  test('in a folder that is not there is an error that names the folder', async () => {
    const error = await refusalOf(listen(path.join(dir, 'none', 'web.nbd')));
    expect(error).toMatchObject({ reason: 'unusable' });
    expect(error.message).toContain(path.join(dir, 'none'));
  });
});
