/**
 * Each package as somebody who wants that one alone gets it: packed, installed into an empty
 * project, tried.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Packed, ROOT } from './packed.js';

const run = promisify(execFile);
const TSC = path.join(ROOT, 'node_modules/typescript/bin/tsc');
/** What its declarations mention; everybody who compiles for Node.js has it. */
const NODE_TYPES = '@types/node@20';
const STARTS = 9;

interface Manifest {
  readonly name: string;
  readonly exports: Record<string, { readonly types: string; readonly default: string }>;
  readonly dependencies?: Record<string, string>;
  readonly [key: string]: unknown;
}

/**
 * What comes with each package when it is installed alone, and what its README's first example
 * says.
 */
const PACKAGES: Record<string, { readonly with: readonly string[]; readonly says: RegExp }> = {
  'qemu-qmp-client': { with: [], says: /^QEMU \{[^]*status: 'running'[^]*event STOP\nstopped at/ },
  '@gannet/nbd': { with: [], says: /^hello\n$/ },
  '@gannet/checkpointer': { with: [], says: /^commit\nfail over\n$/ },
  '@gannet/vsmr': {
    with: [],
    says: /^devices: 7\ncommit\ncheckpoint 1 pages 1\nhello\nfail over\n$/,
  },
  '@gannet/replicator': { with: ['@gannet/nbd'], says: /^false\ntrue\n$/ },
  '@gannet/qmp-driver': {
    with: ['qemu-qmp-client'],
    says: /^vb0: raw, 64 MiB\n.*no-quorum: vb0/s,
  },
  '@gannet/contract': { with: ['ws', 'yaml', 'zod'], says: /^web 21474836480\n$/ },
  gannet: {
    with: ['@gannet/contract', '@gannet/nbd', '@gannet/replicator', 'commander', 'winston', 'zod'],
    says: /"state":"protected"[^]*hello/,
  },
};

let packed: Packed;
beforeAll(async () => {
  packed = await Packed.make();
});
afterAll(() => packed[Symbol.asyncDispose]());

test('publint and "are the types wrong" find nothing', async () => {
  const check = path.join(ROOT, 'scripts/check-packages.mjs');
  const { stdout } = await run(process.execPath, [check, packed.folder]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(stdout).toBe('8 packages, 0 findings\n');
});

test('no package is forgotten here', async () => {
  // The lab is private.
  const all = await readdir(path.join(ROOT, 'packages'));
  const folders = all.filter((name) => name !== 'lab');
  const names = folders.map(async (folder) => (await manifestOf(`packages/${folder}`)).name);
  expect((await Promise.all(names)).sort()).toEqual(Object.keys(PACKAGES).sort());
});

test('npm install --global gives the command, its manual page and completion', async () => {
  const prefix = path.join(packed.folder, 'prefix');
  await packed.npm(packed.folder, '--global', '--prefix', prefix, 'gannet');
  const gannet = path.join(prefix, 'bin/gannet');
  const { version } = await manifestOf('packages/gannet');
  expect((await run(gannet, ['--version'])).stdout).toBe(`${String(version)}\n`);
  // What the command loads when it has work to do is there too.
  const failed = await run(gannet, ['status', '--json', '--config', '/nowhere.yaml']).catch(
    (error: unknown) => error as { code: number; stdout: string },
  );
  expect(failed).toMatchObject({ code: 2 });
  expect(failed.stdout).toContain('"code":"GANNET_CONFIG"');
  for (const file of ['alerts.yml', 'dashboard.json']) {
    const installed = path.join(prefix, 'lib/node_modules/gannet/monitoring', file);
    expect(await readFile(installed)).toEqual(await readFile(path.join(ROOT, 'monitoring', file)));
  }
  const page = await readFile(path.join(prefix, 'share/man/man1/gannet.1'), 'utf8');
  expect(page).toContain('.SS failover');
  expect((await run(gannet, ['completion', 'bash'])).stdout).toContain(
    'complete -F _gannet gannet',
  );
  // The command is in few files, with the licences of what is in them; the daemons are beside it.
  const dist = path.join(prefix, 'lib/node_modules/gannet/dist');
  const licenses = await readFile(path.join(dist, 'gannet-licenses.txt'), 'utf8');
  expect(licenses).toMatch(/^zod \d.*\n\nMIT License/m);
  const refused = await run(gannet, ['primary', '--config', '/nowhere.yaml']).catch(
    (error: unknown) => error as { code: number; stderr: string },
  );
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/nowhere\.yaml/) });
  const modules = path.join(prefix, 'lib/node_modules/gannet/node_modules');
  const size = await mebibytesOf(prefix);
  const packages = await packagesIn(modules);
  const versionStart = await startOf(gannet, '--version');
  const statusStart = await startOf(gannet, 'status', '--config', '/nowhere.yaml');
  process.stdout.write(
    `Installed: ${size} MiB, ${packages} packages beside gannet\n` +
      `Start: gannet --version ${versionStart}\n` +
      `Start: gannet status, no daemon ${statusStart}\n`,
  );
});

