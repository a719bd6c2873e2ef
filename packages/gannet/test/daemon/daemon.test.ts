import { pbkdf2 } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import winston from 'winston';
import { ControlClient, loadConfig } from '@gannet/contract';
import { Daemon } from '../../src/daemon/daemon.js';

/**
 * Keeps the threads that work on files busy. What a daemon does to files while it starts takes long
 * then, and sockets, which need no thread, get ahead of it.
 */
function slowFiles(): () => void {
  let isOver = false;
  const work = (): void => {
    if (!isOver) pbkdf2('', '', 20_000, 64, 'sha512', work);
  };
  for (let jobs = 0; jobs < 16; jobs++) work();
  return () => (isOver = true);
}

/** Connects as soon as the socket listens. */
async function connectAtOnce(socket: string): Promise<ControlClient> {
  for (;;) {
    try {
      return await ControlClient.connect(socket);
    } catch {
      await new Promise(setImmediate);
    }
  }
}

test('a request that arrives as soon as the socket is there is answered', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const file = at('web.yaml');
  const disk = { name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 };
  const document = { vm: 'web', qmp: `unix:${at('qmp')}`, disks: [disk], secondary: {} };
  await writeFile(file, JSON.stringify(document));
  const places = { configDir: dir, runDir: dir, stateDir: dir };
  const log = winston.createLogger({ silent: true });
  const config = await loadConfig(file, places);
  const finish = slowFiles();
  const starting = Daemon.start(config, 'secondary', log);
  const client = await connectAtOnce(at('web.sock'));
  const answer = client.call('status');
  finish();
  expect(await answer).toMatchObject({ state: 'seeding' });
  client.close();
  await (await starting).close();
  await rm(dir, { recursive: true });
});

test('two VMs with one journal: the second daemon says so, and does not start', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const places = { configDir: dir, runDir: dir, stateDir: dir };
  const log = winston.createLogger({ silent: true });
  const start = async (vm: string): Promise<Daemon> => {
    const disk = { name: 'root', device: 'vb0', base: at(`${vm}.raw`), size: 1048576 };
    const secondary = { journal: at('one.journal') };
    const document = { vm, qmp: `unix:${at(`${vm}.qmp`)}`, disks: [disk], secondary };
    await writeFile(at(`${vm}.yaml`), JSON.stringify(document));
    return Daemon.start(await loadConfig(at(`${vm}.yaml`), places), 'secondary', log);
  };
  const web = await start('web');
  const error: unknown = await start('db').catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'REPLICA_JOURNAL_IN_USE' });
  await web.close();
  await (await start('db')).close();
  await rm(dir, { recursive: true });
});
