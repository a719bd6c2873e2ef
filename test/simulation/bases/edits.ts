// Loader hook: a mutant is a text that is replaced in one compiled file of the code under test.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export interface Edit {
  /** Compiled file, from the root of the workspace. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}

type Loaded = { readonly format: string; readonly source: string; readonly shortCircuit?: boolean };
type NextLoad = (url: string, context: object) => Promise<Loaded>;

let edits: readonly Edit[] = [];

export function initialize(data: { readonly edits: readonly Edit[] }): void {
  ({ edits } = data);
}

export async function load(url: string, context: object, next: NextLoad): Promise<Loaded> {
  const own = edits.filter(({ file }) => url.endsWith(`/${file}`));
  if (own.length === 0) return next(url, context);
  let source = await readFile(fileURLToPath(url), 'utf8');
  for (const { file, find, replace } of own) {
    if (source.split(find).length !== 2) throw new Error(`${file} has not once: ${find}`);
    source = source.replace(find, () => replace);
  }
  return { format: 'module', source, shortCircuit: true };
}
