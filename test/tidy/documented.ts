import { codesOf } from './codes.js';
import { lineAt, type Fault, type Tree } from './tree.js';

interface Entry {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

const CONTRACT = /^packages\/contract\/src\//;
/** Each kind has its page: `commit` is an event and a method. */
const PAGES = {
  event: 'docs/reference/events.md',
  method: 'docs/reference/commands.md',
  'error code': 'docs/reference/errors.md',
} as const;

/** Every event, method and error code is on its page of docs/reference, in backticks. */
export function documented(tree: Tree): Fault[] {
  // The lab is not published.
  const published = codesOf(tree).filter(({ owner }) => owner !== 'lab');
  const codes = published.map(({ code, file, line }) => ({ name: code, file, line }));
  return [
    ...lacking('event', tableKeys(tree, 'EVENTS')),
    ...lacking('method', tableKeys(tree, 'METHODS')),
    ...lacking('error code', codes),
  ];

  function lacking(kind: keyof typeof PAGES, entries: readonly Entry[]): Fault[] {
    const page = tree.get(PAGES[kind]) ?? '';
    if (entries.length === 0) {
      const what = `no ${kind} found: this rule reads its names from here`;
      return [{ file: 'packages/contract/src', line: 1, what }];
    }
    return entries
      .filter(({ name }) => !page.includes(`\`${name}\``))
      .map(({ name, file, line }) => {
        return { file, line, what: `${kind} \`${name}\` is not in ${PAGES[kind]}` };
      });
  }
}

/** Keys of the constants of the contract that are called `table`, or `…_table`. */
function tableKeys(tree: Tree, table: string): Entry[] {
  const start = new RegExp(
    String.raw`^(?:export )?const (?:[A-Z_]+_)?${table}\b[^{]*=[^{]*\{$`,
    'gm',
  );
  return [...tree]
    .filter(([file]) => CONTRACT.test(file))
    .flatMap(([file, text]) =>
      [...text.matchAll(start)].flatMap((found) => {
        const from = found.index + found[0].length;
        const body = text.slice(from, text.indexOf('\n}', from));
        return [...body.matchAll(/^ {2}(?:'([\w-]+)'|(\w+)):/gm)].map((key) => {
          const name = key[1] ?? key[2] ?? '';
          return { name, file, line: lineAt(text, from + key.index + 1) };
        });
      }),
    );
}
