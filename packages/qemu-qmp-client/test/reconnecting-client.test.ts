import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type QmpError, QmpReconnectingClient } from '../src/index.js';
import { FakeQemu } from '../src/testing/index.js';
import { ManualClock, rejection } from './support/harness.js';

type Listening = Awaited<ReturnType<typeof FakeQemu.listen>>;

let folder: string;
let path: string;
const undo: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qmp-reconnect-'));
  path = join(folder, 'qmp.sock');
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await rm(folder, { recursive: true });
});

async function startQemu(): Promise<Listening> {
  const listening = await FakeQemu.listen({ path });
  undo.push(() => listening.close());
  listening.qemu.reply('query-status', { running: true, status: 'running' });
  return listening;
}

async function connect(
  more: Partial<Parameters<typeof QmpReconnectingClient.connect>[0]> = {},
): Promise<QmpReconnectingClient> {
  const target = { kind: 'unix', path } as const;
  const client = await QmpReconnectingClient.connect({ target, retryDelayMs: 5, ...more });
  undo.push(() => client.close());
  return client;
}

/** The next call of a listener. */
function next<V>(on: (listener: (value: V) => void) => () => void): Promise<V> {
  return new Promise((resolve) => {
    const off = on((value) => {
      off();
      resolve(value);
    });
  });
}

test('after QEMU was started again, listeners hear its events without another word', async () => {
  const first = await startQemu();
  const client = await connect();
  const events: string[] = [];
  client.on(({ event }) => events.push(event));
  const stops: number[] = [];
  client.onEvent('STOP', () => stops.push(1));
  const lost = next<QmpError>((listener) => client.onLost(listener));
  first.qemu.emit('STOP');
  await client.execute('query-status');
  await first.close();
  expect((await lost).code).toBe('QMP_CONNECTION_LOST');
  expect(client.client).toBeUndefined();

  const again = next((listener) => client.onConnected(listener));
  const second = await startQemu();
  expect(await again).toBe(client.client);
  second.qemu.emit('RESUME');
  second.qemu.emit('STOP');
  await client.execute('query-status');
  expect(events).toEqual(['STOP', 'RESUME', 'STOP']);
  expect(stops).toHaveLength(2);
});

test('a command that was pending is rejected and never repeated; a later one waits', async () => {
  const first = await startQemu();
  first.qemu.on('stop', () => 'silence');
  const client = await connect();
  const pending = rejection(client.execute('stop'));
  await client.execute('query-status');
  await first.close();
  expect((await pending).code).toBe('QMP_CONNECTION_LOST');
  const waiting = client.execute('query-status');
  const second = await startQemu();
  expect((await waiting).status).toBe('running');
  const commands = second.qemu.received.map(({ command }) => command);
  expect(commands).toEqual(['qmp_capabilities', 'query-status']);
});

test('a command that finds no connection in time was never sent', async () => {
  const clock = new ManualClock();
  const qemu = await startQemu();
  const client = await connect({ clock });
  const lost = next<QmpError>((listener) => client.onLost(listener));
  await qemu.close();
  await lost;
  const waiting = rejection(client.execute('query-status', undefined, { timeoutMs: 50 }));
  const controller = new AbortController();
  const aborted = rejection(
    client.execute('query-status', undefined, { signal: controller.signal }),
  );
  controller.abort();
  expect((await aborted).code).toBe('QMP_ABORTED');
  clock.advance(50);
  expect(await waiting).toMatchObject({ code: 'QMP_COMMAND_TIMEOUT', sent: false });
});

test('close() ends it while it waits for QEMU, and what waits with it', async () => {
  const qemu = await startQemu();
  const client = await connect();
  const lost = next<QmpError>((listener) => client.onLost(listener));
  await qemu.close();
  await lost;
  const waiting = rejection(client.execute('query-status'));
  await client.close();
  expect((await waiting).code).toBe('QMP_CLOSED');
  expect(await client.closed).toBeUndefined();
  expect((await rejection(client.execute('query-status'))).code).toBe('QMP_NOT_OPEN');
});

test('it ends with a connection that was closed by hand', async () => {
  await startQemu();
  const client = await connect();
  await client.client?.close();
  await client.closed;
  await expect(client.execute('query-status')).rejects.toMatchObject({ code: 'QMP_NOT_OPEN' });
});

test('it ends where another attempt is useless: somebody else has the socket now', async () => {
  const { createServer } = await import('node:net');
  const qemu = await startQemu();
  const client = await connect();
  const lost = next<QmpError>((listener) => client.onLost(listener));
  await qemu.close();
  await lost;
  const ssh = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')).listen(path);
  undo.push(() => new Promise((resolve) => ssh.close(resolve)));
  expect((await client.closed)?.code).toBe('QMP_GREETING_MISSING');
});
