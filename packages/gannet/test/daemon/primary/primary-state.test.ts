import { describe, expect, test } from '@jest/globals';
import {
  nextPrimaryState,
  PRIMARY_TABLE,
  type PrimaryEventKind,
  type PrimaryRoleEvent,
  type PrimaryRoleState,
} from '../../../src/daemon/primary/primary-state.js';

const STATES: Record<string, PrimaryRoleState> = {
  unattached: { phase: 'unattached' },
  unprotected: { phase: 'unprotected' },
  'protecting, was unprotected': { phase: 'protecting', before: 'unprotected', stage: '' },
  'protecting, was alone': { phase: 'protecting', before: 'alone', stage: '' },
  'protecting, seed': { phase: 'protecting', before: 'unprotected', stage: 'seed' },
  protected: { phase: 'protected', loss: undefined },
  'protected, lost': { phase: 'protected', loss: 'silence' },
  'protected, lost before': { phase: 'protected', loss: 'COLO has ended' },
  'to alone': { phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined },
  'to alone, lost': { phase: 'letting-go', to: 'alone', reason: 'silence', loss: 'silence' },
  'to alone, lost before': {
    ...{ phase: 'letting-go', to: 'alone', reason: 'silence', loss: 'COLO has ended' },
  },
  'to unprotected': {
    ...{ phase: 'letting-go', to: 'unprotected', reason: 'detached', loss: undefined },
  },
  'to unprotected, lost': {
    ...{ phase: 'letting-go', to: 'unprotected', reason: 'detached', loss: 'silence' },
  },
  held: { phase: 'held' },
  alone: { phase: 'alone' },
  'to alone, yielded': {
    ...{ phase: 'letting-go', to: 'alone', reason: 'silence', loss: undefined },
    yielded: 'no space',
  },
  'to alone, yielded, lost': {
    ...{ phase: 'letting-go', to: 'alone', reason: 'silence', loss: 'silence' },
    yielded: 'no space',
  },
  yielding: { phase: 'yielding', reason: 'no space', isStopped: false },
  yielded: { phase: 'yielding', reason: 'no space', isStopped: true },
  ended: { phase: 'ended', reason: 'shut down' },
  superseded: { phase: 'superseded' },
};

const EVENTS: Record<PrimaryEventKind, PrimaryRoleEvent> = {
  'found-idle': { kind: 'found-idle' },
  'found-protected': { kind: 'found-protected' },
  protect: { kind: 'protect' },
  stage: { kind: 'stage', stage: 'seed' },
  'protect-done': { kind: 'protect-done' },
  'protect-failed': { kind: 'protect-failed' },
  loss: { kind: 'loss', reason: 'silence' },
  recovered: { kind: 'recovered' },
  'let-go': { kind: 'let-go', to: 'alone', reason: 'silence' },
  'let-go-done': { kind: 'let-go-done' },
  'let-go-failed': { kind: 'let-go-failed' },
  hold: { kind: 'hold' },
  'second-copy': { kind: 'second-copy' },
  overrule: { kind: 'overrule' },
  'guest-failed': { kind: 'guest-failed', reason: 'no space' },
  'guest-stopped': { kind: 'guest-stopped' },
  'guest-ended': { kind: 'guest-ended', reason: 'shut down' },
  'guest-runs': { kind: 'guest-runs' },
};

type Row = Record<PrimaryEventKind, string>;

/** `-` is no change, `refused` and `bug` are themselves, everything else is a name above. */
function row(...cells: string[]): Row {
  const kinds = Object.keys(EVENTS);
  expect(cells).toHaveLength(kinds.length);
  return Object.fromEntries(kinds.map((kind, index) => [kind, cells[index]])) as Row;
}

/** The guest, where its fate changes nothing. */
const alive = ['-', '-', '-', '-'];
const guarded = ['yielding', '-', 'ended', '-'];
const protecting = (before: string): Row =>
  row(
    ...['bug', 'bug', 'refused', 'protecting, seed', 'protected', before],
    ...['-', '-', 'refused', 'bug', 'bug', 'bug', 'superseded', 'refused', ...alive],
  );
