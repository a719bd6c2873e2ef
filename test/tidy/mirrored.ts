import path from 'node:path';
import type { Fault, Tree } from './tree.js';

/**
 * `test/<folder>/<source>[.<topic>][.interop].test.ts` tests `src/<folder>/<source>.ts`, in
 * packages and in bench.
 */
export function mirroredTests(tree: Tree): Fault[] {
  return [...tree.keys()].flatMap((file) => {
    const [, owner = '', inside] =
      /^(packages\/[^/]+|bench)\/test\/(.+)\.test\.ts$/.exec(file) ?? [];
    if (inside === undefined) return [];
    const [base = ''] = path.posix.basename(inside).split('.');
    const source = path.posix.join(owner, 'src', path.posix.dirname(inside), `${base}.ts`);
    if (tree.has(source)) return [];
    const what = `no source ${source}: name it <folder>/<source>[.<topic>][.interop].test.ts`;
    return [{ file, line: 1, what }];
  });
}
