import { lineAt, type Fault, type Tree } from './tree.js';

/** Words that a reader would not expect, and what to write. */
const REFUSED: readonly (readonly [words: string, better: string])[] = [
  ['anew', 'again'],
  ['for ever', 'forever, or without a limit'],
  ['in vain', 'without success; a wait "timed out"'],
  ['for want of', 'without, because there is no'],
  ['lest', 'so that … not'],
  ['a whole while', 'for a long time, or the number'],
];
/** The list itself, and its test. */
const ABOUT_THEM = /^test\/tidy\/(english|rules\.test)\.ts$/;

/** Source, docs and messages are written in plain English. Words in backticks are quotations. */
export function plainEnglish(tree: Tree): Fault[] {
  return [...tree].flatMap(([file, text]) => {
    if (ABOUT_THEM.test(file)) return [];
    const read = file.endsWith('.md') ? text.replace(/`[^`\n]+`/g, blank) : text;
    return REFUSED.flatMap(([words, better]) =>
      [...read.matchAll(patternOf(words))].map(({ index }) => {
        return { file, line: lineAt(text, index), what: `"${words}": write ${better}` };
      }),
    );
  });
}

/** Also across the end of a line, with the next line's comment marks. */
function patternOf(words: string): RegExp {
  const gap = String.raw`(?:[ \t]|\n[ \t]*(?:\*|\/\/|#|>)?[ \t]*)+`;
  return new RegExp(String.raw`(?<![\w-])${words.split(' ').join(gap)}(?![\w-])`, 'gi');
}

function blank(text: string): string {
  return ' '.repeat(text.length);
}
