import { describe, expect, it } from '@jest/globals';
import {
  type CommandResult,
  QmpClient,
  type QmpEvent,
  type QmpProtocolError,
} from '../src/index.js';
import { FakeQemu } from '../src/testing/index.js';
import { ManualClock, open, RawServer, rejection, turns } from './support/harness.js';
import { event, failed, GREETING, GREETING_WITHOUT_OOB, ok } from './support/wire.js';

describe('connect', () => {
  it('knows version and capabilities, and enables out-of-band execution if offered', async () => {
    const { client, server } = await open();
    expect(client.version).toEqual({ major: 7, minor: 2, micro: 22, package: 'Debian 1:7.2' });
    expect(client.capabilities).toEqual(['oob']);
    expect(client.state).toBe('open');
    expect(server.lines).toEqual([
      { execute: 'qmp_capabilities', arguments: { enable: ['oob'] }, id: 'c-0' },
    ]);
    await client.close();
  });

  it.each([
    ['it is not offered', {}, GREETING_WITHOUT_OOB, []],
    ['it is not wanted', { oob: false }, GREETING, ['oob']],
  ])('does not enable it when %s', async (_why, options, greeting, offered) => {
    const { client, server } = await open(options, greeting);
    expect(client.capabilities).toEqual([]);
    expect(client.offeredCapabilities).toEqual(offered);
    expect(server.lines).toEqual([{ execute: 'qmp_capabilities', id: 'c-0' }]);
    const refused = await rejection(client.execute('yank', { instances: [] }, { oob: true }));
    expect(refused.code).toBe('QMP_OOB_NOT_NEGOTIATED');
    await client.close();
  });

  it('delivers to a listener added at once what came before and with the reply', async () => {
    const server = new RawServer();
    const warnings: QmpProtocolError[] = [];
    server.send(
      event('LEFT_BEFORE_GREETING') +
        ok('old-7') +
        GREETING +
        event('LEFT_BEFORE_REPLY') +
        failed('old-8', 'GenericError', 'late') +
        ok('c-0') +
        event('STOP'),
    );
    const client = await server.connect({ onWarning: (warning) => warnings.push(warning) });
    const names: string[] = [];
    client.on(({ event: name }) => names.push(name));
    server.send(event('RESUME'));
    await turns();
    expect(names).toEqual(['LEFT_BEFORE_GREETING', 'LEFT_BEFORE_REPLY', 'STOP', 'RESUME']);
    expect(warnings.map(({ code }) => code)).toEqual(['QMP_UNKNOWN_ID', 'QMP_UNKNOWN_ID']);
    await client.close();
  });
});

describe('splitting', () => {
  const session =
    GREETING +
    event('LEFT', '{"text": "Grüße, 世界 🐧"}') +
    ok('c-0') +
    event('STOP') +
    ok('c-1', '{"text": "Grüße, 世界 🐧"}') +
    event('RESUME') +
    failed('c-2', 'DeviceNotFound', 'nö');
  const bytes = Buffer.from(session);

  async function run(chunks: readonly Uint8Array[]): Promise<unknown[]> {
    const server = new RawServer();
    const [first, ...rest] = chunks;
    const connecting = server.connect();
    server.send(first!);
    for (const chunk of rest) server.send(chunk);
    const client = await connecting;
    const seen: unknown[] = [];
    client.on((got) => seen.push(got.event, 'data' in got ? got.data : undefined));
    const record = (result: CommandResult): void => {
      seen.push(result.ok ? result.value : result.error.message);
    };
    client.callRaw('one', undefined, record);
    client.callRaw('two', undefined, record);
    await client.closed.then(() => undefined, undefined);
    return seen;
  }

  const expected = [
    ['LEFT', { text: 'Grüße, 世界 🐧' }],
    ['STOP', undefined],
    [{ text: 'Grüße, 世界 🐧' }],
    ['RESUME', undefined],
    ['two: nö (DeviceNotFound)'],
  ].flat();

  it('reads the same session split in two at every byte', async () => {
    for (let at = 1; at < bytes.length; at += 1) {
      const seen = await runThenEnd([bytes.subarray(0, at), bytes.subarray(at)]);
      expect({ at, seen }).toEqual({ at, seen: expected });
    }
  });

  it('reads it byte by byte', async () => {
    const chunks = Array.from(bytes, (_byte, i) => bytes.subarray(i, i + 1));
    expect(await runThenEnd(chunks)).toEqual(expected);
  });

  /** run() waits for the end, which a line that is no JSON brings. */
  function runThenEnd(chunks: readonly Uint8Array[]): Promise<unknown[]> {
    return run([...chunks, Buffer.from('the end\n')]);
  }
});

