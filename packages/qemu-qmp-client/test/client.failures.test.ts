import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { MAX_COMMANDS_HELD, MAX_EARLY_MESSAGES, QmpClient, QmpError } from '../src/index.js';
import { ManualClock, open, RawServer, rejection, turns } from './support/harness.js';
import { event, failed, GREETING, ok } from './support/wire.js';

const LONG = `"${'x'.repeat(200)}"\r\n`;

describe('connect() fails with', () => {
  it('the name of what was mistaken for a monitor, and what to do', async () => {
    const server = new RawServer();
    server.send('NBDMAGICIHAVEOPT');
    const error = await rejection(server.connect({ connectTimeoutMs: 0 }));
    expect(error.message).toMatch(/this is an NBD server/);
    expect(error.remedy).toMatch(/QMP socket of a QEMU/);
  });

  // As from JavaScript.
  it.each([
    [{ path: '/run/vm.qmp' }, /target\.kind must be one of unix, tcp, tls, stream, not undefined/],
    [{ kind: 'unx', path: '/run/vm.qmp' }, /target\.kind must be .* not "unx"/],
    [{ kind: 'toString', path: '/run/vm.qmp' }, /target\.kind must be/],
    [undefined, /target\.kind must be/],
    [{ kind: 'unix' }, /a target of kind unix needs `path` \(string\)/],
    [{ kind: 'tcp', host: 'a', port: '44' }, /a target of kind tcp needs `port` \(number\)/],
    [{ kind: 'stream', stream: null }, /a target of kind stream needs `stream` \(object\)/],
  ])('QMP_INVALID_OPTION for the target %j', async (target, message) => {
    const error = await rejection(QmpClient.connect({ target } as never));
    expect(error.code).toBe('QMP_INVALID_OPTION');
    expect(error.message).toMatch(message);
  });

  it.each<[string, string, string]>([
    ['QMP_GREETING_MISSING', 'SSH-2.0-OpenSSH_9.2\r\n', 'QmpProtocolError'],
    // An NBD server sends no line feed, and waits for its client then.
    ['QMP_GREETING_MISSING', 'NBDMAGICIHAVEOPT\0\x03', 'QmpProtocolError'],
    ['QMP_GREETING_MISSING', '{"jsonrpc": "2.0"}\r\n', 'QmpProtocolError'],
    ['QMP_GREETING_INVALID', '{"QMP": {"version": 7}}\r\n', 'QmpProtocolError'],
    ['QMP_GREETING_REPEATED', GREETING + GREETING, 'QmpProtocolError'],
    ['QMP_MALFORMED_JSON', `${GREETING}{]\r\n`, 'QmpProtocolError'],
    ['QMP_MALFORMED_MESSAGE', `${GREETING}{}\r\n`, 'QmpProtocolError'],
    ['QMP_LINE_TOO_LONG', GREETING + LONG, 'QmpProtocolError'],
    ['QMP_EARLY_OVERFLOW', event('X').repeat(MAX_EARLY_MESSAGES + 1), 'QmpOverflowError'],
    [
      'QMP_NEGOTIATION_REFUSED',
      GREETING + failed('c-0', 'GenericError', 'no'),
      'QmpConnectionError',
    ],
  ])('%s for %.60j', async (code, bytes, name) => {
    const server = new RawServer();
    server.send(bytes);
    expect(await rejection(server.connect({ maxLineBytes: 190 }))).toMatchObject({ code, name });
    expect(server.near.destroyed).toBe(true);
  });

  it.each(['', GREETING.slice(0, 20), GREETING])('QMP_EARLY_CLOSE after %.30j', async (bytes) => {
    const server = new RawServer();
    if (bytes !== '') server.send(bytes);
    server.stream.end();
    const error = await rejection(server.connect());
    expect(error).toMatchObject({
      code: 'QMP_EARLY_CLOSE',
      cause: { code: 'QMP_CONNECTION_LOST' },
    });
  });

  it.each(['', GREETING])('QMP_CONNECT_TIMEOUT after %.30j', async (bytes) => {
    const clock = new ManualClock();
    const server = new RawServer();
    if (bytes !== '') server.send(bytes);
    const failing = rejection(server.connect({ clock }));
    await turns();
    clock.advance(5_000);
    expect((await failing).code).toBe('QMP_CONNECT_TIMEOUT');
    expect(server.near.destroyed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('aborted, before and while it dials and waits', async () => {
    const clock = new ManualClock();
    const server = new RawServer();
    const controller = new AbortController();
    const failing = rejection(server.connect({ signal: controller.signal, clock }));
    await turns();
    controller.abort('enough');
    expect(await failing).toMatchObject({ code: 'QMP_ABORTED', cause: 'enough' });
    const another = new RawServer();
    expect((await rejection(another.connect({ signal: controller.signal, clock }))).code).toBe(
      'QMP_ABORTED',
    );
    expect([server.near.destroyed, another.near.destroyed]).toEqual([true, true]);
    expect(clock.pending).toBe(0);
  });

  it('QMP_DIAL_FAILED, where there is no socket, with the cause', async () => {
    const target = { kind: 'unix', path: join(tmpdir(), 'no-such-socket') } as const;
    const error = await rejection(QmpClient.connect({ target }));
    expect(error).toMatchObject({ code: 'QMP_DIAL_FAILED', cause: { code: 'ENOENT' } });
  });

  it('QMP_CONNECT_TIMEOUT and QMP_ABORTED, where a socket accepts and says nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qmp-silent-'));
    const path = join(folder, 'socket');
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const target = { kind: 'unix', path } as const;
    const timeout = await rejection(QmpClient.connect({ target, connectTimeoutMs: 20 }));
    expect(timeout.code).toBe('QMP_CONNECT_TIMEOUT');
    const signal = AbortSignal.timeout(20);
    expect((await rejection(QmpClient.connect({ target, signal }))).code).toBe('QMP_ABORTED');
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  it.each([
    { connectTimeoutMs: -1 },
    { commandTimeoutMs: 1.5 },
    { commandTimeoutMs: 2 ** 31 },
    { maxLineBytes: 0 },
  ])('QMP_INVALID_OPTION for %j', async (options) => {
    expect((await rejection(new RawServer().connect(options))).code).toBe('QMP_INVALID_OPTION');
  });
});

describe('an open client dies of', () => {
  it.each<[string, string]>([
    ['QMP_MALFORMED_JSON', '{"return": \r\n'],
    ['QMP_MALFORMED_MESSAGE', '[]\r\n'],
    ['QMP_LINE_TOO_LONG', LONG.repeat(1).slice(0, 200)],
    ['QMP_GREETING_REPEATED', GREETING],
    [
      'QMP_RESPONSE_WITHOUT_ID',
      '{"error": {"class": "GenericError", "desc": "JSON parse error"}}\r\n',
    ],
  ])('%s', async (code, bytes) => {
    const { client, server } = await open({ maxLineBytes: 190 });
    const pending = rejection(client.execute('stop'));
    server.send(bytes);
    const error = await pending;
    expect(error.code).toBe(code);
    expect(await client.closed).toBe(error);
  });

  it.each(['', '{"return'])('QMP_CONNECTION_LOST, after %j', async (bytes) => {
    const { client, server } = await open();
    const pending = rejection(client.execute('stop'));
    if (bytes !== '') server.send(bytes);
    server.stream.end();
    const error = await pending;
    expect(error.code).toBe('QMP_CONNECTION_LOST');
    expect(error.message.includes(`${bytes.length} bytes into a message`)).toBe(bytes !== '');
  });

  it('QMP_CONNECTION_LOST, with the cause where the socket fails', async () => {
    const { client, server } = await open();
    const cause = new Error('ECONNRESET');
    server.near.destroy(cause);
    expect(await client.closed).toMatchObject({ code: 'QMP_CONNECTION_LOST', cause });
  });
});

describe('execute() refuses', () => {
  it('arguments that JSON cannot express', async () => {
    const { client, server } = await open();
    const refused = await rejection(client.executeRaw('x', { big: 1n }));
    expect(refused).toMatchObject({ name: 'QmpUsageError', code: 'QMP_UNSERIALIZABLE_ARGUMENTS' });
    expect(server.lines).toHaveLength(1);
    await client.close();
  });

  it('a deadline out of range', async () => {
    const { client } = await open();
    const refused = await rejection(client.execute('stop', {}, { timeoutMs: Number.NaN }));
    expect(refused.code).toBe('QMP_INVALID_OPTION');
    expect((await rejection(client.waitForEvent('STOP', { timeoutMs: -1 }))).code).toBe(
      'QMP_INVALID_OPTION',
    );
    await client.close();
  });

  it('more commands than it can hold', async () => {
    const { client } = await open();
    const held = Array.from({ length: MAX_COMMANDS_HELD }, () => rejection(client.execute('stop')));
    expect((await rejection(client.execute('stop'))).code).toBe('QMP_TOO_MANY_COMMANDS');
    await client.close();
    for (const error of await Promise.all(held)) expect(error.code).toBe('QMP_CLOSED');
  });
});

describe('QmpError', () => {
  it('is the base of all, named as its class', async () => {
    const { client, server } = await open();
    server.send(ok('nobody') + '?\n');
    const error = await client.closed;
    expect(error).toBeInstanceOf(QmpError);
    expect(String(error)).toMatch(/^QmpProtocolError: a line is not JSON/);
    expect(error?.cause).toBeInstanceOf(SyntaxError);
  });
});

it('closes at the end of its scope', async () => {
  let seen: QmpClient | undefined;
  {
    const { client } = await open();
    await using scoped = client;
    seen = scoped;
    expect(seen.state).toBe('open');
  }
  expect(seen.state).toBe('closed');
});
