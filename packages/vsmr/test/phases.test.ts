import { describe, expect, test } from '@jest/globals';
import { followingPhase, PRIMARY_PHASES, SECONDARY_PHASES } from '../src/phases.js';

const TABLES = { primary: PRIMARY_PHASES, secondary: SECONDARY_PHASES } as const;
type Rows = Readonly<Record<string, Readonly<Partial<Record<string, string>>>>>;

describe.each(Object.entries(TABLES))('the table of the %s', (_, table) => {
  const rows: Rows = table;
  const phases = Object.keys(rows);
  const inputs = [...new Set(phases.flatMap((phase) => Object.keys(rows[phase] ?? {})))];
  const cells = phases.flatMap((phase) => inputs.map((input) => [phase, input] as const));

  test.each(cells)('%s, %s', (phase, input) => {
    const next = rows[phase]?.[input];
    if (next === undefined) {
      expect(() => followingPhase(rows, phase, input)).toThrow(`no ${input} in the phase ${phase}`);
    } else {
      expect(followingPhase(rows, phase, input)).toBe(next);
      expect(phases).toContain(next);
    }
  });
});

test('a takeover begins where the last checkpoint is whole, and nowhere else', () => {
  const may = Object.entries(SECONDARY_PHASES).filter(([, row]) => 'take-over' in row);
  expect(may.map(([phase]) => phase)).toEqual(['running']);
});

test('whatever is under way when the link breaks leads to a phase that is left alone', () => {
  // `dropped` gives up what has not been decided; what has been decided needs no link.
  for (const [phase, row] of Object.entries(SECONDARY_PHASES)) {
    const waitsForPrimary = /^(copying|preparing)/.test(phase);
    expect('dropped' in row).toBe(waitsForPrimary);
  }
});
