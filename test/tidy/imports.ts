import path from 'node:path';
import ts from 'typescript';
import { isTypeScript, lineAt, type Tree } from './tree.js';

export interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  /** The file of this repository that it names by a relative path. */
  readonly target: string | undefined;
}

/** Imports of one file as the compiler sees them: of types too, and `import()` and `require()`. */
export function importsOf(tree: Tree, file: string): Import[] {
  const text = tree.get(file) ?? '';
  const { importedFiles, referencedFiles } = ts.preProcessFile(text, true, true);
  return [...importedFiles, ...referencedFiles].map(({ fileName: specifier, end }) => {
    const line = lineAt(text, end);
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
