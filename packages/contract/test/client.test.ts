import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { WebSocketServer } from 'ws';
import { ControlClient } from '../src/client.js';

const NOBODY = 65_534;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-client-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Root may use every socket. */
async function withoutRoot<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test("another user's socket: the error says who may use it, not that no daemon runs", async () => {
  const socket = path.join(dir, 'web.sock');
  const daemon = createServer();
  await new Promise<void>((resolve) => daemon.listen(socket, resolve));
  await chmod(socket, 0);
  try {
    await expect(withoutRoot(() => ControlClient.connect(socket))).rejects.toMatchObject({
      code: 'GANNET_CONTROL_UNREACHABLE',
      message: `this user may not use the daemon's socket ${socket}`,
      remedy: expect.stringContaining('as the user that runs the daemon'),
    });
  } finally {
    await new Promise((resolve) => daemon.close(resolve));
  }
});

test('a daemon that does not understand a request, and cannot say which: its words', async () => {
  const socket = path.join(dir, 'web.sock');
  const server = createHttpServer();
  const daemon = new WebSocketServer({ server });
  const error = { code: 'GANNET_CONTROL_PROTOCOL', message: 'no request', remedy: 'same version' };
  daemon.on('connection', (caller) =>
    caller.on('message', () => {
      caller.send(JSON.stringify({ id: -1, error: { ...error, exit: 'usage' } }));
    }),
  );
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    const client = await ControlClient.connect(socket);
    await expect(client.call('status')).rejects.toMatchObject(error);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a socket that is not there: that no daemon runs', async () => {
  const socket = path.join(dir, 'web.sock');
  await expect(ControlClient.connect(socket)).rejects.toMatchObject({
    message: `no daemon on ${socket}: connect ENOENT`,
    remedy: expect.stringContaining('Start it with'),
  });
});
