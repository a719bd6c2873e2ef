import { isBuiltin } from 'node:module';
import path from 'node:path';
import { allImports, type Import } from './imports.js';
import { packageSource, type Fault, type Tree } from './tree.js';

interface Folder {
  /** Folders of the same package that it may import; `.` is the files of src itself. */
  readonly folders: readonly string[];
  /** Packages of ours that it may import; by default those of its package. */
  readonly packages?: readonly string[];
  /** Runs in a browser: no module of Node.js, and no package but ours. */
  readonly isForBrowsers?: boolean;
}

interface Package {
  readonly packages: readonly string[];
  readonly folders: Readonly<Record<string, readonly string[] | Folder>>;
}

/**
 * Who may import whom. `index.ts` of a package passes on whatever its folders have.
 *
 * A new folder needs a row. A row grows only when the new arrow makes sense as a sentence.
 */
export const FLOORS: Readonly<Record<string, Package>> = {
  'qemu-qmp-client': {
    packages: [],
    folders: {
      '.': ['wire', 'schema', 'generated'],
      wire: ['.', 'schema'],
      schema: ['generated'],
      generated: ['schema'],
      shell: ['.', 'schema'],
      testing: ['.', 'wire'],
    },
  },
  nbd: {
    packages: [],
    folders: {
      '.': [],
      wire: ['.'],
      server: ['.', 'wire'],
      client: ['.', 'wire'],
    },
  },
  checkpointer: { packages: [], folders: { '.': [] } },
  vsmr: {
    packages: [],
    folders: {
      '.': ['wire', 'ram'],
      wire: ['.'],
      ram: ['.'],
    },
  },
  replicator: {
    packages: ['nbd'],
    folders: {
      '.': ['sessions', 'snapshot', 'durability', 'disk', 'memory', 'images'],
      images: ['.'],
      memory: ['.'],
      disk: ['.', 'memory', 'images'],
      durability: ['.', 'disk', 'memory', 'images'],
      sessions: ['.', 'disk', 'images'],
      snapshot: ['.', 'disk', 'memory'],
    },
  },
  'qmp-driver': {
    packages: ['qemu-qmp-client'],
    folders: {
      '.': ['migration', 'guest', 'disk', 'export', 'network', 'inspect', 'snapshot'],
      migration: ['.', 'guest', 'network'],
      guest: ['.'],
      disk: ['.'],
      export: ['.', 'disk'],
      network: ['.', 'disk'],
      inspect: ['.', 'disk', 'network'],
      snapshot: ['.', 'disk'],
      'command-line': ['.', 'disk', 'network', 'inspect'],
    },
  },
  contract: {
    packages: ['qemu-qmp-client', 'nbd', 'checkpointer', 'replicator', 'qmp-driver'],
    folders: {
      '.': ['config', 'events', 'verdict'],
      config: ['.'],
      events: ['.', 'verdict'],
      verdict: ['.'],
    },
  },
  gannet: {
    packages: [
      ...['qemu-qmp-client', 'nbd', 'checkpointer', 'vsmr', 'replicator', 'qmp-driver'],
      'contract',
    ],
    folders: {
      // bin.ts starts the command; the rest is small enough to belong to nobody.
      '.': ['cli', 'daemon', 'daemon/cluster', 'daemon/peer', 'daemon/terms'],
      vendor: [],
      tls: ['.'],
      view: { folders: [], packages: ['contract'], isForBrowsers: true },
      page: { folders: ['view', 'vendor'], packages: ['contract'], isForBrowsers: true },
      inspect: ['.', 'tls', 'view'],
      cli: ['.', 'cli/commands', 'cli/watch', 'inspect', 'view'],
      'cli/commands': ['.', 'cli', 'cli/watch', 'inspect', 'view'],
      'cli/watch': { folders: ['.', 'cli', 'view'], packages: ['contract'] },
      daemon: [
        ...['.', 'tls', 'inspect', 'daemon/control', 'daemon/http', 'daemon/peer', 'daemon/vm'],
        ...['daemon/primary', 'daemon/secondary', 'daemon/terms', 'daemon/events'],
        'daemon/protection',
      ],
      'daemon/events': { folders: [], packages: ['contract'] },
      // Decisions without I/O.
      'daemon/arbitration': { folders: [], packages: ['contract'] },
      'daemon/terms': { folders: ['daemon/arbitration'], packages: ['contract', 'nbd'] },
      'daemon/cluster': ['daemon/arbitration', 'daemon/terms'],
      'daemon/protection': ['tls', 'daemon/arbitration', 'daemon/peer'],
      'daemon/metrics': { folders: ['.'], packages: ['contract'] },
      'daemon/control': ['.', 'daemon', 'daemon/arbitration'],
      'daemon/http': ['.', 'daemon/control', 'daemon/metrics'],
      'daemon/peer': ['.', 'tls', 'daemon', 'daemon/terms'],
      'daemon/vm': ['.', 'tls', 'daemon'],
      // The engine without COLO: ports of @gannet/vsmr on QEMU, files and sockets.
      'daemon/vsmr': ['.', 'tls', 'daemon'],
      // Whether the replica equals the primary's disks.
      'daemon/verify': ['.', 'daemon', 'inspect', 'daemon/peer'],
      // What has to be copied to a secondary that comes back.
      'daemon/resync': ['.', 'tls', 'inspect', 'daemon', 'daemon/peer', 'daemon/verify'],
      'daemon/primary': [
        ...['.', 'tls', 'inspect', 'daemon', 'daemon/peer', 'daemon/vm'],
        ...['daemon/arbitration', 'daemon/terms', 'daemon/vsmr', 'daemon/verify'],
        'daemon/resync',
      ],
      'daemon/secondary': [
        ...['.', 'tls', 'inspect', 'daemon', 'daemon/peer', 'daemon/vm'],
        ...['daemon/arbitration', 'daemon/terms', 'daemon/vsmr', 'daemon/verify'],
      ],
    },
  },
  lab: {
    packages: [
      ...['qemu-qmp-client', 'nbd', 'checkpointer', 'replicator', 'vsmr', 'qmp-driver'],
      ...['contract', 'gannet'],
    ],
    folders: {
      '.': ['guest', 'hosts', 'vsmr'],
      guest: ['.'],
      hosts: ['.', 'guest'],
      vsmr: ['.', 'guest', 'hosts'],
      demo: ['.', 'guest', 'hosts'],
    },
  },
};