describe.each(Object.entries(PACKAGES))('%s, installed alone', (name, expected) => {
  let folder: string;
  let installed: string;
  let manifest: Manifest;
  beforeAll(async () => {
    folder = path.join(packed.folder, name.replace('/', '-'));
    installed = path.join(folder, 'node_modules', name);
    await packed.npm(folder, '--init-type=module', name, NODE_TYPES);
    await writeFile(path.join(folder, 'package.json'), '{"type": "module", "private": true}');
    manifest = JSON.parse(await readFile(path.join(installed, 'package.json'), 'utf8')) as Manifest;
  });

  test('it brings what it needs, its licence, its README and its sources', async () => {
    const modules = path.join(folder, 'node_modules');
    const there = expected.with.map((other) => access(path.join(modules, other)));
    for (const file of ['LICENSE', 'README.md', 'src/index.ts', 'dist/index.js.map']) {
      there.push(access(path.join(installed, file)));
    }
    await Promise.all(there);
    if (expected.with.length === 0) {
      const others = (await readdir(modules)).filter((entry) => !entry.startsWith('.'));
      expect(others.sort()).toEqual([name.split('/')[0], '@types', 'undici-types'].sort());
    }
    const versions = Object.values(manifest.dependencies ?? {});
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(manifest).toMatchObject({
      type: 'module',
      license: 'Apache-2.0',
      sideEffects: false,
      engines: { node: '>=20.11' },
    });
  });

  test('every entry point can be imported and has types, and the first example runs', async () => {
    const { prelude, code } = firstExampleOf(
      await readFile(path.join(installed, 'README.md'), 'utf8'),
    );
    const entries = Object.keys(manifest.exports).map((entry) => path.posix.join(name, entry));
    const imports = entries.map((entry, at) => `import * as entry${at} from '${entry}';`);
    const uses = entries.map((_, at) => `console.log(Object.keys(entry${at}).length);`);
    await writeFile(path.join(folder, 'entries.ts'), [...imports, ...uses].join('\n'));
    await writeFile(path.join(folder, 'example.ts'), code);
    await compile(folder);
    const counts = await run(process.execPath, ['entries.js'], { cwd: folder });
    expect(counts.stdout.trim().split('\n')).toHaveLength(entries.length);
    // The last command of a prelude is a server, and ends with this process or before it.
    const shell = prelude?.replace(/^qemu-system/m, 'exec qemu-system');
    const beside = shell
      ? spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-ec', shell], {
          cwd: folder,
          stdio: 'ignore',
        })
      : undefined;
    try {
      const { stdout } = await run(process.execPath, ['example.js'], { cwd: folder });
      expect(stdout).toMatch(expected.says);
    } finally {
      if (beside?.exitCode === null) {
        beside.kill('SIGKILL');
        await once(beside, 'exit');
      }
    }
  });
});

async function mebibytesOf(folder: string): Promise<string> {
  const { stdout } = await run('du', ['-s', '--apparent-size', '--block-size=1', folder]);
  return (Number.parseInt(stdout, 10) / 2 ** 20).toFixed(1);
}

async function packagesIn(modules: string): Promise<number> {
  const names = (await readdir(modules)).filter((name) => !name.startsWith('.'));
  const scoped = names.filter((name) => name.startsWith('@'));
  const inScopes = await Promise.all(scoped.map((name) => readdir(path.join(modules, name))));
  return names.length - scoped.length + inScopes.flat().length;
}

/**
 * From its start to its end: the processor time, which does not ask who else is at work, and the
 * time on the clock.
 */
async function startOf(command: string, ...args: readonly string[]): Promise<string> {
  const timed = `TIMEFORMAT='%R %U %S'; time "$@" >/dev/null 2>&1`;
  const runs: [wall: number, cpu: number][] = [];
  for (let turn = 0; turn < STARTS; turn++) {
    const { stderr } = await run('bash', [
      '-c',
      `{ ${timed}; } || true`,
      'start',
      command,
      ...args,
    ]);
    const [wall = 0, user = 0, system = 0] = stderr.trim().split(' ').map(Number);
    runs.push([wall, user + system]);
  }
  const middle = (at: 0 | 1): string => {
    const sorted = runs.map((each) => each[at]).sort((a, b) => a - b);
    return ((sorted[STARTS >> 1] ?? 0) * 1000).toFixed(0);
  };
  return `${middle(0)} ms, of which ${middle(1)} ms of processor time (medians of ${STARTS})`;
}

async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(path.join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
}

/** As a user with a strict compiler would; declarations of dependencies are checked too. */
async function compile(folder: string): Promise<void> {
  const options = {
    ...{ target: 'es2022', module: 'nodenext', types: ['node'], lib: ['es2023'] },
    ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false },
    verbatimModuleSyntax: true,
  };
  const project = { compilerOptions: options, files: ['entries.ts', 'example.ts'] };
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(project));
  const { stdout } = await run(process.execPath, [TSC, '-p', folder]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(stdout).toBe('');
}

/**
 * The first block of JavaScript or TypeScript, and the shell's block before it where there is one.
 */
function firstExampleOf(readme: string): { prelude: string | undefined; code: string } {
  const blocks = [...readme.matchAll(/^```(sh|js|ts)\n([^]*?)^```$/gm)];
  const at = blocks.findIndex(([, language]) => language !== 'sh');
  const code = blocks[at]?.[2];
  if (code === undefined) throw new Error('the README has no example');
  return { prelude: at > 0 ? blocks[at - 1]?.[2] : undefined, code };
}
