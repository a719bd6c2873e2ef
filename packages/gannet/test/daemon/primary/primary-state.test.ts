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
  'to alone': { phase: 'letting-go', to: 'alone', reason: 'silence' },
  'to unprotected': { phase: 'letting-go', to: 'unprotected', reason: 'detached' },
  held: { phase: 'held' },
  alone: { phase: 'alone' },
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
};

type Row = Record<PrimaryEventKind, string>;

/** `-` is no change, `refused` and `bug` are themselves, everything else is a name above. */
function row(...cells: string[]): Row {
  const kinds = Object.keys(EVENTS);
  expect(cells).toHaveLength(kinds.length);
  return Object.fromEntries(kinds.map((kind, index) => [kind, cells[index]])) as Row;
}

const protecting = (before: string): Row =>
  row(
    ...['bug', 'bug', 'refused', 'protecting, seed', 'protected', before],
    ...['-', '-', 'refused', 'bug', 'bug', 'bug', 'superseded', 'refused'],
  );
const found = ['unprotected', 'protected'];
const bugs = ['bug', 'bug', 'bug'];
const over = ['bug', 'bug', 'held', 'superseded', 'refused'];

const EXPECTED: () => Record<string, Row> = () => ({
  unattached: row(...found, 'refused', ...bugs, '-', '-', 'refused', ...over),
  unprotected: row(
    ...[...found, 'protecting, was unprotected', ...bugs, '-', '-', 'refused', ...over],
  ),
  'protecting, was unprotected': protecting('unprotected'),
  'protecting, was alone': { ...protecting('alone'), stage: 'protecting, seed, was alone' },
  'protecting, seed': protecting('unprotected'),
  protected: row(
    ...[...found, 'refused', ...bugs, 'protected, lost', 'protected', 'to alone', ...over],
  ),
  'protected, lost': row(...found, 'refused', ...bugs, '-', 'protected', 'to alone', ...over),
  'protected, lost before': row(
    ...[...found, 'refused', ...bugs, '-', 'protected', 'to alone', ...over],
  ),
  'to alone': row(
    ...['bug', 'bug', 'refused', ...bugs, '-', '-', '-', 'alone', 'protected'],
    ...['bug', 'superseded', 'refused'],
  ),
  'to unprotected': row(
    ...['bug', 'bug', 'refused', ...bugs, '-', '-', '-'],
    ...['unprotected', 'protected', 'bug', 'superseded', 'refused'],
  ),
  held: row(
    ...[...found, 'refused', ...bugs, '-', '-', '-', 'unprotected', '-'],
    ...['held', 'superseded', 'refused'],
  ),
  alone: row(...found, 'protecting, was alone', ...bugs, '-', '-', 'refused', ...over),
  superseded: row(
    ...['-', '-', 'refused', '-', '-', '-', '-', '-', 'refused', '-', '-', '-', '-', 'alone'],
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
