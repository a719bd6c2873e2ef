// Loader hooks: at its edges, the code under test gets simulated modules in place of real ones; all
// else is what ships. And a mutant is a text that is replaced in one compiled file.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** Who imports what, and what it gets here. */
const EDGES: readonly (readonly [importer: RegExp, name: string, module: string])[] = [
  [/daemon\/peer\/peer-link\.js$/, 'ws', './peer-socket.js'],
  [/daemon\/peer\/peer-link\.js$/, 'node:http', './peer-socket.js'],
  [/daemon\/peer\/peer-link\.js$/, '../claim-socket.js', './peer-socket.js'],
  [/daemon\/terms\/term-store\.js$/, '@gannet/nbd', './vm/replica.js'],
  [/daemon\/secondary\/secondary-role\.js$/, './open-replica.js', './vm/replica.js'],
  [/daemon\/secondary\/secondary-role\.js$/, '@gannet/nbd', './vm/replica.js'],
  [/daemon\/(primary|secondary)\/[a-z-]+\.js$/, '@gannet/qmp-driver', './vm/drivers.js'],
  [/daemon\/(primary|secondary)\/[a-z-]+\.js$/, '../../inspect/side-report.js', './vm/drivers.js'],
];
const DAEMON = '#daemon/';
const DAEMON_FOLDER = '../../../../packages/gannet/dist/daemon/';

export interface Edit {
  /** Compiled file, below packages/gannet/dist/daemon. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}

interface Context {
  readonly parentURL?: string;
}

type Resolved = { readonly url: string; readonly shortCircuit?: boolean };
type NextResolve = (specifier: string, context: Context) => Promise<Resolved>;
type Loaded = { readonly format: string; readonly source: string; readonly shortCircuit?: boolean };
type NextLoad = (url: string, context: object) => Promise<Loaded>;

let edits: readonly Edit[] = [];

export function initialize(data: { readonly edits: readonly Edit[] }): void {
  ({ edits } = data);
}

export function resolve(
  specifier: string,
  context: Context,
  next: NextResolve,
): Promise<Resolved> | Resolved {
  if (specifier.startsWith(DAEMON)) {
    const url = new URL(DAEMON_FOLDER + specifier.slice(DAEMON.length), import.meta.url).href;
    return { url, shortCircuit: true };
  }
  const edge = EDGES.find(
    ([importer, name]) => name === specifier && importer.test(context.parentURL ?? ''),
  );
  if (!edge) return next(specifier, context);
  return { url: new URL(edge[2], import.meta.url).href, shortCircuit: true };
}

export async function load(url: string, context: object, next: NextLoad): Promise<Loaded> {
  const own = edits.filter(({ file }) => url.endsWith(`/gannet/dist/daemon/${file}`));
  if (own.length === 0) return next(url, context);
  let source = await readFile(fileURLToPath(url), 'utf8');
  for (const { file, find, replace } of own) {
    if (source.split(find).length !== 2) throw new Error(`${file} has not once: ${find}`);
    source = source.replace(find, () => replace);
  }
  return { format: 'module', source, shortCircuit: true };
}