const found = ['unprotected', 'protected'];
const bugs = ['bug', 'bug', 'bug'];
const over = ['bug', 'bug', 'held', 'superseded', 'refused'];
/** @param loss what a loss and what a recovery makes of it */
const lettingGo = (done: string, failed: string, loss: readonly [string, string]): Row =>
  row(
    ...['bug', 'bug', 'refused', ...bugs, ...loss, '-', done, failed],
    ...['bug', 'superseded', 'refused', '-', '-', 'ended', '-'],
  );
const yielding = (stopped: string, runs: string): Row =>
  row(
    ...['unprotected', '-', 'refused', ...bugs, '-', '-', 'to alone, yielded', ...over],
    ...['-', stopped, '-', runs],
  );

const EXPECTED: () => Record<string, Row> = () => ({
  unattached: row(
    ...[...found, 'refused', ...bugs, '-', '-', 'refused', ...over, 'yielding', '-', '-', '-'],
  ),
  unprotected: row(
    ...[...found, 'protecting, was unprotected', ...bugs, '-', '-', 'refused', ...over, ...alive],
  ),
  'protecting, was unprotected': protecting('unprotected'),
  'protecting, was alone': { ...protecting('alone'), stage: 'protecting, seed, was alone' },
  'protecting, seed': protecting('unprotected'),
  protected: row(
    ...[...found, 'refused', ...bugs, 'protected, lost', '-', 'to alone', ...over],
    ...guarded,
  ),
  'protected, lost': row(
    ...[...found, 'refused', ...bugs, '-', 'protected', 'to alone, lost', ...over, ...guarded],
  ),
  'protected, lost before': row(
    ...[...found, 'refused', ...bugs, '-', 'protected', 'to alone, lost before', ...over],
    ...guarded,
  ),
  'to alone': lettingGo('alone', 'protected', ['to alone, lost', '-']),
  'to alone, lost': lettingGo('alone', 'protected, lost', ['-', 'to alone']),
  'to alone, lost before': lettingGo('alone', 'protected, lost before', ['-', 'to alone']),
  'to unprotected': lettingGo('unprotected', 'protected', ['to unprotected, lost', '-']),
  'to unprotected, lost': lettingGo('unprotected', 'protected, lost', ['-', 'to unprotected']),
  'to alone, yielded': lettingGo('alone', 'yielding', ['to alone, yielded, lost', '-']),
  'to alone, yielded, lost': lettingGo('alone', 'yielding', ['-', 'to alone, yielded']),
  held: row(
    ...[...found, 'refused', ...bugs, '-', '-', '-', 'unprotected', '-'],
    ...['held', 'superseded', 'refused', ...alive],
  ),
  alone: row(...found, 'protecting, was alone', ...bugs, '-', '-', 'refused', ...over, ...alive),
  yielding: yielding('yielded', 'yielding'),
  yielded: yielding('yielded', 'yielding'),
  ended: row(
    ...[...found, 'refused', ...bugs, '-', '-', 'refused', '-', '-', 'held', 'superseded'],
    ...['refused', '-', '-', '-', 'unprotected'],
  ),
  superseded: row(
    ...['-', '-', 'refused', '-', '-', '-', '-', '-', 'refused', '-', '-', '-', '-', 'alone'],
    ...alive,
  ),
});

const cells = Object.entries(STATES).flatMap(([name, state]) =>
  Object.values(EVENTS).map((event) => ({ name, state, kind: event.kind, event })),
);

describe('the table of a primary', () => {
  test('has a row for each phase', () => {
    const phases = new Set(Object.values(STATES).map(({ phase }) => phase));
    expect(Object.keys(PRIMARY_TABLE).sort()).toEqual([...phases].sort());
  });

  test.each(cells)('$name: $kind', ({ name, state, event }) => {
    const expected = EXPECTED()[name]?.[event.kind];
    if (expected === 'bug') {
      expect(() => nextPrimaryState(state, event)).toThrow(/cannot have/);
      return;
    }
    const next = nextPrimaryState(state, event);
    if (expected === 'refused') expect(next).toBe('refused');
    else if (expected === '-') expect(next).toBe(state);
    else if (expected === 'protecting, seed, was alone') {
      expect(next).toEqual({ phase: 'protecting', before: 'alone', stage: 'seed' });
    } else expect(next).toEqual(STATES[expected ?? 'none']);
  });
});