describe('commands', () => {
  it('are correlated by id: an out-of-band reply may overtake', async () => {
    const { client, server } = await open();
    const slow = client.execute('query-status');
    const fast = client.execute('query-yank', {}, { oob: true });
    await turns();
    expect(server.lines.slice(1)).toEqual([
      { execute: 'query-status', id: 'c-1' },
      { 'exec-oob': 'query-yank', arguments: {}, id: 'c-2' },
    ]);
    server.send(ok('c-2', '[]'));
    expect(await fast).toEqual([]);
    server.send(ok('c-1', '{"running": true, "status": "running"}'));
    expect((await slow).status).toBe('running');
    await client.close();
  });

  it('reject with class and desc when QEMU refuses', async () => {
    const { client, server } = await open();
    const refused = rejection(client.execute('device_del', { id: 'x' }));
    server.send(failed('c-1', 'DeviceNotFound', "Device 'x' not found"));
    expect(await refused).toMatchObject({
      name: 'QmpCommandError',
      code: 'QMP_COMMAND_FAILED',
      command: 'device_del',
      class: 'DeviceNotFound',
      desc: "Device 'x' not found",
    });
    expect(client.state).toBe('open');
    await client.close();
  });

  it('give their result to call() synchronously, in byte order with events', async () => {
    const { client, server } = await open();
    const seen: string[] = [];
    client.on(({ event: name }) => {
      seen.push(name);
      queueMicrotask(() => seen.push('microtask'));
    });
    client.call('query-status', {}, () => seen.push('reply'));
    client.execute('query-name').then(
      () => seen.push('promise'),
      () => undefined,
    );
    server.send(event('STOP') + ok('c-1') + ok('c-2') + event('RESUME'));
    await turns();
    expect(seen.slice(0, 3)).toEqual(['STOP', 'reply', 'RESUME']);
    expect(seen.slice(3).sort()).toEqual(['microtask', 'microtask', 'promise']);
    await client.close();
  });

  it('keep byte order when a listener writes to a stream that answers at once', async () => {
    const { client, server } = await open();
    const seen: string[] = [];
    client.on(({ event: name }) => {
      seen.push(name);
      if (name === 'STOP') server.near.push(event('POWERDOWN'));
    });
    server.send(event('STOP') + event('RESUME'));
    await turns();
    expect(seen).toEqual(['STOP', 'RESUME', 'POWERDOWN']);
    await client.close();
  });

  it('never call back before call() has returned', async () => {
    const { client } = await open();
    await client.close();
    let returned = false;
    const after = new Promise((resolve) => {
      client.call('stop', {}, () => resolve(returned));
    });
    returned = true;
    expect(await after).toBe(true);
  });

  it('time out, and a late reply is ignored', async () => {
    const clock = new ManualClock();
    const warnings: unknown[] = [];
    const { client, server } = await open({ clock, onWarning: (w) => warnings.push(w) });
    const late = rejection(client.execute('stop', {}, { timeoutMs: 50 }));
    const byDefault = rejection(client.execute('cont'));
    const never = client.execute('query-status', {}, { timeoutMs: 0 });
    clock.advance(49);
    clock.advance(1);
    expect(await late).toMatchObject({ code: 'QMP_COMMAND_TIMEOUT', sent: true });
    clock.advance(9_950);
    expect((await byDefault).code).toBe('QMP_COMMAND_TIMEOUT');
    clock.advance(2 ** 31);
    server.send(ok('c-1') + failed('c-2', 'GenericError', 'late') + ok('c-3', '{"running": true}'));
    expect(await never).toEqual({ running: true });
    expect(warnings).toEqual([]);
    expect(clock.pending).toBe(0);
    await client.close();
  });

  it('stop waiting when their signal fires, before and after they are sent', async () => {
    const { client, server } = await open();
    const controller = new AbortController();
    const sent = rejection(client.execute('stop', {}, { signal: controller.signal }));
    controller.abort('enough');
    expect(await sent).toMatchObject({ code: 'QMP_ABORTED', cause: 'enough', sent: true });
    const unsent = await rejection(client.execute('cont', {}, { signal: controller.signal }));
    expect(unsent).toMatchObject({ code: 'QMP_ABORTED', sent: false });
    server.send(ok('c-1'));
    await turns();
    expect(client.state).toBe('open');
    expect(server.lines).toHaveLength(2);
    await client.close();
  });

  it('are seven at a time with QEMU, out-of-band ones besides', async () => {
    const clock = new ManualClock();
    const { client, server } = await open({ clock });
    const all = Array.from({ length: 10 }, (_, i) =>
      client.executeRaw(`command-${i + 1}`).catch((error: unknown) => error),
    );
    const unsent = rejection(client.executeRaw('unsent', {}, { timeoutMs: 5 }));
    const oob = client.execute('query-yank', {}, { oob: true });
    await turns();
    expect(server.lines).toHaveLength(1 + 7 + 1);
    clock.advance(5);
    expect(await unsent).toMatchObject({ code: 'QMP_COMMAND_TIMEOUT', sent: false });
    server.send(ok('c-12'));
    await oob;
    expect(server.lines).toHaveLength(9);
    // Given up or not, what QEMU has not answered fills its queue.
    clock.advance(10_000);
    await Promise.all(all);
    const next = client.executeRaw('next');
    await turns();
    expect(server.lines).toHaveLength(9);
    server.send(ok('c-1'));
    await turns();
    expect(server.lines.slice(9)).toEqual([{ execute: 'next', id: 'c-13' }]);
    server.send(ok('c-13', '7'));
    expect(await next).toBe(7);
    await client.close();
  });

  it('drop a reply to no command, with a warning', async () => {
    const warnings: string[] = [];
    const { client, server } = await open({ onWarning: ({ code }) => warnings.push(code) });
    server.send(ok('c-99') + '{"return": {}, "id": 7}\r\n' + '{"return": {}}\r\n');
    await turns();
    expect(warnings).toEqual(['QMP_UNKNOWN_ID', 'QMP_UNKNOWN_ID', 'QMP_UNKNOWN_ID']);
    expect(client.state).toBe('open');
    await client.close();
  });

  it('have ids of their own on each connection', async () => {
    const qemu = new FakeQemu().reply('stop');
    for (let i = 0; i < 2; i += 1) {
      const client = await QmpClient.connect({
        target: { kind: 'stream', stream: qemu.connect() },
      });
      await client.execute('stop');
      await client.close();
    }
    expect(new Set(qemu.received.map(({ id }) => id)).size).toBe(4);
  });
});

