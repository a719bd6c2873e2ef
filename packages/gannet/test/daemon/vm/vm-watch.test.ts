import { mkdtemp, rename, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { QmpListener } from '../../../src/daemon/vm/qmp-listener.js';
import { VmWatch } from '../../../src/daemon/vm/vm-watch.js';

const SILENCE_MS = 200;

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

function watching(onConnected: (qmp: QmpClient) => void | Promise<void> = () => undefined) {
  const watch = new VmWatch({ type: 'unix', path: socket }, SILENCE_MS);
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
    expect(watch.trouble).toMatch(/serves one client; is another program connected\?/);
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

  test('is not ready when who attends to it is not', async () => {
    const failure = new Error('no use');
    const { watch, troubles, clients } = watching(() => Promise.reject(failure));
    await listen();
    await until(() => troubles.length > 0);
    expect(troubles).toEqual([failure]);
    expect(watch.state).toBe('awaited');
    await clients[0]?.close();
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

test('the end of what listens at a TCP port is seen', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const listener = await QmpListener.at({ type: 'inet', host: '127.0.0.1', port });
  expect(await listener.hasClosed(true)).toBe(false);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  expect(await listener.hasClosed(true)).toBe(true);
});
