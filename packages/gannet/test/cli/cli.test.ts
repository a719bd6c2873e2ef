import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { ControlServer } from '../../src/daemon/control/control-server.js';
import { FAILOVER_EVIDENCE, GannetError } from '@gannet/contract';
import { PRIMARY } from '../support/statuses.js';

const PACKAGE = path.resolve(import.meta.dirname, '..', '..');
const BIN = path.join(PACKAGE, 'dist', 'bin.js');

let dir: string;
let config: string;
let control: string;
let server: ControlServer | undefined;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-cli-'));
  config = path.join(dir, 'web.yaml');
  control = path.join(dir, 'daemon.ctl');
  await configure({});
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(dir, { recursive: true, force: true });
});

async function configure(changes: Record<string, unknown>): Promise<void> {
  const document = {
    ...{ vm: 'web', control, qmp: `unix:${path.join(dir, 'qmp.sock')}` },
    disks: [{ name: 'root', device: 'vb0', base: path.join(dir, 'base.raw') }],
    secondary: { nbd: `unix:${path.join(dir, 'replica.nbd')}` },
    ...changes,
  };
  await writeFile(config, stringify(document));
}

/** Nothing here may touch the folders of the machine. */
const places = (): NodeJS.ProcessEnv => ({
  ...{ GANNET_CONFIG_DIR: dir, GANNET_STATE_DIR: path.join(dir, 'state') },
  GANNET_RUN_DIR: path.join(dir, 'run'),
});

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function gannet(...args: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: { ...process.env, ...places() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') });
    });
  });
}