describe('listeners', () => {
  it('that throw starve nobody, and are reported', async () => {
    const errors: unknown[] = [];
    const { client, server } = await open({ onListenerError: (error) => errors.push(error) });
    const seen: string[] = [];
    client.on(() => {
      throw new Error('event');
    });
    client.on(({ event: name }) => seen.push(name));
    client.call('stop', {}, () => {
      throw new Error('callback');
    });
    client.onEnd(() => {
      throw new Error('end');
    });
    server.send(event('STOP') + ok('c-1') + event('RESUME'));
    await turns();
    await client.close();
    expect(seen).toEqual(['STOP', 'RESUME']);
    expect(errors.map(String)).toEqual([
      'Error: event',
      'Error: callback',
      'Error: event',
      'Error: end',
    ]);
  });

  it('are called by name, and can be taken off, also while an event is handed round', async () => {
    const { client, server } = await open();
    const seen: string[] = [];
    client.onEvent('COLO_EXIT', ({ data }) => seen.push(data.reason));
    const offs: (() => void)[] = [];
    client.on(() => offs.forEach((off) => off()));
    offs.push(client.on(() => seen.push('taken off')));
    server.send(event('STOP') + event('COLO_EXIT', '{"mode": "primary", "reason": "error"}'));
    await turns();
    expect(seen).toEqual(['error']);
    await client.close();
  });

  it('hear nothing after one of them has closed the client, even in the same chunk', async () => {
    const { client, server } = await open();
    const seen: string[] = [];
    client.on(({ event: name }) => {
      seen.push(name);
      void client.close();
    });
    client.on(({ event: name }) => seen.push(`${name} again`));
    server.send(event('STOP') + event('RESUME') + 'not json\n');
    await turns();
    expect(seen).toEqual(['STOP']);
    expect(client.state).toBe('closed');
  });
});

