import { describe, expect, it } from '@jest/globals';
import { CELLS, SELECTION } from '../../faults/cells.js';
import { runCell } from '../../faults/run-cell.js';

// A few cells of the fault matrix; `make faults` runs all of them.

const SEED = Number(process.env['GANNET_SEED'] ?? 1);

describe('the fault matrix', () => {
  it.each(SELECTION)('%s', async (id) => {
    const cell = CELLS.find((each) => each.id === id)!;
    expect(await runCell(cell, SEED)).toMatchObject({ passed: true });
  });
});
