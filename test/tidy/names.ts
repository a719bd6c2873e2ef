import path from 'node:path';
import { lineAt, packageSource, type Fault, type Tree } from './tree.js';

const KIND = String.raw`(?:class|function\*?|const enum|const|let|interface|type|enum|namespace)`;
const MODIFIERS = '(?:declare )?(?:abstract )?(?:async )?';
const EXPORTED = new RegExp(String.raw`^export ${MODIFIERS}${KIND} ([\w$]+)`, 'gm');
/** `export { a, b as c }`, without `from`: those pass names on. */
const LISTED = /^export (?:type )?\{([^}]*)\}(?! from)/gm;

interface Place {
  readonly file: string;
  readonly line: number;
}

/** A name that two files export means two things. `index.ts` only passes names on. */
export function namesakes(tree: Tree): Fault[] {
  const names = new Map<string, Place[]>();
  for (const [file, text] of tree) {
    if (packageSource(file) === undefined || path.posix.basename(file) === 'index.ts') continue;
    for (const { name, index } of exportedNames(text)) {
      push(names, name, { file, line: lineAt(text, index) });
    }
  }
  return [...names].flatMap(([name, places]) => {
    const files = [...new Set(places.map(({ file }) => file))];
    if (files.length < 2) return [];
    return places.map(({ file, line }) => {
      const what = `\`${name}\` is exported by ${files.join(' and ')}: rename one, or share it`;
      return { file, line, what };
    });
  });
}

function exportedNames(text: string): { name: string; index: number }[] {
  const declared = [...text.matchAll(EXPORTED)].map(({ 1: name = '', index }) => ({ name, index }));
  const listed = [...text.matchAll(LISTED)].flatMap(({ 1: list = '', index }) =>
    [...list.matchAll(/([\w$]+)\s*(?:,|$)/g)].map(({ 1: name = '' }) => ({ name, index })),
  );
  return [...declared, ...listed];
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
