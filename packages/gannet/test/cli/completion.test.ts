/** Completion, the manual page and the documentation say what the parser knows, all of it. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildProgram } from '../../src/cli/cli.js';
import { configKeys } from '../../src/cli/config-keys.js';
import { examplesOf } from '../../src/cli/help.js';
import { manPage } from '../../src/cli/man.js';
import { tableOf } from '../../src/cli/option-table.js';

const run = promisify(execFile);
const PACKAGE = path.resolve(import.meta.dirname, '..', '..');
const BIN = path.join(PACKAGE, 'dist', 'bin.js');
const table = tableOf(buildProgram());

let dir: string;
let bashFile: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-shells-'));
  for (const vm of ['web', 'db']) await writeFile(path.join(dir, `${vm}.yaml`), '');
  bashFile = path.join(dir, 'gannet.bash');
  await writeFile(bashFile, (await run(process.execPath, [BIN, 'completion', 'bash'])).stdout);
});
afterAll(() => rm(dir, { recursive: true }));

const env = (): NodeJS.ProcessEnv => ({ ...process.env, GANNET_CONFIG_DIR: dir });

/** What bash would offer for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const script = `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gannet
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['-c', script, bashFile, ...words], {
    env: env(),
    cwd: dir,
  });
  return stdout.split('\n').filter((word) => word !== '');
}

describe('bash', () => {
  test('at a terminal, Tab completes command, VM, option and choice', async () => {
    const rc = path.join(dir, 'bashrc');
    const shows = `gannet() { printf '<%s>' "$*"; }`;
    await writeFile(rc, `PS1='ready> '\nsource '${bashFile}'\n${shows}\n`);
    const inTerminal = ['script', '-qec', `bash --noprofile --rcfile '${rc}' -i`, '/dev/null'];
    const shell = spawn('setpriv', ['--pdeathsig', 'KILL', ...inTerminal], {
      env: { ...env(), TERM: 'dumb', INPUTRC: '/dev/null' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let seen = '';
    let more = (): void => undefined;
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
      more();
    });
    const prompt = async (): Promise<void> => {
      while (!seen.endsWith('ready> ')) await new Promise<void>((resolve) => (more = resolve));
    };
    const answer = async (line: string): Promise<string> => {
      await prompt();
      seen = '';
      shell.stdin.write(line);
      await prompt();
      return seen;
    };
    expect(await answer('gannet failo\tw\t--fo\t\n')).toContain('<failover web --force>');
    expect(await answer('gannet primary w --log-level=wa\t\n')).toContain(
      '<primary w --log-level=warn>',
    );
    shell.stdin.write('exit\n');
    await once(shell, 'exit');
  });

  test('it offers every command, and of each its options', async () => {
    expect(await offered('gannet', '')).toEqual(table.map(({ name }) => name));
    for (const { name, options } of table) {
      const flags = options.flatMap(({ long, short }) => (short ? [short, long] : [long]));
      expect([name, await offered('gannet', name, '-')]).toEqual([name, flags]);
    }
  });

  test('it offers VMs with a configuration, choices, and files for a file', async () => {
    expect(await offered('gannet', 'status', '')).toEqual(['db', 'web']);
    expect(await offered('gannet', 'secondary', 'web', '--log-level', 'd')).toEqual(['debug']);
    expect(await offered('gannet', 'status', '-c', 'we')).toEqual(['web.yaml']);
    expect(await offered('gannet', 'protect', '--timeout', '')).toEqual([]);
    expect(await offered('gannet', 'completion', 'f')).toEqual(['fish']);
  });

  test('no VM, no offer', async () => {
    await run('bash', ['-c', `mkdir "${dir}/none"`]);
    const script = `source "$0"; GANNET_CONFIG_DIR="${dir}/none"; _gannet_vms`;
    expect((await run('bash', ['-c', script, bashFile])).stdout).toBe('');
  });
});

test('zsh and fish get every command and option too; another shell is refused', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { stdout } = await run(process.execPath, [BIN, 'completion', shell]);
    for (const { name, options } of table) {
      expect(stdout).toContain(name);
      for (const { long } of options) {
        expect(stdout).toContain(shell === 'fish' ? `-l ${long.slice(2)} ` : `${long}[`);
      }
    }
  }
  const refused = run(process.execPath, [BIN, 'completion', 'tcsh']);
  await expect(refused).rejects.toMatchObject({ code: 2 });
});

test('each command has examples, which name it', () => {
  const names = table.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(13);
  for (const name of names) expect(examplesOf(name)).toContain(`gannet ${name}`);
});

test('the manual page has every command, option, choice and exit code', () => {
  const page = manPage().replaceAll('\\-', '-');
  for (const { name, text, options } of table) {
    expect(page).toContain(`.SS ${name}\n`);
    expect(page).toContain(text);
    for (const { flags } of options) {
      if (!flags.includes('--help')) expect(page).toContain(`.B ${flags}\n`);
    }
  }
  expect(page).toContain('.SH EXIT STATUS\n0 done');
  expect(page).toContain('.SH FILES\n.nf\n/etc/gannet/web.yaml');
  expect(page).toContain('.SH EXAMPLES\n.nf\ngannet secondary web');
});

test('docs/reference/commands.md names every command and option', async () => {
  const docs = await readFile(path.join(PACKAGE, '../../docs/reference/commands.md'), 'utf8');
  const everywhere = ['--help', '--config'];
  const missing = table.flatMap(({ name, options }) => {
    const flags = options.map(({ long }) => long).filter((long) => !everywhere.includes(long));
    return [`gannet ${name}`, ...flags].filter((words) => !docs.includes(words));
  });
  expect(missing).toEqual([]);
});

test('the manual page names every key of a configuration', () => {
  const keys = configKeys().map(({ key }) => key);
  expect(keys).toEqual(
    expect.arrayContaining(['vm', 'disks[].name', 'primary.nbd', 'fence.command']),
  );
  const page = manPage().replaceAll('\\-', '-');
  expect(keys.filter((key) => !page.includes(`.B ${key}\n`))).toEqual([]);
  expect(page).toContain(
    'when the buffers exceed this, a checkpoint is requested; default: 512 MiB\n',
  );
});

test('the command starts without what only its work needs', async () => {
  const hooks = `export async function resolve(name, context, next) {
    const found = await next(name, context);
    process._rawDebug(found.url);
    return found;
  }`;
  const register = `import { register } from 'node:module';
    register('data:text/javascript,${encodeURIComponent(hooks)}');`;
  const hooked = ['--import', `data:text/javascript,${encodeURIComponent(register)}`, BIN];
  for (const asked of [['--version'], ['--help'], ['completion', 'bash']]) {
    const { stderr } = await run(process.execPath, [...hooked, ...asked]);
    expect(stderr).toContain('/dist/cli/cli.js');
    const packages = [
      ...stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/.][^/]*)\/(?!node_modules)/g),
    ];
    expect(new Set(packages.map(([, name]) => name))).toEqual(new Set(['commander']));
    expect(stderr).not.toMatch(/packages\/(?!gannet|contract)/);
    // Of the contract only what needs no other package.
    expect(stderr).not.toContain('packages/contract/dist/index.js');
  }
});
