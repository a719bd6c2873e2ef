import path from 'node:path';
import { lineAt, packageSource, type Fault, type Tree } from './tree.js';

const KIND = String.raw`(?:class|function\*?|const|let|interface|type|enum|namespace)`;
const MODIFIERS = '(?:declare )?(?:abstract )?(?:async )?';
const EXPORTED = new RegExp(String.raw`^export ${MODIFIERS}${KIND} (\w+)`, 'gm');

interface Place {
  readonly file: string;
  readonly line: number;
  readonly owner: string;
}

/** A name that two packages export means two things. `index.ts` only passes names on. */
export function namesakes(tree: Tree): Fault[] {
  const names = new Map<string, Place[]>();
  for (const [file, text] of tree) {
    const source = packageSource(file);
    if (source === undefined || path.posix.basename(file) === 'index.ts') continue;
    for (const { 1: name = '', index } of text.matchAll(EXPORTED)) {
      push(names, name, { file, line: lineAt(text, index), owner: source.name });
    }
  }
  return [...names].flatMap(([name, places]) => {
    if (new Set(places.map(({ owner }) => owner)).size < 2) return [];
    const files = places.map(({ file }) => file).join(', ');
    return places.map(({ file, line }) => {
      const what = `\`${name}\` is exported by two packages (${files}): rename one, or share it`;
      return { file, line, what };
    });
  });
}

/** Two sources of one package with the same base name cannot be told apart in an editor's tabs. */
export function sameFileNames(tree: Tree): Fault[] {
  const files = new Map<string, string[]>();
  for (const file of tree.keys()) {
    const source = packageSource(file);
    const base = path.posix.basename(file);
    if (source !== undefined && base !== 'index.ts') push(files, `${source.name} ${base}`, file);
  }
  return [...files.values()]
    .filter((same) => same.length > 1)
    .flatMap((same) =>
      same.map((file) => ({ file, line: 1, what: `has the same name as ${others(same, file)}` })),
    );
}

function others(files: readonly string[], file: string): string {
  return files.filter((other) => other !== file).join(', ');
}

function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
