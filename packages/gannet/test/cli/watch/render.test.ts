/** Nothing that is for people is cut at a terminal's edge, however narrow it is. */
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import type { DaemonEvent, Status } from '@gannet/contract';
import {
  renderEvent,
  renderFold,
  renderStatus,
  renderWatch,
} from '../../../src/cli/watch/render.js';
import { wrap } from '../../../src/cli/terminal.js';
import { judged, PRIMARY, SECONDARY } from '../../support/statuses.js';

const WIDTHS = [40, 80];
const LONG = `/var/lib/${'images/'.repeat(20)}root.raw: no space left`;

const STATUSES: readonly (readonly [name: string, status: Status])[] = [
  ['a primary', PRIMARY],
  ['a secondary', SECONDARY],
  ['a diverged replica', judged({ ...SECONDARY, state: 'diverged', reason: LONG })],
  ['a disk that takes no writes', judged({ ...SECONDARY, baseTrouble: LONG })],
  ['a primary that is down', judged({ ...PRIMARY, primaryVm: 'lost', primaryVmTrouble: LONG })],
];

const AT = '2026-01-01T10:00:00.000Z';
const TOLD = { epoch: 12, committedPages: 714, droppedPages: 1040, gateClosedMs: 2.39 };

function eventsAt(at: string): DaemonEvent[] {
  const here = { at, role: 'primary' } as const;
  return [
    { ...here, kind: 'trouble', code: 'REPLICA_BASE_IO', message: LONG, remedy: `See ${LONG}.` },
    { ...here, kind: 'alone', reason: LONG, secondaryKnows: false },
    { ...here, kind: 'reloaded', changed: ['primary.checkpointPeriodMs', 'fence', LONG] },
    { ...here, kind: 'two-copies', newest: 'secondary', host: 'b', term: 5, outdatedTerm: 4 },
    { ...here, role: 'secondary', kind: 'leaving' },
    { ...here, kind: 'checkpoint', ...TOLD, cause: 'period', pausedMs: 10.3 },
  ];
}

/** Without spaces, and without bars, which are as wide as there is room. */
function lettersOf(lines: readonly string[]): string {
  return lines.join('').replace(/\s|\[[#sc.|]+\]/g, '');
}

test.each([
  ['primary', judged({ ...PRIMARY, peer: { ...PRIMARY.peer, pulse: 'lost', silentMs: 13_000 } })],
  [
    'secondary',
    judged({ ...SECONDARY, peer: { ...SECONDARY.peer, pulse: 'lost', silentMs: 13_000 } }),
  ],
] as const)('the %s says how old its knowledge of a silent daemon is', (here, status) => {
  const lines = renderStatus(status, { columns: 1000, rows: Infinity, hasColour: false });
  const rowOf = (name: string): string => lines.find((line) => line.startsWith(`  ${name}`)) ?? '';
  const there = here === 'primary' ? 'secondary' : 'primary';
  expect(rowOf(there)).toMatch(/, when last heard 13 s ago$/);
  expect(rowOf(here)).not.toMatch(/ago/);
});

describe.each(WIDTHS)('at %d columns', (columns) => {
  test.each(STATUSES)('the status of %s fits, and is complete', (_name, status) => {
    const style = { columns, rows: Infinity, hasColour: false };
    const lines = renderStatus(status, style);
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    expect(lettersOf(lines)).toBe(lettersOf(renderStatus(status, { ...style, columns: 1000 })));
  });

  test('what is coloured fits too, and each of its lines ends its colour', () => {
    const [, , status = PRIMARY] = STATUSES.map(([, one]) => one);
    const lines = renderStatus(status, { columns, rows: Infinity, hasColour: true });
    const coloured = lines.filter((line) => line.includes('\u001b[1;'));
    expect(coloured.length).toBeGreaterThan(0);
    for (const line of coloured) {
      expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(columns);
      expect(line.endsWith('\u001b[0m')).toBe(true);
    }
  });

  const events = eventsAt(AT);

  test.each(events.map((event) => [event.kind, event] as const))('%s fits', (_kind, event) => {
    const lines = renderEvent(event, 'web', 0, columns);
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    expect(lettersOf(lines)).toBe(lettersOf(renderEvent(event, 'web', 0)));
  });

  test('checkpoints, folded', () => {
    const [event] = events.filter(({ kind }) => kind === 'checkpoint');
    if (!event) throw new Error('no sample');
    const lines = renderFold({ first: event, last: event, events: 12_345 }, 0, columns);
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    expect(lines.join(' ').replace(/\s+/g, ' ')).toContain('12345 events of checkpoints');
  });

  test('checkpoints, each', () => {
    const style = { columns, rows: 100, hasColour: false };
    const checkpoints = events.filter(({ kind }) => kind === 'checkpoint');
    const lines = renderWatch(PRIMARY, checkpoints, style, Date.parse(AT));
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    const text = lines.join(' ').replace(/\s+/g, ' ');
    expect(text).toMatch(columns < 73 ? /guest paused 10\.3 ms, gate closed/ : /paused gate/);
  });
});

describe('a line that is too long', () => {
  test.each([
    ['one two three', 8, 2, ['one two', '  three']],
    ['one two', 7, 2, ['one two']],
    ['  label   abcdefghijklmnop', 12, 4, ['  label', '    abcdefgh', '    ijklmnop']],
    ['abcdefghijklmnop', 5, 0, ['abcde', 'fghij', 'klmno', 'p']],
    ['', 5, 0, ['']],
    ['a b', 1, 9, ['a', 'b']],
  ])('%p in %d columns', (line, columns, indent, lines) => {
    expect(wrap(line, columns, indent)).toEqual(lines);
  });
});
