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
  it.each<[string, string, string]>([
    ['greeting-missing', 'SSH-2.0-OpenSSH_9.2\r\n', 'QmpProtocolError'],
    ['greeting-missing', '{"jsonrpc": "2.0"}\r\n', 'QmpProtocolError'],
    ['greeting-invalid', '{"QMP": {"version": 7}}\r\n', 'QmpProtocolError'],
    ['greeting-repeated', GREETING + GREETING, 'QmpProtocolError'],
    ['malformed-json', `${GREETING}{]\r\n`, 'QmpProtocolError'],
    ['malformed-message', `${GREETING}{}\r\n`, 'QmpProtocolError'],
    ['line-too-long', GREETING + LONG, 'QmpProtocolError'],
    ['early-overflow', event('X').repeat(MAX_EARLY_MESSAGES + 1), 'QmpOverflowError'],
    ['negotiation-refused', GREETING + failed('c-0', 'GenericError', 'no'), 'QmpConnectionError'],
  ])('%s for %.60j', async (code, bytes, name) => {
    const server = new RawServer();
    server.send(bytes);
    expect(await rejection(server.connect({ maxLineBytes: 190 }))).toMatchObject({ code, name });
    expect(server.near.destroyed).toBe(true);
  });

  it.each(['', GREETING.slice(0, 20), GREETING])('early-close after %.30j', async (bytes) => {
    const server = new RawServer();
    if (bytes !== '') server.send(bytes);
    server.stream.end();
    const error = await rejection(server.connect());
    expect(error).toMatchObject({ code: 'early-close', cause: { code: 'connection-lost' } });
  });

  it.each(['', GREETING])('connect-timeout after %.30j', async (bytes) => {
    const clock = new ManualClock();
    const server = new RawServer();
    if (bytes !== '') server.send(bytes);
    const failing = rejection(server.connect({ clock }));
    await turns();
    clock.advance(5_000);
    expect((await failing).code).toBe('connect-timeout');
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
    expect(await failing).toMatchObject({ code: 'aborted', cause: 'enough' });
    const another = new RawServer();
    expect((await rejection(another.connect({ signal: controller.signal, clock }))).code).toBe(
      'aborted',
    );
    expect([server.near.destroyed, another.near.destroyed]).toEqual([true, true]);
    expect(clock.pending).toBe(0);
  });

  it('dial-failed, where there is no socket, with the cause', async () => {
    const target = { kind: 'unix', path: join(tmpdir(), 'no-such-socket') } as const;
    const error = await rejection(QmpClient.connect({ target }));
    expect(error).toMatchObject({ code: 'dial-failed', cause: { code: 'ENOENT' } });
  });

  it('connect-timeout and aborted, where a socket takes the connection and says nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qmp-silent-'));
    const path = join(folder, 'socket');
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const target = { kind: 'unix', path } as const;
    const timeout = await rejection(QmpClient.connect({ target, connectTimeoutMs: 20 }));
    expect(timeout.code).toBe('connect-timeout');
    const signal = AbortSignal.timeout(20);
    expect((await rejection(QmpClient.connect({ target, signal }))).code).toBe('aborted');
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  it.each([
    { connectTimeoutMs: -1 },
    { commandTimeoutMs: 1.5 },
    { commandTimeoutMs: 2 ** 31 },
    { maxLineBytes: 0 },
  ])('invalid-option for %j', async (options) => {
    expect((await rejection(new RawServer().connect(options))).code).toBe('invalid-option');
  });
});

describe('an open client dies of', () => {
  it.each<[string, string]>([
    ['malformed-json', '{"return": \r\n'],
    ['malformed-message', '[]\r\n'],
    ['line-too-long', LONG.repeat(1).slice(0, 200)],
    ['greeting-repeated', GREETING],
    ['response-without-id', '{"error": {"class": "GenericError", "desc": "JSON parse error"}}\r\n'],
  ])('%s', async (code, bytes) => {
    const { client, server } = await open({ maxLineBytes: 190 });
    const pending = rejection(client.execute('stop'));
    server.send(bytes);
    const error = await pending;
    expect(error.code).toBe(code);
    expect(await client.closed).toBe(error);
  });

  it.each(['', '{"return'])('connection-lost, after %j', async (bytes) => {
    const { client, server } = await open();
    const pending = rejection(client.execute('stop'));
    if (bytes !== '') server.send(bytes);
    server.stream.end();
    const error = await pending;
    expect(error.code).toBe('connection-lost');
    expect(error.message.includes(`${bytes.length} bytes into a message`)).toBe(bytes !== '');
  });

  it('connection-lost, with the cause where the socket fails', async () => {
    const { client, server } = await open();
    const cause = new Error('ECONNRESET');
    server.near.destroy(cause);
    expect(await client.closed).toMatchObject({ code: 'connection-lost', cause });
  });
});

describe('execute() refuses', () => {
  it('arguments that JSON cannot express', async () => {
    const { client, server } = await open();
    const refused = await rejection(client.executeRaw('x', { big: 1n }));
    expect(refused).toMatchObject({ name: 'QmpUsageError', code: 'unserializable-arguments' });
    expect(server.lines).toHaveLength(1);
    await client.close();
  });

  it('a deadline out of range', async () => {
    const { client } = await open();
    const refused = await rejection(client.execute('stop', {}, { timeoutMs: Number.NaN }));
    expect(refused.code).toBe('invalid-option');
    expect((await rejection(client.waitForEvent('STOP', { timeoutMs: -1 }))).code).toBe(
      'invalid-option',
    );
    await client.close();
  });

  it('more commands than it can hold', async () => {
    const { client } = await open();
    const held = Array.from({ length: MAX_COMMANDS_HELD }, () => rejection(client.execute('stop')));
    expect((await rejection(client.execute('stop'))).code).toBe('too-many-commands');
    await client.close();
    for (const error of await Promise.all(held)) expect(error.code).toBe('closed');
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