/** The only ones that may import the laboratory: interop tests want a real QEMU, too. */
const USERS_OF_LAB = /^(bench|test|examples|packages\/lab)\/|\.interop\.test\.ts$/;
const OURS = new RegExp(`^(?:@gannet/)?(${Object.keys(FLOORS).join('|')})(?:/|$)`);

export function floors(tree: Tree): Fault[] {
  return [
    ...allImports(tree).flatMap((one) => {
      const what = lab(one) ?? relative(one) ?? foreign(tree, one) ?? arrow(one);
      return what === undefined ? [] : [{ file: one.file, line: one.line, what }];
    }),
    ...foldersWithoutRow(tree),
  ];
}

function lab({ file, specifier }: Import): string | undefined {
  if (packageOf(specifier) !== 'lab' || USERS_OF_LAB.test(file)) return undefined;
  return 'only bench, test, examples and interop tests may import the lab';
}

/** Another package is imported by its name, also in tests. */
function relative({ file, target }: Import): string | undefined {
  const from = /^packages\/[^/]+\//.exec(file)?.[0];
  const to = target === undefined ? undefined : /^packages\/[^/]+\//.exec(target)?.[0];
  if (to === undefined || to === from) return undefined;
  return `reaches into ${to} by a relative path: import what that package exports`;
}

/** Sources import nothing outside of them that a user's installation does not have. */
function foreign(tree: Tree, { file, specifier, target }: Import): string | undefined {
  const source = packageSource(file);
  if (source === undefined || isBuiltin(specifier)) return undefined;
  const home = `packages/${source.name}/`;
  if (target !== undefined) {
    return target.startsWith(`${home}src/`) ? undefined : `reaches out of ${home}src`;
  }
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? '';
  const manifest = tree.get(`${home}package.json`);
  if (manifest === undefined) return undefined;
  const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> };
  if (Object.hasOwn(dependencies, name) || packageOf(specifier) === source.name) return undefined;
  return `${name} is not among the dependencies of ${home}package.json`;
}

function arrow({ file, specifier, target }: Import): string | undefined {
  const source = packageSource(file);
  const house = source && FLOORS[source.name];
  if (source === undefined || house === undefined) return undefined;
  const from = folderOf(source.inside);
  const row = rowOf(house, from);
  const place = `${source.name}/src/${from}`;
  const another = packageOf(specifier);
  if (another !== undefined) {
    if ((row?.packages ?? house.packages).includes(another)) return undefined;
    return `${place} may not import the package ${another}`;
  }
  if (row?.isForBrowsers === true && target === undefined) {
    return `${place} runs in a browser, and may not import ${specifier}`;
  }
  const inside = target === undefined ? undefined : packageSource(target)?.inside;
  if (inside === undefined || source.inside === 'index.ts') return undefined;
  const to = folderOf(inside);
  if (to === from || row === undefined || row.folders.includes(to)) return undefined;
  return `${place} may not import ${source.name}/src/${to}`;
}

function foldersWithoutRow(tree: Tree): Fault[] {
  const seen = new Set<string>();
  return [...tree.keys()].flatMap((file) => {
    const source = packageSource(file);
    if (source === undefined) return [];
    const folder = folderOf(source.inside);
    const house = FLOORS[source.name];
    const name = `${source.name}/src/${folder}`;
    if ((house && rowOf(house, folder)) !== undefined || seen.has(name)) return [];
    seen.add(name);
    return [{ file, line: 1, what: `${name} has no row in FLOORS (test/tidy/floors.ts)` }];
  });
}

function rowOf(house: Package, folder: string): Folder | undefined {
  const row = house.folders[folder];
  return row === undefined || isFolder(row) ? row : { folders: row };
}

function isFolder(row: readonly string[] | Folder): row is Folder {
  return 'folders' in row;
}

function folderOf(inside: string): string {
  return path.posix.dirname(inside);
}

function packageOf(specifier: string): string | undefined {
  return OURS.exec(specifier)?.[1];
}
