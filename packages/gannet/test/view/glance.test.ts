import { expect, test } from '@jest/globals';
import type { DaemonEvent, Status } from '@gannet/contract';
import { glanceOf } from '../../src/view/glance.js';
import { VERDICT_STATUSES } from '../support/verdict-statuses.js';

const NOW = Date.parse('2026-03-01T12:00:00.000Z');

function factsOf(status: Status, events: DaemonEvent[] = []): Record<string, string> {
  return Object.fromEntries(
    glanceOf(status, events, NOW).facts.map(({ name, value }) => [name, value]),
  );
}

test('a protected VM: where, since when, what a takeover undoes, and who decides', () => {
  expect(factsOf(VERDICT_STATUSES.protected)).toEqual({
    Guest: 'runs on alpha',
    'So since': expect.stringMatching(/^2026-01-01 \d\d:\d\d:\d\d$/),
    // The age at its last heartbeat, and how old that is.
    'A takeover now undoes': 'the last 1.4 s',
    Failover: 'automatic',
    // The daemon on alpha does not name it.
    Fence: 'alpha: configured, beta: fence-alpha',
  });
});

test('a copy that waits for a failover: how long its memory lasts', () => {
  const waits = VERDICT_STATUSES['down-take-over'];
  expect(factsOf(waits)).toMatchObject({ Guest: 'does not run', Memory: 'full in about 4 min' });
  const status = waits as Extract<Status, { role: 'secondary' }>;
  const full = { ...status.waiting, guest: 'stopped' } as NonNullable<typeof status.waiting>;
  expect(factsOf({ ...status, waiting: full })).toMatchObject({
    Memory: 'full: guest stopped',
  });
  const slow = { ...status.waiting, hardSeconds: null } as NonNullable<typeof status.waiting>;
  expect(factsOf({ ...status, waiting: slow })).toMatchObject({
    Memory: 'does not fill up at the present rate',
  });
});

test('a survivor: no takeover is spoken of any more', () => {
  expect(Object.keys(factsOf(VERDICT_STATUSES.survivor))).toEqual(['Guest', 'So since']);
});

test.each(['alone', 'ended', 'superseded', 'held'] as const)('nor of a primary %s', (code) => {
  expect(factsOf(VERDICT_STATUSES[code])).not.toHaveProperty('A takeover now undoes');
});

test('a copy that can’t take over says so', () => {
  expect(factsOf(VERDICT_STATUSES.unfit)).toMatchObject({
    'A takeover now undoes': 'not possible now',
  });
});

test('the first copy, and a failover, show how far they are', () => {
  expect(glanceOf(VERDICT_STATUSES.protecting, [], NOW).progress).toEqual({
    words: 'First copy: 7.0 GiB of 20.0 GiB, 110 MiB/s, 2 min left',
    doneBytes: 7 * 2 ** 30,
    totalBytes: 20 * 2 ** 30,
  });
  expect(glanceOf(VERDICT_STATUSES.moving, [], NOW).progress?.words).toBe(
    'Failover: write back: 300 MiB of 1.0 GiB',
  );
  expect(glanceOf(VERDICT_STATUSES.protected, [], NOW).progress).toBeUndefined();
});

test('who asked for what, last', () => {
  const said = { at: '2026-03-01T11:00:00.000Z', role: 'primary', kind: 'command' } as const;
  const events = [
    { ...said, name: 'checkpoint', phase: 'done', actor: 'bert', ms: 3 },
    { ...said, name: 'protect', phase: 'begins', actor: 'anna, with gannet' },
  ] as DaemonEvent[];
  const { 'Last command': last } = factsOf(VERDICT_STATUSES.protected, events);
  expect(last).toMatch(/^protect, under way, by anna, with gannet, \d\d:00:00$/);
  expect(factsOf(VERDICT_STATUSES.protected, events.slice(0, 1))['Last command']).toMatch(
    /^checkpoint, done/,
  );
});
