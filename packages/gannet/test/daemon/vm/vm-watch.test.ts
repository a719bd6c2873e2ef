import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, copyFile, mkdtemp, rename, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { QEMU_PROCESSES, type QemuProcesses } from '../../../src/daemon/vm/qemu-process.js';
import { QmpListener } from '../../../src/daemon/vm/qmp-listener.js';
import { VmWatch } from '../../../src/daemon/vm/vm-watch.js';

const SILENCE_MS = 200;

/** The fakes listen in this process, which counts as a QEMU that ends with its socket. */
const HERE: QemuProcesses = {
  ownersOf: () => Promise.resolve([{ pid: process.pid, startTicks: '1' }]),
  isGone: () => Promise.resolve(true),
};

let dir: string;
let socket: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-watch-'));
  socket = path.join(dir, 'qmp.sock');
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

async function listen(): Promise<ListeningFakeQemu> {
  const fake = await FakeQemu.listen({ path: socket });
  fake.qemu.reply('query-status', { status: 'running' });
  undo.push(() => fake.close().catch(() => undefined));
  return fake;
}

function watching(
  onConnected: (qmp: QmpClient) => void | Promise<void> = () => undefined,
  onDial: () => void = () => undefined,
) {
  const address = {
    type: 'unix' as const,
    get path() {
      onDial();
      return socket;
    },
  };
  const watch = new VmWatch(address, SILENCE_MS, undefined, HERE);
  const said: string[] = [];
  const troubles: unknown[] = [];
  const clients: QmpClient[] = [];
  watch.on((state) => said.push(state));
  undo.push(() => watch.close());
  watch.attend({
    onConnected: (qmp) => {
      clients.push(qmp);
      return onConnected(qmp);
    },
    onTrouble: (error) => troubles.push(error),
  });
  return { watch, said, troubles, clients };
}

describe('a watch', () => {
  test('waits for QEMU, notices its end, and has the next one at that socket', async () => {
    const { watch, said, clients } = watching();
    expect(watch.state).toBe('awaited');
    const first = await listen();
    await until(() => watch.state === 'ready');
    await first.close();
    await until(() => watch.state === 'lost');
    await listen();
    await until(() => watch.state === 'ready');
    expect(said).toEqual(['ready', 'lost', 'ready']);
    expect(clients.length).toBe(2);
    expect(watch.qmp).toBe(clients[1]);
  });

  test('does not call a QEMU lost that goes on listening', async () => {
    const { watch, said, clients } = watching();
    const { qemu } = await listen();
    await until(() => watch.state === 'ready');
    await qemu.drop();
    await until(() => clients.length === 2 && watch.state === 'ready');
    expect(said).toEqual(['ready', 'awaited', 'ready']);
  });

  test('does not call a QEMU hung that ends before it accepts a connection', async () => {
    let end = (): void => undefined;
    const { watch, said } = watching(undefined, () => end());
    const { qemu, close } = await listen();
    await until(() => watch.state === 'ready');
    // After connect(2), before the event loop sees it: the kernel answers with ECONNRESET.
    end = () => process.nextTick(() => void close());
    await qemu.drop();
    await until(() => watch.state === 'lost');
    expect(said).toEqual(['ready', 'lost']);
  });

  test('does not call a QEMU lost whose socket file was removed, until it has ended', async () => {
    const { watch, said } = watching();
    const { qemu, close } = await listen();
    await until(() => watch.state === 'ready');
    await rm(socket);
    await qemu.drop();
    await until(() => watch.state === 'hung');
    expect(watch.trouble).toMatch(/nothing proves that it has ended/);
    await close();
    await until(() => watch.state === 'lost');
    expect(said).toEqual(['ready', 'hung', 'lost']);
    expect(watch.trouble).toBeUndefined();
  });

  test('does not take the end of another for that of a QEMU whose place it took', async () => {
    const { watch, said } = watching();
    const { qemu, close } = await listen();
    await until(() => watch.state === 'ready');
    await rename(socket, `${socket}.old`);
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(socket, resolve));
    await new Promise<void>((resolve) => other.close(() => resolve()));
    await qemu.drop();
    await until(() => watch.state === 'hung');
    await close();
    await until(() => watch.state === 'lost');
    expect(said).toEqual(['ready', 'hung', 'lost']);
  });

  test('says that a socket accepts and says nothing, and connects when it does', async () => {
    const held = new Set<{ destroy: () => void }>();
    const mute = createServer((connection) => held.add(connection));
    await new Promise<void>((resolve) => mute.listen(socket, resolve));
    const { watch, said } = watching();
    await until(() => watch.trouble !== undefined);
    expect(watch.trouble).toMatch(/QEMU hangs, or another program is connected/);
    expect(watch.state).toBe('awaited');
    await new Promise<void>((resolve) => {
      mute.close(() => resolve());
      for (const connection of held) connection.destroy();
    });
    await listen();
    await until(() => watch.state === 'ready');
    expect(watch.trouble).toBeUndefined();
    expect(said.at(-1)).toBe('ready');
  });

  test('takes back that it is lost when somebody accepts there again', async () => {
    const { watch, said } = watching();
    const first = await listen();
    await until(() => watch.state === 'ready');
    await first.close();
    await until(() => watch.state === 'lost');
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(socket, resolve));
    undo.push(() => mute.close());
    await until(() => watch.state === 'awaited');
    expect(said).toEqual(['ready', 'lost', 'awaited']);
  });

  test('goes on after something that is no QEMU', async () => {
    const web = createServer((connection) => connection.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => web.listen(socket, resolve));
    const { watch } = watching();
    await until(() => watch.trouble !== undefined);
    expect(watch.trouble).toMatch(/can't be asked/);
    await new Promise<void>((resolve) => web.close(() => resolve()));
    await listen();
    await until(() => watch.state === 'ready');
  });

  test('says why nothing can be asked: not there, just left, ended', async () => {
    const { watch, clients } = watching();
    const why = () => watch.refusal('web').message;
    expect(why()).toBe('the QEMU of web is not there yet: nothing listens at its QMP socket');
    const { close } = await listen();
    await until(() => watch.state === 'ready');
    const ended = clients[0]?.closed;
    const closing = close();
    await ended;
    expect(watch.state).toBe('ready');
    expect(why()).toBe('the QEMU of web has just closed its QMP connection');
    await closing;
    await until(() => watch.state === 'lost');
    expect(why()).toBe('the QEMU of web has ended');
  });

  test('is not ready when an attach fails, and tries again until it succeeds', async () => {
    const failure = new Error('no use');
    let tries = 0;
    const { watch, troubles, said } = watching(() => {
      tries += 1;
      return tries < 3 ? Promise.reject(failure) : undefined;
    });
    await listen();
    await until(() => troubles.length > 0);
    expect(watch.state).toBe('awaited');
    expect(watch.trouble).toBe('no use');
    expect(watch.refusal('web').message).toBe("the QEMU of web can't be used: no use");
    await until(() => watch.state === 'ready');
    // The same trouble is told once.
    expect({ tries, troubles, said }).toEqual({ tries: 3, troubles: [failure], said: ['ready'] });
    expect(watch.trouble).toBeUndefined();
  });

  test('hands its QEMU on to who attends to it next', async () => {
    const { watch, clients } = watching();
    const { close } = await listen();
    await until(() => watch.state === 'ready');
    const later: QmpClient[] = [];
    watch.attend({ onConnected: (qmp) => void later.push(qmp), onTrouble: () => undefined });
    await until(() => later.length === 1);
    expect(later).toEqual(clients);
    await close();
    await until(() => watch.state === 'lost');
    await listen();
    await until(() => later.length === 2);
    expect(clients.length).toBe(1);
  });
});

