import path from 'node:path';
import { isCode, type Fault, type Tree } from './tree.js';

const FILES_MAX = 15;
const LINES_MAX = 450;
const COLUMNS_MAX = 100;

/** A folder has at most 15 files. The root holds what tools look for there. */
export function folderSizes(tree: Tree): Fault[] {
  const folders = new Map<string, number>();
  for (const file of tree.keys()) {
    const folder = path.posix.dirname(file);
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  return [...folders]
    .filter(([folder, count]) => folder !== '.' && count > FILES_MAX)
    .map(([file, count]) => {
      const what = `${count} files, at most ${FILES_MAX}: move what belongs together to a folder`;
      return { file, line: 1, what };
    });
}

export function fileLengths(tree: Tree): Fault[] {
  return codeOf(tree).flatMap(([file, lines]) => {
    if (lines.length <= LINES_MAX) return [];
    const what = `${lines.length} lines, at most ${LINES_MAX}: split it by what it does`;
    return [{ file, line: LINES_MAX + 1, what }];
  });
}

/** Lines of code and comments. An address on the web cannot be broken. */
export function lineLengths(tree: Tree): Fault[] {
  return codeOf(tree).flatMap(([file, lines]) =>
    lines.flatMap((text, at) => {
      const columns = Array.from(text).length;
      if (columns <= COLUMNS_MAX || /https?:\/\/\S+$/.test(text)) return [];
      const what = `${columns} columns, at most ${COLUMNS_MAX}: break the line`;
      return [{ file, line: at + 1, what }];
    }),
  );
}

function codeOf(tree: Tree): [file: string, lines: string[]][] {
  return [...tree]
    .filter(([file]) => isCode(file))
    .map(([file, text]) => [file, text.replace(/\n$/, '').split('\n')]);
}
