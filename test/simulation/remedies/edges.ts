// Loader hooks beside those of the arbitration: the whole daemon runs, not its role alone, so its
// control socket and its host's name are simulated too.

const EDGES: readonly (readonly [importer: RegExp, name: string, module: string])[] = [
  [/daemon\/daemon\.js$/, './control/control-server.js', './surroundings.js'],
  [/daemon\/.*\.js$/, 'node:os', './surroundings.js'],
];

/** As `#daemon/` of the arbitration. */
const CLI = '#cli/';
const CLI_FOLDER = '../../../../packages/gannet/dist/cli/';

interface Context {
  readonly parentURL?: string;
}

type Resolved = { readonly url: string; readonly shortCircuit?: boolean };
type NextResolve = (specifier: string, context: Context) => Promise<Resolved>;

export function resolve(
  specifier: string,
  context: Context,
  next: NextResolve,
): Promise<Resolved> | Resolved {
  if (specifier.startsWith(CLI)) {
    const url = new URL(CLI_FOLDER + specifier.slice(CLI.length), import.meta.url).href;
    return { url, shortCircuit: true };
  }
  const edge = EDGES.find(
    ([importer, name]) => name === specifier && importer.test(context.parentURL ?? ''),
  );
  if (!edge) return next(specifier, context);
  return { url: new URL(edge[2], import.meta.url).href, shortCircuit: true };
}
