import { describe, expect, test } from '@jest/globals';
import { type MirrorInput, type MirrorPhase, nextPhase } from '../../src/disk/mirror-state.js';

/** `-`: it stays as it is; `!`: a step that must not be taken. */
const INPUTS =
  'READY ERROR COMPLETED BROKEN CANCELLED gone fail ' +
  'started adopt resume caught-up seal finish cancel';
const TABLE: Readonly<Record<MirrorPhase, string>> = {
  new: 'ready halted failed failed failed - failed copying adopted ! ! ! ! cancelling',
  copying: 'ready halted failed failed failed - failed ! ! ! ! ! ! cancelling',
  adopted: 'sealed failed failed failed failed - failed ! ! ! ! ! ! cancelling',
  halted: 'interrupted - failed failed failed - failed - ! copying ! ! ! cancelling',
  ready: '- interrupted failed failed failed - failed - ! ! ! sealed ! cancelling',
  interrupted: '- - failed failed failed - failed - ! behind ! ! ! cancelling',
  behind: '- interrupted failed failed failed - failed ! ! ! ready ! ! cancelling',
  sealed: '- failed failed failed failed - failed - ! ! ! - finishing cancelling',
  finishing: '- failed ended failed failed - failed ! ! ! ! - - cancelling',
  cancelling: '- - ended ended ended ended - - ! ! ! ! ! -',
  ended: '- - - - - - - - ! ! ! - - -',
  failed: '- - - - - - - - ! ! ! ! ! -',
};

const inputs = INPUTS.split(' ') as MirrorInput[];
const cells = Object.entries(TABLE).flatMap(([phase, row]) =>
  row.split(' ').map((expected, at) => ({
    phase: phase as MirrorPhase,
    input: inputs[at] as MirrorInput,
    expected,
  })),
);

describe('each cell of the table', () => {
  test('there is a cell for each input in each phase', () => {
    expect(cells).toHaveLength(12 * 14);
    for (const row of Object.values(TABLE)) expect(row.split(' ')).toHaveLength(inputs.length);
  });

  test.each(cells)('$phase, $input: $expected', ({ phase, input, expected }) => {
    if (expected === '!') expect(() => nextPhase(phase, input)).toThrow('must not be told');
    else expect(nextPhase(phase, input)).toBe(expected === '-' ? phase : expected);
  });
});

test('what is over stays over', () => {
  for (const phase of ['ended', 'failed'] as const) {
    const after = cells.filter((cell) => cell.phase === phase && cell.expected !== '!');
    expect(new Set(after.map(({ input }) => nextPhase(phase, input)))).toEqual(new Set([phase]));
  }
});

test('no error after the seal leads back to a mirror that counts as complete', () => {
  const complete = new Set<MirrorPhase>(['ready', 'sealed', 'finishing', 'ended']);
  for (const phase of ['sealed', 'finishing'] as const) {
    for (const input of ['ERROR', 'BROKEN', 'CANCELLED', 'fail'] as const) {
      expect(complete.has(nextPhase(phase, input))).toBe(false);
    }
  }
});
