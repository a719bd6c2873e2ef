import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import {
  ControlClient,
  type ControlMethod,
  GannetError,
  MESSAGE_BYTES_MAX,
} from '@gannet/contract';
import { ControlServer, socketMode } from '../../../src/daemon/control/control-server.js';

let dir: string;
let socketPath: string;
/** Undone in reverse order after each test. */
let undo: (() => unknown)[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-control-'));
  socketPath = path.join(dir, 'daemon.ctl');
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function serve(methods: Record<string, ControlMethod> = {}): Promise<ControlServer> {
  const server = await ControlServer.listen(socketPath, methods);
  undo.push(() => server.close());
  return server;
}

async function call(): Promise<ControlClient> {
  const client = await ControlClient.connect(socketPath);
  undo.push(() => client.close());
  return client;
}

/** A caller without manners. */
async function raw(): Promise<WebSocket> {
  const socket = new WebSocket(`ws+unix:${socketPath}:/`);
  undo.push(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return socket;
}

function reply(socket: WebSocket): Promise<unknown> {
  return new Promise((resolve) => {
    socket.once('message', (data: Buffer) => resolve(JSON.parse(data.toString())));
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

test('a method learns who asks, as the caller says', async () => {
  const actors: unknown[] = [];
  await serve({ detach: (_params, _progress, actor) => actors.push(actor) });
  const anna = await ControlClient.connect(socketPath, 1000, 'anna, with a script');
  undo.push(() => anna.close());
  await anna.request('detach');
  await (await call()).request('detach');
  expect(actors).toEqual(['anna, with a script', undefined]);
});

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no failure',
    (error: unknown) => error,
  );

async function listenPlain(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  undo.push(() => new Promise((resolve) => server.close(resolve)));
}

describe('the socket', () => {
  test('is its owner’s alone, and goes with the server', async () => {
    const server = await serve();
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    await server.close();
    expect(existsSync(socketPath)).toBe(false);
  });

  test.each([
    ['root, with no group of its own', { uid: 0, gid: 0 }, 0o600],
    ['root, with a group of its own', { uid: 0, gid: 991 }, 0o660],
    // It may be everybody's.
    ['another user, with the group of that user', { uid: 1000, gid: 100 }, 0o600],
  ])('for %s', (_who, ids, mode) => {
    expect(socketMode(ids)).toBe(mode);
  });

  test('leaves the umask as it was', async () => {
    const modeOf = async (name: string): Promise<number> => {
      await writeFile(path.join(dir, name), '');
      return (await stat(path.join(dir, name))).mode;
    };
    const umask = process.umask(0o022);
    undo.push(() => process.umask(umask));
    await serve();
    expect((await modeOf('after')) & 0o777).toBe(0o644);
  });

  test('is not taken from a daemon that answers', async () => {
    await serve({ who: () => 'first' });
    const error = await failure(ControlServer.listen(socketPath, {}));
    expect(error).toMatchObject({ code: 'GANNET_BUSY', exit: 'failed' });
    expect((error as Error).message).toContain(socketPath);
    expect(await (await call()).request('who')).toBe('first');
  });

  test('goes to one of several daemons that start at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => serve()));
    const refused = outcomes.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as unknown] : [],
    );
    expect(refused).toEqual(Array(5).fill(expect.objectContaining({ code: 'GANNET_BUSY' })));
  });

  test('that a dead daemon left is replaced', async () => {
    const dead = createPlainServer();
    await new Promise<void>((resolve) => dead.listen(path.join(dir, 'x'), resolve));
    await rename(path.join(dir, 'x'), socketPath);
    await new Promise((resolve) => dead.close(resolve));
    expect((await stat(socketPath)).isSocket()).toBe(true);
    await serve({ who: () => 'second' });
    expect(await (await call()).request('who')).toBe('second');
  });

  test('never replaces what is no socket', async () => {
    await writeFile(socketPath, 'precious');
    const error = await failure(ControlServer.listen(socketPath, {}));
    expect(error).toMatchObject({ code: 'GANNET_CONFIG' });
    expect(await readFile(socketPath, 'utf8')).toBe('precious');
  });

  test('in a folder that is not there is an error that names it', async () => {
    const away = path.join(dir, 'no', 'daemon.ctl');
    const error = await failure(ControlServer.listen(away, {}));
    const remedy = 'Create its folder, writable for the user that the daemon runs as.';
    expect(error).toMatchObject({ code: 'GANNET_CONFIG', remedy });
    expect((error as Error).message).toContain(away);
  });
});

describe('a call', () => {
  test('brings its parameters, progress and the result', async () => {
    await serve({
      add: ({ a, b }, progress) => {
        progress({ stage: 'adding' });
        progress({ stage: 'added' });
        return Number(a) + Number(b);
      },
    });
    const seen: unknown[] = [];
    const sum = await (await call()).request('add', { a: 2, b: 3 }, (value) => seen.push(value));
    expect(sum).toBe(5);
    expect(seen).toEqual([{ stage: 'adding' }, { stage: 'added' }]);
  });

  test('without a result gives null', async () => {
    await serve({ nothing: () => undefined });
    expect(await (await call()).request('nothing')).toBeNull();
  });

  test('does not wait for another that takes its time', async () => {
    let finish: (value: string) => void = () => undefined;
    await serve({
      slow: () => new Promise((resolve) => (finish = resolve)),
      quick: () => 'quick',
    });
    const client = await call();
    const slow = client.request('slow');
    expect(await client.request('quick')).toBe('quick');
    finish('slow');
    expect(await slow).toBe('slow');
  });

  test('gets an error with its code, remedy and exit', async () => {
    await serve({
      fail: () => Promise.reject(new GannetError('GANNET_REFUSED', 'not now', 'Later.', 'refused')),
      crash: () => {
        throw new TypeError('a bug');
      },
    });
    const client = await call();
    const refused = await failure(client.request('fail'));
    expect(refused).toBeInstanceOf(GannetError);
    expect(refused).toMatchObject({
      ...{ code: 'GANNET_REFUSED', message: 'not now', remedy: 'Later.', exit: 'refused' },
    });
    expect(await failure(client.request('crash'))).toMatchObject({
      ...{ code: 'GANNET_INTERNAL', message: 'a bug', exit: 'failed' },
      remedy: expect.stringContaining('a bug in Gannet'),
    });
  });

  test.each(['reboot', 'constructor', 'toString', '__proto__', ''])(
    'of the unknown method %p is a usage error that names the known ones',
    async (method) => {
      await serve({ status: () => 1, events: () => 2 });
      const error = await failure((await call()).request(method));
      expect(error).toMatchObject({ code: 'GANNET_CONTROL_PROTOCOL', exit: 'usage' });
      expect(error).toMatchObject({ remedy: 'Use one of: status, events.' });
    },
  );

  test('that leaves in the middle disturbs nobody', async () => {
    let finish: (value: string) => void = () => undefined;
    let began: () => void = () => undefined;
    const hasBegun = new Promise<void>((resolve) => (began = resolve));
    await serve({
      slow: (_params, progress) => {
        began();
        return new Promise((resolve) => (finish = resolve)).finally(() => progress('late'));
      },
      quick: () => 'quick',
    });
    const leaver = await raw();
    const gone = new Promise((resolve) => leaver.once('close', resolve));
    leaver.send(JSON.stringify({ id: 1, method: 'slow' }));
    await hasBegun;
    leaver.terminate();
    await gone;
    finish('to nobody');
    expect(await (await call()).request('quick')).toBe('quick');
  });

  test('under way when the daemon ends is told so, as is every later one', async () => {
    const server = await serve({ never: () => new Promise(() => undefined) });
    const client = await call();
    const waiting = failure(client.request('never'));
    await server.close();
    const error = await waiting;
    expect(error).toMatchObject({ code: 'GANNET_CONTROL_UNREACHABLE' });
    expect((error as Error).message).toContain('the daemon ended the connection');
    expect(await failure(client.request('never'))).toMatchObject({
      code: 'GANNET_CONTROL_UNREACHABLE',
    });
  });
});

describe('what is no request', () => {
  test.each([
    'no JSON',
    '[]',
    'null',
    '{"method":"status"}',
    '{"id":"1","method":"status"}',
    '{"id":1,"method":7}',
    '{"id":1,"method":"status","params":[]}',
    '{"id":1,"method":"status","more":1}',
  ])('%s is answered with an error, and the connection goes on', async (text) => {
    await serve({ status: () => 'well' });
    const socket = await raw();
    const answer = reply(socket);
    socket.send(text);
    expect(await answer).toMatchObject({
      id: -1,
      error: { code: 'GANNET_CONTROL_PROTOCOL', exit: 'usage' },
    });
    const next = reply(socket);
    socket.send(Buffer.from(JSON.stringify({ id: 9, method: 'status' })));
    expect(await next).toEqual({ id: 9, result: 'well' });
  });

  test('a message that is too long ends the connection, and no other', async () => {
    const received: number[] = [];
    await serve({ length: ({ text }) => received.push(String(text).length) });
    const [other, socket] = [await call(), await raw()];
    const code = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    const text = 'x'.repeat(MESSAGE_BYTES_MAX);
    socket.send(JSON.stringify({ id: 1, method: 'length', params: { text } }));
    await code;
    expect(received).toEqual([]);
    await other.request('length', { text: 'x'.repeat(MESSAGE_BYTES_MAX - 100) });
    expect(received).toEqual([MESSAGE_BYTES_MAX - 100]);
  });

  test('a caller too many is turned away', async () => {
    await serve({ status: () => 'well' });
    const callers = await Promise.all(Array.from({ length: 64 }, () => call()));
    const socket = await raw();
    const code = await new Promise((resolve) => socket.once('close', resolve));
    expect(code).toBe(1013);
    expect(await callers[63]!.call('status')).toBe('well');
  });
});

describe('a watcher', () => {
  test('hears events from its call on; who has not asked hears none', async () => {
    const server = await serve({ status: () => 1 });
    const [watcher, other] = [await call(), await raw()];
    const [heard, overheard]: [unknown[], unknown[]] = [[], []];
    other.on('message', (data: Buffer) => overheard.push(JSON.parse(data.toString())));
    server.publish('too early');
    await watcher.watch((event) => heard.push(event));
    server.publish({ kind: 'commit', epoch: 1 });
    await watcher.call('status');
    expect(heard).toEqual([{ kind: 'commit', epoch: 1 }]);
    const answer = reply(other);
    other.send(JSON.stringify({ id: 5, method: 'status' }));
    await answer;
    expect(overheard).toEqual([{ id: 5, result: 1 }]);
  });

  test('that does not read is dropped, the others stay', async () => {
    const server = await serve({ status: () => 1 });
    const [reader, sleeper] = [await call(), await raw()];
    let events = 0;
    await reader.watch(() => events++);
    const watching = reply(sleeper);
    sleeper.send(JSON.stringify({ id: 1, method: 'watch' }));
    await watching;
    sleeper.pause();
    const event = 'x'.repeat(256 * 1024);
    const rounds = 64;
    for (let round = 1; round <= rounds; round++) {
      server.publish(event);
      await until(() => events === round);
    }
    const gone = new Promise((resolve) => sleeper.once('close', resolve));
    sleeper.on('error', () => undefined);
    let heard = 0;
    sleeper.on('message', () => heard++);
    sleeper.resume();
    expect(await gone).toBe(1006);
    expect(heard).toBeLessThan(rounds);
    expect(await reader.call('status')).toBe(1);
  });
});

describe('a client', () => {
  test('without a daemon says so, and how to start one', async () => {
    const error = await failure(ControlClient.connect(socketPath));
    expect(error).toMatchObject({ code: 'GANNET_CONTROL_UNREACHABLE', exit: 'failed' });
    expect((error as GannetError).message).toContain(`no daemon on ${socketPath}: `);
    expect((error as GannetError).remedy).toContain('gannet secondary');
  });

  test('waits for a daemon that starts, but only so long', async () => {
    const waiting = ControlClient.connectWithin(socketPath, 60_000);
    await delay(100);
    await serve({ status: () => 'up' });
    const client = await waiting;
    expect(await client.call('status')).toBe('up');
    client.close();
    const nowhere = path.join(dir, 'nowhere');
    expect(await failure(ControlClient.connectWithin(nowhere, 60))).toMatchObject({
      code: 'GANNET_CONTROL_UNREACHABLE',
    });
  });

  test('gives up on one that accepts and stays silent', async () => {
    const held: Socket[] = [];
    const mute = createPlainServer((socket) => held.push(socket));
    await listenPlain(mute);
    const error = await failure(ControlClient.connect(socketPath, 50));
    expect(error).toMatchObject({ code: 'GANNET_TIMEOUT', exit: 'timeout' });
    for (const socket of held) socket.destroy();
  });

  test('gives up on what is no daemon', async () => {
    const other = createPlainServer((socket) => socket.resume().end('NBDMAGICIHAVEOPT'));
    await listenPlain(other);
    expect(await failure(ControlClient.connect(socketPath))).toMatchObject({
      code: 'GANNET_CONTROL_UNREACHABLE',
    });
  });

  test.each(['no JSON', '{}', '{"id":1}', '{"id":1,"error":{"code":"X"}}'])(
    'ends a connection on which it is told %s',
    async (text) => {
      const http = createServer();
      const sockets = new WebSocketServer({ server: http });
      sockets.on('connection', (socket) => socket.on('message', () => socket.send(text)));
      await listenPlain(http);
      expect(await failure((await call()).call('status'))).toMatchObject({
        code: 'GANNET_CONTROL_UNREACHABLE',
      });
    },
  );
});

describe('a daemon that gives no sign of life', () => {
  const TIMEOUT = {
    code: 'GANNET_TIMEOUT',
    exit: 'timeout',
    remedy: expect.stringContaining('--timeout'),
  };

  test('does not keep a caller that waits for an answer', async () => {
    const http = createServer();
    // As a process that was stopped: connected, and silent from then on.
    new WebSocketServer({ server: http, autoPong: false });
    await listenPlain(http);
    const client = await ControlClient.connect(socketPath, 100);
    const both = await Promise.all([failure(client.request('a')), failure(client.request('b'))]);
    expect(both).toMatchObject([TIMEOUT, TIMEOUT]);
    expect(await failure(client.request('c'))).toMatchObject({
      code: 'GANNET_CONTROL_UNREACHABLE',
    });
  });

  test('is not one that takes its time', async () => {
    let done: () => void = () => undefined;
    const work = new Promise<void>((resolve) => (done = resolve));
    await serve({ protect: () => work.then(() => 'protected') });
    const client = await ControlClient.connect(socketPath, 40);
    undo.push(() => client.close());
    setTimeout(done, 400);
    expect(await client.call('protect')).toBe('protected');
    expect(await failure(client.request('no'))).toMatchObject({ code: 'GANNET_CONTROL_PROTOCOL' });
  });
});
