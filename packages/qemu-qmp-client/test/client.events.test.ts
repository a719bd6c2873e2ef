import { describe, expect, it } from '@jest/globals';
import type { QmpEvent } from '../src/index.js';
import { ManualClock, open, rejection, turns } from './support/harness.js';
import { event } from './support/wire.js';

const nameOf = (result: IteratorResult<QmpEvent, undefined>): string | undefined =>
  result.value?.event;

describe('events()', () => {
  it('is subscribed from the call on, and keeps order', async () => {
    const { client, server } = await open();
    const stream = client.events();
    server.send(event('STOP') + event('RESUME') + event('SOMETHING_NEW', '{"a": 1}'));
    await turns();
    const names: string[] = [];
    for await (const got of stream) {
      names.push(got.event);
      if (names.length === 3) break;
    }
    expect(names).toEqual(['STOP', 'RESUME', 'SOMETHING_NEW']);
    expect((await stream.next()).done).toBe(true);
    await client.close();
  });

  it('filters by name before it counts', async () => {
    const { client, server } = await open();
    const stream = client.events({ names: ['RESUME'], limit: 1 });
    server.send(event('STOP').repeat(5) + event('RESUME'));
    await turns();
    expect(nameOf(await stream.next())).toBe('RESUME');
    await client.close();
    expect((await stream.next()).done).toBe(true);
  });

  it('ends with an error after the oldest events when its reader falls behind', async () => {
    const { client, server } = await open();
    const stream = client.events({ limit: 2 });
    server.send(event('STOP') + event('RESUME') + event('RESET') + event('POWERDOWN'));
    await turns();
    expect(nameOf(await stream.next())).toBe('STOP');
    expect(nameOf(await stream.next())).toBe('RESUME');
    expect(await rejection(stream.next())).toMatchObject({
      name: 'QmpOverflowError',
      code: 'QMP_EVENT_OVERFLOW',
    });
    expect((await stream.next()).done).toBe(true);
    expect(client.state).toBe('open');
    await client.close();
  });

  it('serves readers that wait, in order, whose number is no backlog', async () => {
    const { client, server } = await open();
    const stream = client.events({ limit: 1 });
    const readers = [stream.next(), stream.next(), stream.next()];
    server.send(event('STOP') + event('RESUME'));
    await turns();
    await client.close();
    expect((await Promise.all(readers)).map(nameOf)).toEqual(['STOP', 'RESUME', undefined]);
  });

  it('gives what was queued, then the cause of death, once', async () => {
    const { client, server } = await open();
    const stream = client.events();
    server.send(`${event('STOP')}?\n`);
    await turns();
    expect(nameOf(await stream.next())).toBe('STOP');
    expect((await rejection(stream.next())).code).toBe('QMP_MALFORMED_JSON');
    expect((await stream.next()).done).toBe(true);
  });

  it('ends when its signal fires, before or later', async () => {
    const { client } = await open();
    const controller = new AbortController();
    const waiting = rejection(client.events({ signal: controller.signal }).next());
    controller.abort('enough');
    expect(await waiting).toMatchObject({ code: 'QMP_ABORTED', cause: 'enough' });
    const late = client.events({ signal: controller.signal });
    expect((await rejection(late.next())).code).toBe('QMP_ABORTED');
    await client.close();
  });

  it('of a client at its end is over', async () => {
    const { client } = await open();
    await client.close();
    expect((await client.events().next()).done).toBe(true);
  });

  it('refuses a limit below 1', async () => {
    const { client } = await open();
    expect(() => client.events({ limit: 0 })).toThrow('limit must be');
    await client.close();
  });
});

describe('waitForEvent()', () => {
  it('takes the next of that name, or the next that fits', async () => {
    const { client, server } = await open();
    const exit = client.waitForEvent('COLO_EXIT');
    const fits = client.waitForEvent(
      (got) => got.event === 'MIGRATION' && got.data.status === 'colo',
    );
    const strange = client.waitForEvent('SOMETHING_NEW' as string);
    server.send(
      event('MIGRATION', '{"status": "active"}') +
        event('MIGRATION', '{"status": "colo"}') +
        event('COLO_EXIT', '{"mode": "secondary", "reason": "request"}') +
        event('SOMETHING_NEW'),
    );
    expect((await exit).data.reason).toBe('request');
    expect(await fits).toMatchObject({ data: { status: 'colo' } });
    expect((await strange).event).toBe('SOMETHING_NEW');
    await client.close();
  });

  it('times out, is aborted, closed, and fails with its predicate', async () => {
    const clock = new ManualClock();
    const { client, server } = await open({ clock });
    const timeout = rejection(client.waitForEvent('STOP', { timeoutMs: 10 }));
    clock.advance(10);
    expect((await timeout).code).toBe('QMP_WAIT_TIMEOUT');
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = rejection(client.waitForEvent('STOP', { signal }));
    controller.abort();
    expect((await aborted).code).toBe('QMP_ABORTED');
    expect((await rejection(client.waitForEvent('STOP', { signal }))).code).toBe('QMP_ABORTED');
    const broken = client.waitForEvent(() => {
      throw new Error('predicate');
    });
    const closed = rejection(client.waitForEvent('RESUME'));
    server.send(event('STOP'));
    await expect(broken).rejects.toThrow('predicate');
    await client.close();
    expect((await closed).code).toBe('QMP_CLOSED');
    expect(clock.pending).toBe(0);
  });

  it('may be dropped: its rejection is never unhandled', async () => {
    const { client } = await open();
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    void client.waitForEvent('STOP');
    await client.close();
    await turns();
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });
});