describe('help and usage', () => {
  test('--help names every command and the exit codes', async () => {
    const { code, stdout, stderr } = await gannet('--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of [
      ...['secondary', 'primary', 'protect', 'status', 'checkpoint', 'failover', 'recover'],
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
    expect(stdout).toContain('0 done, 1 failed, 2 usage, 3 degraded, 4 refused, 5 timeout');
  });

  test('a command has help of its own', async () => {
    const { code, stdout } = await gannet('failover', '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('--force');
  });

  test('--version is the package’s', async () => {
    const manifest = await readFile(path.join(PACKAGE, 'package.json'), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await gannet('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each([
    [['teleport'], "unknown command 'teleport'"],
    [['status', 'web', 'db'], 'too many arguments'],
    [['status', '--timeout', '0', 'web'], 'write a whole number above 0'],
    [['status', '--config'], "option '-c, --config <file>' argument missing"],
    [['status', '--colour', '-c', 'x'], "unknown option '--colour'"],
    [['status', '--timeout', '1.5', 'web'], 'write a whole number above 0'],
    [
      ['secondary', '-c', 'x', '--log-level', 'loud'],
      'Allowed choices are error, warn, info, debug',
    ],
  ])('%j is a usage error', async (args, message) => {
    const plain = await gannet(...args);
    expect(plain).toMatchObject({ code: 2, stdout: '' });
    expect(plain.stderr).toContain(message);
    expect(plain.stderr).toContain('run it with --help to see its options');

    const json = await gannet('--json', ...args).then((outcome) =>
      outcome.stderr === '' ? outcome : gannet(...args, '--json'),
    );
    expect(json).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'GANNET_USAGE' } });
  });

  test('nothing at all shows the help, as a usage error', async () => {
    const { code, stderr } = await gannet();
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: gannet');
  });
});

describe('a configuration that is wrong', () => {
  test('is a usage error that names file, key and what it wants', async () => {
    await configure({ qmp: '10.0.0.7:4444' });
    const { code, stdout, stderr } = await gannet('check', '-c', config);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe(
      `gannet: ${config}:\n` +
        '  qmp: plain TCP is allowed on loopback only: ' +
        'write tls:HOST:PORT, or use a unix socket and a tunnel (line 3, column 1)\n' +
        'Correct these keys in the file. docs/reference/config.md describes every key.\n',
    );
  });

  test.each([
    ...['secondary', 'primary', 'protect', 'check', 'status', 'watch', 'events', 'page'],
    ...['checkpoint', 'failover', 'detach', 'reprotect', 'recover', 'seed-rate --rate 1MiB'],
  ])('%s does not know this VM, and says which was probably meant', async (command) => {
    const { code, stdout, stderr } = await gannet(...command.split(' '), 'wbe');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe(
      `gannet: no VM wbe is configured on this host: there is no file ${dir}/wbe.yaml\n` +
        'Did you mean web? VMs of this host: web. A file elsewhere is passed with --config.\n',
    );
  });

  test('is one JSON document with --json', async () => {
    const { code, stdout, stderr } = await gannet('status', '--json', '-c', '/no/such.yaml');
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    const { error } = JSON.parse(stdout) as { error: Record<string, string> };
    const remedy =
      'Check the name of the VM and the permissions of the file, or pass another with --config.';
    expect(error).toMatchObject({ code: 'GANNET_CONFIG', remedy });
    expect(error['message']).toContain('/no/such.yaml');
  });

  test.each(['primary', 'recover'])('%s needs its section', async (command) => {
    await configure({ secondary: undefined });
    expect(await gannet(command, '-c', config)).toMatchObject({
      ...{ code: 2, stdout: '' },
      stderr: expect.stringMatching(/no section `(primary|secondary)`/),
    });
  });
});

describe('a VM named on the command line', () => {
  test('is found in the folder of configurations, and its socket in that of sockets', async () => {
    await configure({ control: undefined });
    const nobody = await gannet('status', 'web');
    expect(nobody.stderr).toContain(`no daemon on ${path.join(dir, 'run', 'web.sock')}: `);
    await mkdir(path.join(dir, 'run'));
    const status = { state: 'protected', role: 'secondary' };
    const at = path.join(dir, 'run', 'web.sock');
    server = await ControlServer.listen(at, { status: () => status });
    expect(await gannet('status', 'web')).toMatchObject({
      stdout: '  state  protected\n  role   secondary\n',
    });
  });

  test('must be the VM of that file', async () => {
    await configure({ vm: 'db' });
    const { code, stderr } = await gannet('failover', 'web');
    expect(code).toBe(2);
    expect(stderr).toContain(`${config}:\n  vm: is db, but the file is named after web`);
    expect((await gannet('failover', '-c', config)).code).toBe(1); // no daemon, but no doubt either
  });

  test.each([
    [['status'], 'no VM is named'],
    [['status', 'web', '-c', '/x.yaml'], 'name either a VM or a file with --config, not both'],
    [['status', '../web'], '../web is not the name of a VM'],
  ])('%j is a usage error that says which there are', async (args, message) => {
    const { code, stderr } = await gannet(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(`gannet: ${message}\n`);
    expect(stderr).toContain(dir);
    if (!args.includes('../web')) expect(stderr).toContain('(web)');
  });
});

describe('list', () => {
  test('exits with 3 while a VM is not well, and with 0 if all are', async () => {
    const { code, stdout } = await gannet('list');
    expect(code).toBe(3);
    expect(stdout).toContain(`web: no daemon on ${control}`);
    server = await ControlServer.listen(control, { status: () => PRIMARY });
    expect(await gannet('list', '--json')).toMatchObject({
      ...{ code: 0, stderr: '', stdout: expect.stringContaining('"isWell":true') },
    });
  });

  test('refuses the name of a VM', async () => {
    expect((await gannet('list', 'web')).stderr).toContain('too many arguments');
  });
});

describe('a caller', () => {
  test('of a daemon that is not there is told where, and what to do', async () => {
    for (const command of ['status', 'protect', 'checkpoint', 'failover']) {
      const { code, stdout, stderr } = await gannet(command, '-c', config);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(`gannet: no daemon on ${control}: `);
      expect(stderr).toContain('Start it with `gannet secondary` or `gannet primary`');
    }
    const { code, stdout, stderr } = await gannet('status', '--json', '-c', config);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'GANNET_CONTROL_UNREACHABLE' } });
  });

  test.each([
    ['failed', 1],
    ['usage', 2],
    ['degraded', 3],
    ['refused', 4],
    ['timeout', 5],
  ] as const)('ends with the code of what the daemon calls %s', async (exit, code) => {
    const error = new GannetError('GANNET_REFUSED', 'not now', 'Later.', exit);
    server = await ControlServer.listen(control, { failover: () => Promise.reject(error) });
    expect(await gannet('failover', '-c', config)).toEqual({
      ...{ code, stdout: '', stderr: 'gannet: not now\nLater.\n' },
    });
    const json = await gannet('failover', '--json', '-c', config);
    expect(json).toMatchObject({ code, stderr: '' });
    expect(JSON.parse(json.stdout)).toEqual({
      error: { code: 'GANNET_REFUSED', message: 'not now', remedy: 'Later.' },
    });
  });

  test('hands on --force', async () => {
    const asked: unknown[] = [];
    server = await ControlServer.listen(control, { failover: (params) => asked.push(params) });
    await gannet('failover', '-c', config);
    await gannet('failover', '--force', '-c', config);
    await gannet('failover', '--force', '--overrule-peer', '-c', config);
    expect(asked).toEqual([
      { force: false, overrulePeer: false },
      { force: true, overrulePeer: false },
      { force: true, overrulePeer: true },
    ]);
  });

  test('gets a table, or one JSON document', async () => {
    const status = { role: 'secondary', state: 'protected', epoch: 7, coloExit: null };
    server = await ControlServer.listen(control, { status: () => status });
    expect(await gannet('status', '-c', config)).toEqual({
      code: 3,
      stdout: '  role      secondary\n  state     protected\n  epoch     7\n  coloExit  null\n',
      stderr: '',
    });
    const { stdout } = await gannet('status', '--json', '-c', config);
    expect(JSON.parse(stdout)).toEqual(status);
  });

  test.each(['protect', 'reprotect', 'checkpoint', 'detach', 'failover'])(
    'of %s sees the status that it leads to, as `gannet status` shows it',
    async (method) => {
      server = await ControlServer.listen(control, { [method]: () => PRIMARY });
      const { code, stdout } = await gannet(method, '-c', config);
      expect({ code, lines: stdout.split('\n').slice(0, 2) }).toEqual({
        code: 0,
        lines: ['web: primary on a', '[ok] Protected'],
      });
      const { stdout: json } = await gannet(method, '--json', '-c', config);
      expect(JSON.parse(json)).toEqual(PRIMARY);
    },
  );

  test('of failover, on the secondary host, sees in words how it went', async () => {
    const evidence = FAILOVER_EVIDENCE.word;
    const report = { epoch: 21, evidence, takenOverMs: 377, durableMs: 594, movedMs: 1823 };
    server = await ControlServer.listen(control, { failover: () => report });
    expect((await gannet('failover', '-c', config)).stdout).toBe(
      '  continues from     the last checkpoint, with epoch 21\n' +
        `  evidence           ${evidence}\n` +
        '  VM running         after 377 ms\n' +
        '  on stable storage  after 594 ms\n' +
        '  on local disks     after 1.82 s\n',
    );
  });

  test.each([
    [0, 'good'],
    [3, 'busy'],
    [3, 'idle'],
    [3, 'warning'],
    [3, 'bad'],
    [3, undefined],
  ])('ends with %i for the status of a VM that is %s', async (code, level) => {
    const status = { role: 'secondary', state: 'protected', ...(level && { health: { level } }) };
    server = await ControlServer.listen(control, { status: () => status });
    for (const how of [['--json'], []]) {
      expect(await gannet('status', ...how, '-c', config)).toMatchObject({ code, stderr: '' });
    }
  });

  test.each([
    ['protect', '--seed-rate', '8MiB', 8 * 1024 * 1024],
    ['protect', '--seed-rate', '0', 0],
    ['seed-rate', '--rate', '512KiB', 512 * 1024],
    ['seed-rate', '--rate', '0', 0],
  ])('%s %s %s asks for a limit of %i bytes a second', async (command, flag, text, bytesPerSec) => {
    let asked: unknown;
    const answer = (params: unknown): object => {
      asked = params;
      return { bytesPerSec };
    };
    server = await ControlServer.listen(control, { [command]: answer });
    expect((await gannet(command, flag, text, '-c', config)).code).toBe(0);
    expect(asked).toMatchObject({ bytesPerSec });
    const refused = await gannet(command, flag, 'fast', '-c', config);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('fast');
  });

  test.each(['failover', 'reprotect'])('of %s sees its stages too', async (command) => {
    server = await ControlServer.listen(control, {
      [command]: (_params: unknown, progress: (report: unknown) => void) => {
        progress({ stage: 'write back', doneBytes: 1024, totalBytes: 1024 });
        progress({ stage: 'local disks' });
        return {};
      },
    });
    const { code, stderr } = await gannet(command, '-c', config);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^write back \.\.\.\n {2}writing 100 %.*\nlocal disks \.\.\.\n$/);
  });

  test('of protect sees its stages on stderr, as lines of JSON with --json', async () => {
    server = await ControlServer.listen(control, {
      protect: (_params, progress) => {
        progress({ stage: 'seed' });
        progress({ stage: 'seed', device: 'vb0', doneBytes: 1024, totalBytes: 1024 });
        return { state: 'protected' };
      },
    });
    const plain = await gannet('protect', '-c', config);
    expect(plain).toMatchObject({ code: 0, stdout: '  state  protected\n' });
    expect(plain.stderr).toMatch(/^seed \.\.\.\n {2}copying 100 % {2}1\.0 KiB of 1\.0 KiB/);
    const json = await gannet('protect', '--json', '-c', config);
    expect(json).toMatchObject({ code: 0, stdout: '{"state":"protected"}\n' });
    expect(
      json.stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { stage: 'seed' },
      { stage: 'seed', device: 'vb0', doneBytes: 1024, totalBytes: 1024 },
    ]);
  });
});

describe('a second daemon', () => {
  test('of the same configuration leaves the first one’s bases alone', async () => {
    server = await ControlServer.listen(control, { status: () => ({ state: 'protected' }) });
    const base = path.join(dir, 'base.raw');
    await writeFile(base, '');
    await truncate(base, 1024 * 1024);
    for (const name of ['run', 'state']) await mkdir(path.join(dir, name));
    const before = await readdir(dir);
    const { code, stderr } = await gannet('secondary', '-c', config);
    expect(code).toBe(1);
    expect(stderr).toContain(`a daemon of this VM already runs: it listens on ${control}`);
    expect(await readdir(dir)).toEqual(before);
    expect(existsSync(control)).toBe(true);
  });
});
