import { describe, expect, test } from '@jest/globals';
import winston from 'winston';
import { History } from '../../src/daemon/history.js';
import { createLogger } from '../../src/daemon/log.js';

const COMMIT = {
  ...{ committedPages: 1, droppedPages: 0, unflushedWrites: 0, gateClosedMs: 0.4 },
  ...{ checkpointMs: 12, provisional: false },
};

test('routine does not drive what matters out of the history', () => {
  const log = createLogger({ role: 'test', level: 'error' });
  const history = new History(log, () => undefined);
  history.add('link-lost', { reason: 'cable' });
  for (let epoch = 1; epoch <= 3000; epoch++) {
    history.add('commit', { ...COMMIT, epoch });
    history.add('write-back', { epochs: [epoch], writes: 1, bytes: 4096, ms: 1 });
  }
  const { events } = history;
  expect(events[0]).toMatchObject({ kind: 'link-lost', reason: 'cable' });
  expect(events).toHaveLength(501);
  expect(events.at(-1)).toMatchObject({ kind: 'write-back', epochs: [3000] });
  for (let turn = 0; turn < 2000; turn++) history.add('peer', { pulse: 'late', silentMs: 600 });
  expect(events).toHaveLength(1000);
  expect(events.at(-1)).toMatchObject({ kind: 'peer' });
});

describe('what is logged', () => {
  test('has the level and the text of its kind, and its details', () => {
    const logged: unknown[][] = [];
    const log = { log: (...words: unknown[]) => logged.push(words) } as unknown as winston.Logger;
    const history = new History(log, () => undefined);
    history.add('alone', { reason: 'cable', secondaryKnows: true });
    history.record({ kind: 'commit', ...COMMIT, epoch: 7 });
    expect(logged.map(([level, kind]) => [level, kind])).toEqual([
      ['warn', 'alone'],
      ['debug', 'commit'],
    ]);
    expect(logged[0]?.[2]).toEqual({
      ...{ kind: 'alone', role: 'primary', reason: 'cable', secondaryKnows: true },
      text: 'the primary runs alone, without protection: cable',
    });
  });

  test('leaves the name of the VM alone: the state of a QEMU is called so', () => {
    const logged: unknown[][] = [];
    const log = { log: (...words: unknown[]) => logged.push(words) } as unknown as winston.Logger;
    const history = new History(log, () => undefined);
    history.add('peer', { state: 'seeding', vm: 'awaited' });
    expect(logged[0]?.[2]).toMatchObject({ kind: 'peer', state: 'seeding', qemu: 'awaited' });
    expect(logged[0]?.[2]).not.toHaveProperty('vm');
    expect(history.events[0]).toMatchObject({ vm: 'awaited' });
  });

  test('has the id and the actor of a command, from its beginning to its end', async () => {
    const logged: Record<string, unknown>[] = [];
    const write = (_level: string, _kind: string, line: Record<string, unknown>): unknown =>
      logged.push(line);
    const history = new History({ log: write } as unknown as winston.Logger, () => undefined);
    await history.operate('protect', 'anna', async () => {
      history.add('stage-done', { stage: 'seed' });
      await Promise.resolve();
      history.record({ kind: 'commit', ...COMMIT, epoch: 7 });
    });
    const refused = history.operate('failover', 'bert', () => Promise.reject(new Error('alive')));
    await expect(refused).rejects.toThrow('alive');
    history.add('leaving');

    const shown = history.events.map(({ kind, actor }) => [kind, actor]);
    expect(shown).toEqual([
      ...['command', 'stage-done', 'commit', 'command'].map((kind) => [kind, 'anna']),
      ...['command', 'command'].map((kind) => [kind, 'bert']),
      ['leaving', undefined],
    ]);
    const ids = history.events.map(({ operation }) => operation);
    expect(new Set(ids.slice(0, 4)).size).toBe(1);
    expect(ids[4]).not.toBe(ids[0]);
    expect(ids[6]).toBeUndefined();
    // The log has the same, with what was asked for and how it ended.
    expect(logged.map(({ operation }) => operation)).toEqual(ids);
    expect(logged[0]).toMatchObject({ name: 'protect', text: 'command protect: begins, by anna' });
    expect(logged[5]).toMatchObject({
      ...{ phase: 'failed', message: 'alive', actor: 'bert' },
      text: expect.stringMatching(/^command failover: failed after .*: alive$/),
    });
  });

  test('has the daemon as its actor if it is no consequence of the command', async () => {
    const log = createLogger({ role: 'test', level: 'error' });
    const history = new History(log, () => undefined);
    const happen = (): Promise<void> => {
      history.add('peer', { pulse: 'late', silentMs: 600 });
      history.record({ kind: 'commit', ...COMMIT, epoch: 7 });
      history.add('write-back', { epochs: [7], writes: 1, bytes: 4096, ms: 1 });
      history.add('alone', { reason: 'asked', secondaryKnows: true });
      return Promise.resolve();
    };
    const actorsOf = async (name: 'detach' | 'checkpoint' | 'failover'): Promise<unknown[]> => {
      const before = history.events.length;
      await history.operate(name, 'anna', happen);
      const [begins, ...rest] = history.events.slice(before);
      for (const { operation } of rest) expect(operation).toBe(begins?.operation);
      return rest.slice(0, -1).map(({ actor }) => actor);
    };
    const itself = 'this daemon';
    expect(await actorsOf('detach')).toEqual([itself, itself, itself, 'anna']);
    expect(await actorsOf('checkpoint')).toEqual([itself, 'anna', itself, 'anna']);
    expect(await actorsOf('failover')).toEqual([itself, 'anna', 'anna', 'anna']);
  });

  test('has its own id at its end, though another began meanwhile', async () => {
    const log = createLogger({ role: 'test', level: 'error' });
    const history = new History(log, () => undefined);
    let cancel = (): void => undefined;
    const protecting = history.operate('protect', 'anna', () => {
      return new Promise((_, reject) => (cancel = () => reject(new Error('detached'))));
    });
    const detaching = history.operate('detach', 'carol', async () => {
      cancel();
      await protecting.catch(() => undefined);
    });
    await detaching;
    const [begun, , failed, done] = history.events;
    expect(failed).toMatchObject({ kind: 'command', name: 'protect', phase: 'failed' });
    expect(failed?.operation).toBe(begun?.operation);
    expect(done?.operation).not.toBe(begun?.operation);
  });

  test('has the id of what the other daemon has under way', () => {
    const log = createLogger({ role: 'test', level: 'error' });
    const history = new History(log, () => undefined);
    history.operations.hear('0badcafe');
    history.add('state', { from: 'seeding', to: 'protected', reason: 'its first checkpoint' });
    expect(history.events[0]).toMatchObject({ kind: 'state', operation: '0badcafe' });
    expect(history.events[0]).not.toHaveProperty('actor');
  });
});
