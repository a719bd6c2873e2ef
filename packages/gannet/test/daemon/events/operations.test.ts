import { describe, expect, test } from '@jest/globals';
import { Operations } from '../../../src/daemon/events/operations.js';

describe('which operation an event belongs to', () => {
  test('the one under way, from its beginning to its end', async () => {
    const operations = new Operations();
    expect(operations.current).toEqual({});
    const [inside, later] = await operations.run('anna', async () => {
      const before = operations.current;
      await Promise.resolve();
      return [before, operations.current];
    });
    expect(inside).toEqual({ id: expect.stringMatching(/^[0-9a-f]{8}$/), actor: 'anna' });
    expect(later).toBe(inside);
    expect(operations.current).toEqual({});
    await expect(operations.run('anna', () => Promise.reject(new Error('no')))).rejects.toThrow();
    expect(operations.current).toEqual({});
  });

  test('each has an id of its own; the latest one counts, whichever ends first', async () => {
    const operations = new Operations();
    let end = (): void => undefined;
    const protect = operations.run('anna', () => new Promise<void>((resolve) => (end = resolve)));
    const first = operations.own;
    const detach = operations.run('bert', async () => {
      expect(operations.own?.actor).toBe('bert');
      end();
      await protect;
      return operations.own;
    });
    const second = await detach;
    expect(second?.actor).toBe('bert');
    expect(second?.id).not.toBe(first?.id);
    expect(operations.own).toBeUndefined();
  });

  test('what a daemon does by itself is its own operation, or part of one', async () => {
    const operations = new Operations();
    const own = await operations.join(() => Promise.resolve(operations.own));
    expect(own?.actor).toBe('this daemon');
    await operations.run('anna', async () => {
      const asked = operations.own;
      expect(await operations.join(() => Promise.resolve(operations.own))).toBe(asked);
    });
  });

  test('that of the other daemon, where there is none here, while it is heard of', async () => {
    let nowMs = 0;
    const operations = new Operations(() => nowMs);
    operations.hear('0badcafe');
    nowMs = 9000;
    expect(operations.current).toEqual({ id: '0badcafe' });
    // It is not passed back.
    expect(operations.own).toBeUndefined();
    await operations.run('anna', () => {
      expect(operations.current).toMatchObject({ actor: 'anna' });
      return Promise.resolve();
    });
    nowMs = 10_000;
    expect(operations.current).toEqual({});
    operations.hear('0badcafe');
    operations.hear(undefined);
    expect(operations.current).toEqual({});
  });
});
