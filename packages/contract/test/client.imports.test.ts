/** What a command needs to ask a daemon loads fast: no schemas, no parser, no other package. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import ts from 'typescript';

const PACKAGE = path.resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')) as {
  readonly exports: Record<string, { readonly default: string }>;
};
const light = Object.entries(manifest.exports).filter(([name]) => name !== '.');

/** Modules that a file imports when it is loaded, without types. */
function importsOf(file: string): string[] {
  const code = ts.transpile(readFileSync(file, 'utf8'), {
    ...{ target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
    verbatimModuleSyntax: true,
  });
  const { statements } = ts.createSourceFile(file, code, ts.ScriptTarget.ESNext);
  return statements.flatMap((one) => {
    const isImport = ts.isImportDeclaration(one) || ts.isExportDeclaration(one);
    const from = isImport ? one.moduleSpecifier : undefined;
    return from && ts.isStringLiteral(from) ? [from.text] : [];
  });
}

function packagesOf(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return [];
  seen.add(file);
  return importsOf(file).flatMap((name) => {
    if (!name.startsWith('.')) return name.startsWith('node:') ? [] : [name];
    return packagesOf(path.resolve(path.dirname(file), name.replace(/\.js$/, '.ts')), seen);
  });
}

test.each(light)('%s', (_name, { default: compiled }) => {
  const file = path.join(PACKAGE, compiled.replace('/dist/', '/src/').replace(/\.js$/, '.ts'));
  const allowed = file.endsWith('/client.ts') ? ['ws'] : [];
  expect(packagesOf(file)).toEqual(allowed);
});

test('the whole contract loads more', () => {
  expect(packagesOf(path.join(PACKAGE, 'src', 'index.ts'))).toEqual(
    expect.arrayContaining(['zod', 'yaml', '@gannet/replicator']),
  );
});
