/** Each kind of event, with the details that it typically has. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { describeEvent, samplesOf } from '../../src/events/describe.js';
import { EVENT_DETAILS, type EventKind } from '../../src/events/details.js';
import type { DaemonEvent } from '../../src/events/meaning.js';
import { SAMPLES } from '../../src/events/samples.js';
import { EVENTS } from '../../src/events/table.js';

const kinds = Object.keys(EVENTS) as EventKind[];
const at = '2026-01-01T10:00:00.000Z';

/** Every sample, from each role that reports its kind. */
const told = kinds.flatMap((kind) =>
  SAMPLES[kind].flatMap((details) =>
    EVENTS[kind].roles.map((role) => ({ at, role, kind, ...details }) as DaemonEvent),
  ),
);

test('the three tables have the same kinds', () => {
  expect(Object.keys(EVENT_DETAILS).sort()).toEqual([...kinds].sort());
  expect(Object.keys(SAMPLES).sort()).toEqual([...kinds].sort());
  expect(kinds.length).toBeGreaterThan(35);
});

test.each(kinds)('%s: its samples fit its schema, with no key beyond it', (kind) => {
  for (const details of SAMPLES[kind]) {
    expect(EVENT_DETAILS[kind].parse(details)).toEqual(details);
  }
});

test.each(told.map((event) => [event.kind, event] as const))(
  '%s: text and remedy say what they should',
  (_kind, event) => {
    const { text, remedy } = describeEvent(event, 'web');
    for (const words of [text, remedy]) {
      expect(words).not.toMatch(/undefined|NaN|null|\[object|\?|\bVM`| {2}|^\s|\s$/);
    }
    expect(text).not.toBe('');
    expect(text).not.toContain('{"');
    expect(text).not.toMatch(/\.$/);
    expect(remedy).toMatch(/^([A-Z].*\.)?$/);
  },
);

test.each(told.map((event) => [event.kind, event] as const))(
  '%s: a remedy that names a command says on which host to run it',
  (_kind, event) => {
    const { remedy } = describeEvent(event, 'web');
    // Remedies of errors and verdicts are their own; verdict.test.ts checks those of verdicts.
    if (['trouble', 'not-reloaded', 'verdict'].includes(event.kind)) return;
    if (remedy.includes('`gannet ')) expect(remedy).toMatch(/this host|(primary|secondary) host/);
  },
);

describe('what an operator finds by filtering the journal', () => {
  const levelOf = (event: DaemonEvent): string => describeEvent(event).level;
  const levels = (kind: EventKind): string[] => [
    ...new Set(told.filter((event) => event.kind === kind).map(levelOf)),
  ];

  test.each(['alone', 'unprotected', 'leaving', 'failover-begins', 'failover-done', 'colo-exit'])(
    '%s is a warning',
    (kind) => expect(levels(kind as EventKind)).toEqual(['warn']),
  );
  test('a fence is a warning, or an error if it failed', () => {
    expect(levels('fence')).toEqual(['warn', 'error']);
  });
  test('a verdict is as bad as the VM is, whatever it was', () => {
    expect(levels('verdict')).toEqual(['info', 'warn', 'error']);
  });
  test('what every checkpoint brings is debug, and nothing else is', () => {
    const routine = kinds.filter((kind) => EVENTS[kind].isRoutine);
    expect(routine.sort()).toEqual(['abort', 'checkpoint', 'commit', 'write-back']);
    expect(kinds.filter((kind) => levels(kind).includes('debug')).sort()).toEqual(routine);
  });
  test('a QEMU that ends or hangs is an error, one that responds is not', () => {
    expect(levels('vm').sort()).toEqual(['error', 'info']);
  });
});

describe('an event of another version', () => {
  test('has its kind and its details shown', () => {
    const event = { at, role: 'primary', kind: 'snapshot', name: 'a' } as const;
    expect(describeEvent(event)).toEqual({
      level: 'info',
      text: 'snapshot {"name":"a"}',
      remedy: '',
    });
  });
  test.each([
    { kind: 'peer', refused: 'another VM' },
    { kind: 'listening' },
    { kind: 'web' },
    { kind: 'commit', epoch: 1 },
    { kind: 'constructor' },
  ])('%j has what does not fit shown as it is', (details) => {
    const event = { at, role: 'secondary' as const, ...details };
    const { kind, ...rest } = details;
    expect(describeEvent(event).text).toBe(`${kind} ${JSON.stringify(rest)}`);
  });
});

describe('metrics', () => {
  const samples = (kind: EventKind): unknown[] =>
    told.filter((event) => event.kind === kind).flatMap(samplesOf);
  test('count the loss of each link once', () => {
    const lost = told.flatMap(samplesOf).filter(([name]) => name === 'gannet_link_lost_total');
    const links = new Set(lost.map(([, { labels }]) => labels?.['link']));
    expect([...links].sort()).toEqual(['peer', 'replica', 'seed']);
  });
  test('are in seconds', () => {
    expect(samples('commit')).toContainEqual(['gannet_gate_closed_seconds', { value: 0.00239 }]);
  });
  test('of a checkpoint are the primary’s alone', () => {
    const event = { at, role: 'secondary', kind: 'checkpoint', ...SAMPLES.checkpoint[0] } as const;
    expect(samplesOf(event)).toEqual([]);
  });
  test('name an operator where one acted', () => {
    const reasons = [...told.filter(({ kind }) => kind === 'alone'), ...told]
      .filter(({ kind }) => kind === 'alone' || kind === 'failover-done')
      .flatMap(samplesOf)
      .map(([, { labels }]) => labels?.['reason']);
    expect([...new Set(reasons)].sort()).toEqual(['operator', 'proof', 'secondary-lost']);
  });
});

describe('the code of the daemons', () => {
  const source = path.resolve(import.meta.dirname, '../../../gannet/src/daemon');
  const texts = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(path.join(source, name), 'utf8'));
  const added = new Set(
    texts.flatMap((text) =>
      [...text.matchAll(/(?:history|this)\s*\.(?:add\(|record\(\{ kind:)\s*([^,)]+)/g)].flatMap(
        ([, kind = '']) => [...kind.matchAll(/'([a-z-]+)'/g)].map(([, name = '']) => name),
      ),
    ),
  );
  /** History.record() is given the events of these three as they are. */
  const unions = ['checkpointer/src/checkpointer.ts', 'replicator/src/replica-events.ts'];
  const forwarded = new Set(
    unions.flatMap((file) => {
      const text = readFileSync(path.resolve(import.meta.dirname, '../../..', file), 'utf8');
      const [union = ''] = /export type \w+Event =[\s\S]*?;\n\n/.exec(text) ?? [];
      return [...union.matchAll(/kind: '([a-z-]+)'/g)].map(([, name = '']) => name);
    }),
  );

  test('reports every kind somewhere', () => {
    expect(added.size).toBeGreaterThan(25);
    expect(forwarded.size).toBeGreaterThan(8);
    expect(kinds.filter((kind) => !added.has(kind) && !forwarded.has(kind))).toEqual([]);
  });
});
