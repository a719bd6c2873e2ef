import { existsSync } from 'node:fs';
import path from 'node:path';

/** The same from the sources and from what they are compiled to. */
export const ROOT = above(import.meta.dirname);
export const BIN = path.join(ROOT, 'packages/gannet/dist/bin.js');
export const RELIABILITY = path.join(ROOT, 'docs/explanation/reliability.md');
export const SOAK = path.join(ROOT, 'test/faults/soak.json');
export const RESULTS = path.join(ROOT, 'test/faults/results.json');

function above(folder: string): string {
  const parent = path.dirname(folder);
  if (existsSync(path.join(folder, 'pnpm-workspace.yaml')) || parent === folder) return folder;
  return above(parent);
}