describe('the end of a listener', () => {
  async function listening() {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const address = { type: 'inet', host: '127.0.0.1', port } as const;
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
    return { address, close };
  }

  test('is that of QEMU if a QEMU process owned it and is gone', async () => {
    const { address, close } = await listening();
    const listener = await QmpListener.at(address, HERE);
    expect(await listener.hasEnded()).toBe(false);
    await close();
    expect(await listener.hasEnded()).toBe(true);
  });

  test('is not, while that process lives', async () => {
    const { address, close } = await listening();
    const alive = { ...HERE, isGone: () => Promise.resolve(false) };
    const listener = await QmpListener.at(address, alive);
    await close();
    expect(await listener.hasEnded()).toBe(false);
  });

  test('is not, if its owner is a forwarder', async () => {
    const { address, close } = await listening();
    // This process is no QEMU, whatever it forwards.
    const listener = await QmpListener.at(address, QEMU_PROCESSES);
    await close();
    expect(await listener.hasEnded()).toBe(false);
  });
});

describe('the QEMU processes of this host', () => {
  test('own their sockets by what they have open, and are gone when they have ended', async () => {
    const dirs = { program: path.join(dir, 'qemu-system-fake'), pipe: path.join(dir, 'qmp') };
    await copyFile(process.execPath, dirs.program, constants.COPYFILE_FICLONE);
    const report = `() => process.stdout.write('listens')`;
    const listen = `require('net').createServer().listen(${JSON.stringify(dirs.pipe)}, ${report})`;
    const child = spawn(dirs.program, ['-e', listen], { stdio: ['ignore', 'pipe', 'ignore'] });
    undo.push(() => void child.kill('SIGKILL'));
    const address = { type: 'unix', path: dirs.pipe } as const;
    // The file exists from bind(2) on, and the kernel's table says that it listens only later.
    await once(child.stdout, 'data');
    const listener = await QmpListener.at(address);
    expect(await listener.hasEnded()).toBe(false);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(await listener.hasEnded()).toBe(true);
  });
});
