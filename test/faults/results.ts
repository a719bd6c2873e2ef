import type { CellResult } from './run-cell.js';

export interface Kept extends CellResult {
  readonly date: string;
  readonly qemu: string;
  readonly seed: number;
}

/** By the cell's id. */
export type Results = Record<string, Kept>;