describe('the end', () => {
  it('after close(): pending commands are rejected, then onEnd, then closed', async () => {
    const clock = new ManualClock();
    const { client } = await open({ clock });
    const seen: string[] = [];
    client.call('stop', {}, (result) => seen.push(result.ok ? 'ok' : result.error.code));
    client.onEnd((error) => seen.push(`end ${String(error)} ${client.state}`));
    const closing = client.close();
    expect(seen).toEqual(['QMP_CLOSED', 'end undefined closed']);
    expect(await client.closed).toBeUndefined();
    await closing;
    await client.close();
    expect(clock.pending).toBe(0);
    expect((await rejection(client.execute('stop'))).code).toBe('QMP_NOT_OPEN');
    expect((await rejection(client.waitForEvent('STOP'))).code).toBe('QMP_NOT_OPEN');
    const told = new Promise((resolve) => client.onEnd(resolve));
    expect(await told).toBeUndefined();
  });

  it('by failure: everything pending gets the first cause, the very same', async () => {
    const clock = new ManualClock();
    const { client, server } = await open({ clock });
    const ends: unknown[] = [];
    client.onEnd((error) => ends.push(error));
    const pending = [
      rejection(client.execute('stop')),
      rejection(client.execute('cont')),
      rejection(client.waitForEvent('STOP')),
      rejection(client.events().next()),
    ];
    server.send('this is no JSON\nnor is this\n');
    const [cause, ...others] = await Promise.all(pending);
    expect(cause).toMatchObject({ name: 'QmpProtocolError', code: 'QMP_MALFORMED_JSON' });
    for (const other of others) expect(other).toBe(cause);
    expect(await client.closed).toBe(cause);
    expect(ends).toEqual([cause]);
    expect(client.state).toBe('dead');
    const later = await rejection(client.execute('stop'));
    expect(later).toMatchObject({ code: 'QMP_NOT_OPEN', cause });
    await client.close();
    expect(client.state).toBe('dead');
    expect(server.near.destroyed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('delivers what came before it, even what came with the negotiation', async () => {
    const server = new RawServer();
    server.send(GREETING + ok('c-0') + event('STOP'));
    server.stream.end();
    const client = await server.connect();
    const events: QmpEvent[] = [];
    client.on((got) => events.push(got));
    expect(await client.closed).toMatchObject({ code: 'QMP_CONNECTION_LOST' });
    expect(events.map(({ event: name }) => name)).toEqual(['STOP']);
  });
});
