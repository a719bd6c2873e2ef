import { pbkdf2 } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { expect, jest, test } from '@jest/globals';
import winston from 'winston';
import { ControlClient, loadConfig, parseConfig } from '@gannet/contract';
import { NbdServer } from '@gannet/nbd';
import { Replica } from '@gannet/replicator';
import { Daemon } from '../../src/daemon/daemon.js';
import { PrimaryRole } from '../../src/daemon/primary/primary-role.js';
import { SecondaryFacts } from '../../src/daemon/secondary/secondary-facts.js';
import { SecondaryRole } from '../../src/daemon/secondary/secondary-role.js';
import { VmWatch } from '../../src/daemon/vm/vm-watch.js';

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

/** A secondary whose configuration is in a file of a folder of its own. */
async function configured() {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const file = at('web.yaml');
  const disk = { name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 };
  const document = { vm: 'web', qmp: `unix:${at('qmp')}`, disks: [disk], secondary: {} };
  await writeFile(file, JSON.stringify(document));
  const load = () => loadConfig(file, { configDir: dir, runDir: dir, stateDir: dir });
  return { dir, at, file, document, load };
}

test('a request that arrives as soon as the socket is there is answered', async () => {
  const { dir, at, load } = await configured();
  const log = winston.createLogger({ silent: true });
  const config = await load();
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

test('the verdict on the VM is in the log though nobody asks for it', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const disk = { name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 };
  const document = { vm: 'web', qmp: `unix:${at('qmp')}`, disks: [disk], secondary: {} };
  const places = { configDir: dir, runDir: dir, stateDir: dir };
  const config = parseConfig(JSON.stringify(document), 'web.yaml', places);
  const logged: winston.LogEntry[] = [];
  const stream = new Writable({
    objectMode: true,
    write: (entry: winston.LogEntry, _encoding, done) => {
      logged.push(entry);
      done();
    },
  });
  const log = winston.createLogger({ silent: false });
  log.pipe(stream);
  const daemon = await Daemon.start(config, 'secondary', log);
  while (!logged.some(({ message }) => message === 'verdict')) await new Promise(setImmediate);
  await daemon.close();
  // One journal has the lines of all VMs of the host.
  expect(logged.filter((line) => line['vm'] !== 'web')).toEqual([]);
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

test('two reprotects at once: one takes the VM over, the other is told so', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const disk = { name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 };
  const primary = { nbd: 'unix:/r/nbd', migrate: 'unix:/r/mig', peer: 'unix:/r/peer' };
  const document = { vm: 'web', qmp: `unix:${at('qmp')}`, disks: [disk], primary, secondary: {} };
  const places = { configDir: dir, runDir: dir, stateDir: dir };
  const config = parseConfig(JSON.stringify(document), 'web.yaml', places);
  const log = winston.createLogger({ silent: true });
  const daemon = await Daemon.start(config, 'secondary', log);
  // Its VM has taken over; the replica takes its time to end.
  let release = (): void => undefined;
  const isReleased = new Promise<void>((resolve) => (release = resolve));
  const vm = new VmWatch(config.qmp, config.peer.highMs);
  const releases = jest.spyOn(SecondaryRole.prototype, 'release').mockImplementation(async () => {
    await isReleased;
    return vm;
  });
  const starts = jest.spyOn(PrimaryRole, 'start');
  const outcomeOf = async (): Promise<unknown> => {
    const client = await ControlClient.connect(at('web.sock'));
    return client
      .call('reprotect')
      .catch((error: unknown) => error)
      .finally(() => client.close());
  };
  const first = outcomeOf();
  while (releases.mock.calls.length === 0) await new Promise(setImmediate);
  expect(await outcomeOf()).toMatchObject({ code: 'GANNET_BUSY', exit: 'refused' });
  release();
  while (starts.mock.calls.length === 0) await new Promise(setImmediate);
  // Now it is a primary, which says what it lacks.
  expect(await outcomeOf()).toMatchObject({ code: 'GANNET_NOT_READY' });
  expect(releases).toHaveBeenCalledTimes(1);
  expect(starts).toHaveBeenCalledTimes(1);
  const secondary = releases.mock.contexts[0];
  jest.restoreAllMocks();
  await daemon.close();
  await first;
  if (secondary instanceof SecondaryRole) await secondary.close();
  await rm(dir, { recursive: true });
});

test('a survivor is handed over, whatever of the secondary does not close', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
  const at = (name: string): string => path.join(dir, name);
  const disk = { name: 'root', device: 'vb0', base: at('base.raw'), size: 1048576 };
  const primary = { nbd: 'unix:/r/nbd', migrate: 'unix:/r/mig', peer: 'unix:/r/peer' };
  const peer = { heartbeatMs: 20, lowMs: 50, highMs: 100 };
  const given = {
    vm: 'web',
    qmp: `unix:${at('qmp')}`,
    disks: [disk],
    primary,
    secondary: {},
    peer,
  };
  const places = { configDir: dir, runDir: dir, stateDir: dir };
  const config = parseConfig(JSON.stringify(given), 'web.yaml', places);
  const log = winston.createLogger({ silent: true });
  const daemon = await Daemon.start(config, 'secondary', log);
  jest.spyOn(SecondaryFacts.prototype, 'vmState').mockReturnValue('ready');
  jest.spyOn(Replica.prototype, 'state', 'get').mockReturnValue('retired');
  jest.spyOn(NbdServer.prototype, 'close').mockReturnValue(new Promise(() => undefined));
  const releases = jest.spyOn(SecondaryRole.prototype, 'release');
  const client = await ControlClient.connect(at('web.sock'));
  // It is a primary, which has no QEMU here.
  await expect(client.call('reprotect')).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
  expect(await client.call('status')).toMatchObject({ role: 'primary' });
  client.close();
  const [secondary] = releases.mock.contexts;
  jest.restoreAllMocks();
  await daemon.close();
  if (secondary instanceof SecondaryRole) await secondary.close();
  await rm(dir, { recursive: true });
});

test('a survivor reads the way to its new secondary when it is protected again', async () => {
  const { dir, at, file, document, load } = await configured();
  const log = winston.createLogger({ silent: true });
  const daemon = await Daemon.start(await load(), 'secondary', log, () => undefined, load);
  const client = await ControlClient.connect(at('web.sock'));
  await expect(client.call('reprotect')).rejects.toMatchObject({
    message: expect.stringContaining('no section `primary`'),
  });
  const primary = { nbd: 'unix:/r/nbd', migrate: 'unix:/r/mig', peer: 'unix:/r/peer' };
  await writeFile(file, JSON.stringify({ ...document, primary }));
  // It has not taken over, which is what it says now.
  await expect(client.call('reprotect')).rejects.not.toMatchObject({ code: 'GANNET_CONFIG' });
  const kinds = (await client.call('events')).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'reloaded')).toHaveLength(1);
  client.close();
  await daemon.close();
  await rm(dir, { recursive: true });
});
