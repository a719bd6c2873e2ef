/** The repository as the rules see it: text files by their paths. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Paths relative to the root, with `/`. */
export type Tree = ReadonlyMap<string, string>;

/** One place where a rule is broken, and what to do about it. */
export interface Fault {
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

export type Rule = (tree: Tree) => Fault[];

/** Made by tools, wherever they are. */
const SKIPPED_NAMES = new Set(['node_modules', 'dist', '.git', '.cache', '.stryker', 'coverage']);
/** Test data, measurements, pictures: by path, since a folder of sources may have such a name. */
const SKIPPED_PATHS = new Set([
  ...['test/robustness/fuzz/corpus', 'test/robustness/fuzz/crashes'],
  ...['bench/results', 'docs/explanation/charts', 'docs/images'],
]);
const KINDS =
  /\.(ts|mjs|js|sh|c|h|pml|md|html|css|ya?ml|service)$|(^|\/)(package\.json|Makefile|run)$/;
/** Written by a program, or somebody else's. */
const GENERATED = /\/src\/generated\/|^docs\/reference\/api\/|^pnpm-lock\.yaml$/;
const CODE = /\.(ts|mjs|js|sh|c|h|pml)$/;

export function readTree(root: string): Tree {
  const tree = new Map<string, string>();
  const visit = (folder: string): void => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const name = path.posix.join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!SKIPPED_NAMES.has(entry.name) && !SKIPPED_PATHS.has(name)) visit(name);
      } else if (entry.isFile() && KINDS.test(name) && !GENERATED.test(name)) {
        tree.set(name, readFileSync(path.join(root, name), 'utf8'));
      }
    }
  };
  visit('');
  return tree;
}

export function isCode(file: string): boolean {
  return CODE.test(file);
}

/** TypeScript that ships or runs: sources of packages, and of the programs around them. */
export function isTypeScript(file: string): boolean {
  return file.endsWith('.ts');
}

/** `packages/nbd/src/wire/replies.ts` → `{ name: 'nbd', inside: 'wire/replies.ts' }` */
export function packageSource(file: string): { name: string; inside: string } | undefined {
  const [, name, inside] = /^packages\/([^/]+)\/src\/(.+\.ts)$/.exec(file) ?? [];
  return name === undefined || inside === undefined ? undefined : { name, inside };
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

export function describeFault({ file, line, what }: Fault): string {
  return `${file}:${line}: ${what}`;
}
