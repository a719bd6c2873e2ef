import path from 'node:path';
import { isTypeScript, lineAt, type Tree } from './tree.js';

export interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  /** The file of this repository that it names by a relative path. */
  readonly target: string | undefined;
}

/**
 * `import … from`, `export … from`, `import '…'` at the start of a line; `import('…')` anywhere.
 */
const STATEMENT = /^(?:import|export)\b(?:[^;'"]*?\bfrom)?\s*'([^']+)'/gm;
const EXPRESSION = /\bimport\('([^']+)'\)/g;

/** Imports of one file, of types too. */
export function importsOf(tree: Tree, file: string): Import[] {
  const text = tree.get(file) ?? '';
  return [...text.matchAll(STATEMENT), ...text.matchAll(EXPRESSION)].map((match) => {
    const specifier = match[1] ?? '';
    const line = lineAt(text, match.index + match[0].length);
    return { file, line, specifier, target: targetOf(tree, file, specifier) };
  });
}

export function allImports(tree: Tree): Import[] {
  return [...tree.keys()].filter(isTypeScript).flatMap((file) => importsOf(tree, file));
}

function targetOf(tree: Tree, file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const named = path.posix.join(path.posix.dirname(file), specifier);
  const candidates = [named, named.replace(/\.js$/, '.ts'), named.replace(/\.js$/, '.d.ts')];
  return candidates.find((name) => tree.has(name)) ?? named;
}
