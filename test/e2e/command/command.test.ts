import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import { findGuest, LabDaemon, LabPair, type LabPairOptions, LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

const PACKAGES = path.resolve(import.meta.dirname, '../../../packages');
const BIN = path.join(PACKAGES, 'gannet/dist/bin.js');
const DEMO = path.join(PACKAGES, 'lab/dist/demo/main.js');
const MIB = 1024 * 1024;

type Json = Record<string, unknown>;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Of a command with --json. */
  readonly json: Json;
}

/** Undone in reverse order after each test. */
let undo: (() => unknown)[] = [];
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-command-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

interface CommandOptions {
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly detached?: boolean;
}

class Command {
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(args: readonly string[], { program = BIN, ...options }: CommandOptions) {
    const command = ['--pdeathsig', 'KILL', process.execPath, program, ...args];
    const places = { GANNET_RUN_DIR: dir, GANNET_STATE_DIR: dir };
    this.child = spawn('setpriv', command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: { ...process.env, ...places, ...options.env },
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
  }

  async outcome(): Promise<Outcome> {
    const code = await this.exited;
    const { stdout, stderr } = this;
    const json = (stdout.startsWith('{') ? JSON.parse(stdout) : {}) as Json;
    return { code, stdout, stderr, json };
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** As a terminal does for its foreground. */
  signalGroup(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }
}

function start(args: readonly string[], options: CommandOptions = {}): Command {
  const command = new Command(args, options);
  undo.push(async () => {
    command.signal('SIGKILL');
    await command.exited;
  });
  return command;
}

const gannet = (...args: string[]): Promise<Outcome> => start([...args, '--json']).outcome();
const errorOf = ({ json }: Outcome): Json => (json['error'] ?? {}) as Json;

/**
 * Progress with --json: a line of JSON each, beside the result. The stages that it told of, in
 * order.
 */
function stagesOf({ stderr }: Outcome): string[] {
  const lines = stderr.split('\n').filter((line) => line !== '');
  return [...new Set(lines.map((line) => (JSON.parse(line) as { stage: string }).stage))];
}

/** Longer than anything here takes: a wait that fails says what it saw. */
const PATIENCE_MS = 60_000;

const { until } = waiting({ patienceMs: PATIENCE_MS });

async function makePair(options: Omit<LabPairOptions, 'guest'>): Promise<LabPair> {
  const pair = await LabPair.create({ guest: await findGuest(), ...options });
  undo.push(() => pair.dispose());
  return pair;
}

async function startDaemon(
  role: 'primary' | 'secondary',
  where: string,
  config: Json & { control: string },
): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({ role, dir: where, config });
  undo.push(() => daemon.kill('SIGKILL'));
  return daemon;
}

const diskOf = (changes: Json = {}): Json => ({
  ...{ name: 'disk0', device: 'vb0', base: path.join(dir, 'base0.raw'), size: MIB },
  ...changes,
});

function secondaryConfig(disk: Json, section: Json = {}): Json & { control: string } {
  return {
    vm: 'lab',
    control: path.join(dir, 'secondary.ctl'),
    qmp: `unix:${path.join(dir, 'svm', 'qmp1.sock')}`,
    disks: [disk],
    secondary: { nbd: `unix:${path.join(dir, 'replica.nbd')}`, ...section },
  };
}

async function writeConfig(config: Json): Promise<string> {
  const file = path.join(dir, 'lab.yaml');
  await writeFile(file, JSON.stringify(config)); // which is YAML
  return file;
}

async function image(file: string, bytes: number, data = Buffer.alloc(0)): Promise<string> {
  const target = path.join(dir, file);
  await writeFile(target, data);
  await truncate(target, bytes);
  return target;
}

/** What is left in a folder of sockets, those in the making included. */
async function socketsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true });
  return names
    .filter((entry) => entry.isSocket() || entry.name.startsWith('.nbd-'))
    .map(({ name }) => name);
}

/** Processes that have the text in their command line. */
async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(text)) found.push(`${pid} ${line.replaceAll('\0', ' ')}`);
  }
  return found;
}

/** The primary's block layer, as QEMU tells it: nodes, what uses them, jobs. */
async function graphOf(vm: LabVm): Promise<unknown> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', {});
    const graph = await qmp.execute('x-debug-query-block-graph', {});
    const jobs = await qmp.execute('query-block-jobs', {});
    const { status } = await qmp.execute('query-status', {});
    return { nodes: nodes.map((node) => node['node-name']).sort(), graph, jobs, status };
  } finally {
    await qmp.close();
  }
}

async function expectGuestWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

describe('the commands along the life of a pair', () => {
  it('say where it stands, refuse what would harm, and end with their codes', async () => {
    // Checkpoints come when they are asked for, and not before.
    const pair = await makePair({ periodMs: 3_600_000 });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const onPrimary = ['-c', pair.primaryDaemon.configPath];
    const onSecondary = ['-c', pair.secondaryDaemon.configPath];
    const secondaryStatus = (): Promise<Outcome> => gannet('status', ...onSecondary);

    expect(await gannet('status', ...onPrimary)).toMatchObject({
      code: 0,
      json: { role: 'primary', state: 'unprotected', primaryVm: 'ready' },
    });
    const seeding = await until(secondaryStatus, ({ json }) => json['secondaryVm'] !== 'awaited');
    expect(seeding).toMatchObject({
      code: 0,
      json: { role: 'secondary', state: 'seeding', secondaryVm: 'ready', mayFailOver: false },
    });
    for (const early of [
      await gannet('checkpoint', ...onPrimary),
      await gannet('failover', ...onSecondary),
      await gannet('failover', '--force', ...onSecondary),
    ]) {
      expect(early.code).toBe(4);
      expect(errorOf(early)).toMatchObject({ code: 'GANNET_REFUSED' });
    }

    const both = await Promise.all([
      gannet('protect', ...onPrimary),
      gannet('protect', ...onPrimary),
    ]);
    const [done, late] = both[0].code === 0 ? both : [both[1], both[0]];
    expect(done).toMatchObject({ code: 0, json: { state: 'protected' } });
    const stages = ['check', 'seed', 'attach', 'colo', 'first checkpoint', 'finish'];
    expect(stagesOf(done)).toEqual(stages);
    expect(late.code).toBe(4);
    expect(errorOf(late)).toMatchObject({ code: 'GANNET_BUSY' });
    expect((await gannet('protect', ...onPrimary)).code).toBe(4);
    expect(await gannet('status', ...onPrimary)).toMatchObject({
      code: 0,
      json: { state: 'protected', peer: { status: { state: 'protected' } } },
    });
    expect(await secondaryStatus()).toMatchObject({
      code: 0,
      json: { state: 'protected', mayFailOver: true, link: 'connected' },
    });

    for (let round = 0; round < 2; round++) {
      const before = Number((await secondaryStatus()).json['epoch']);
      const checkpoint = await gannet('checkpoint', ...onPrimary);
      expect(checkpoint.code).toBe(0);
      expect(Number(checkpoint.json['epoch'])).toBeGreaterThan(before);
      const after = Number((await secondaryStatus()).json['epoch']);
      expect(after).toBeGreaterThan(before);
    }

    for (const where of [onSecondary, onPrimary]) {
      const refused = await gannet('failover', ...where);
      expect(refused.code).toBe(4);
      expect(errorOf(refused)['code']).toBe('GANNET_REFUSED');
      expect(errorOf(refused)['remedy']).toContain('--force');
    }
    expect((await secondaryStatus()).json['state']).toBe('protected');

    await pair.primary.kill('SIGKILL');
    const knows = ({ json }: Outcome): boolean =>
      (json['peer'] as { status?: Json }).status?.['vm'] === 'lost';
    await until(secondaryStatus, knows);
    expect(await gannet('status', ...onPrimary)).toMatchObject({
      ...{ code: 3, json: { primaryVm: 'lost' } },
    });
    expect((await gannet('checkpoint', ...onPrimary)).code).toBe(1);
    const [first, second] = await Promise.all([
      gannet('failover', ...onSecondary),
      gannet('failover', ...onSecondary),
    ]);
    const again = await gannet('failover', ...onSecondary);
    expect(first.code).toBe(0);
    // It is one failover: who asks later hears of what is left.
    const [all, rest] = [first, second].map(stagesOf).sort((a, b) => b.length - a.length);
    expect(all).toEqual(['take over', 'journal', 'write back', 'local disks']);
    expect(all?.slice(all.length - (rest?.length ?? 0))).toEqual(rest);
    expect(Number(first.json['movedMs'])).toBeGreaterThanOrEqual(Number(first.json['durableMs']));
    expect(second.stdout).toBe(first.stdout);
    expect(again).toEqual({ ...first, stderr: '' });
    expect(await secondaryStatus()).toMatchObject({
      code: 0,
      json: { state: 'retired', mayFailOver: false },
    });
    const { digests, isClean } = await pair.compare();
    expect({ isClean, unequal: digests.filter(({ equal }) => !equal) }).toEqual({
      ...{ isClean: true, unequal: [] },
    });

    expect(await pair.primaryDaemon.kill('SIGTERM')).toBe(0);
    expect(await pair.secondaryDaemon.kill('SIGTERM')).toBe(0);
    expect(await socketsIn(pair.dir)).toEqual([]);
    const afterwards = await start(['secondary', ...onSecondary]).outcome();
    expect(afterwards.code).toBe(1);
    expect(afterwards.stderr).toContain('base0-0.raw is in use by qemu-system-x86');
    expect(await socketsIn(pair.dir)).toEqual([]);
  });
});

describe('gannet secondary refuses', () => {
  const cases: readonly {
    name: string;
    message: string;
    remedy: string;
    exitCode?: number;
    prepare: () => Promise<Json>;
  }[] = [
    {
      name: 'a base that holds data',
      message: 'base0.raw holds data and has no state file: it was never a replica',
      remedy: '--overwrite',
      prepare: async () => {
        await image('base0.raw', MIB, Buffer.alloc(512, 0xa5));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: "a base that is a guest's own disk",
      message: "base0.raw became a guest's own disk after a failover (epoch 7)",
      remedy: '--overwrite',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        await writeFile(`${base}.gannet`, stateFile('retired'));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: "another VM's base",
      message: 'base0.raw is the base of disk disk0 of VM web (protected)',
      remedy: 'its own base',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        const theirs = stateFile('protected').replace(/"vm": ?"[^"]*"/, '"vm":"web"');
        await writeFile(`${base}.gannet`, theirs);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a format that the image does not have',
      message: 'is not in qcow2 format',
      remedy: 'qemu-img info',
      prepare: async () => {
        await image('base0.raw', MIB);
        return secondaryConfig(diskOf({ format: 'qcow2' }));
      },
    },
    {
      name: 'a base that wants recovery',
      message: 'together hold a VM that had failed over',
      remedy: 'gannet recover',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        await writeFile(`${base}.gannet`, stateFile('failed-over'));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a base of another size',
      message: `base0.raw has ${2 * MIB} bytes, disk disk0 wants ${MIB}`,
      remedy: 'Give both sides the same size',
      prepare: async () => {
        await image('base0.raw', 2 * MIB);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a base that is not there, without a size to make it',
      message: 'base0.raw: ENOENT',
      remedy: 'give the disk a size',
      prepare: () => Promise.resolve(secondaryConfig(diskOf({ size: undefined }))),
    },
    {
      name: 'a journal that other bases may need',
      message: 'lab.journal is there, and none of the bases of lab knows it',
      remedy: 'gannet recover',
      exitCode: 4,
      prepare: async () => {
        await image('lab.journal', MIB);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'an NBD socket where a file is',
      message: 'replica.nbd exists and is not a socket',
      remedy: '',
      prepare: async () => {
        await image('replica.nbd', 1);
        return secondaryConfig(diskOf());
      },
    },
  ];

  it.each(cases)('$name', async ({ message, remedy, exitCode = 1, prepare }) => {
    const config = await writeConfig(await prepare());
    const { code, stdout, stderr } = await start(['secondary', '-c', config]).outcome();
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
    expect(await socketsIn(dir)).toEqual([]);
    const json = await gannet('secondary', '-c', config);
    expect(json.code).toBe(exitCode);
    expect(errorOf(json)['message']).toContain(message);
  });

  it('a base that another gannet secondary has, by the name of who holds it', async () => {
    const holder = await startDaemon('secondary', dir, secondaryConfig(diskOf()));
    const config = secondaryConfig(diskOf(), { nbd: `unix:${path.join(dir, 'other.nbd')}` });
    const file = await writeConfig({ ...config, control: path.join(dir, 'other.ctl') });
    const refused = await gannet('secondary', '-c', file);
    expect(refused.code).toBe(1);
    expect(errorOf(refused)).toMatchObject({
      code: 'REPLICA_BASE_IN_USE',
      message: expect.stringMatching(
        new RegExp(
          `base0.raw is in use by .*secondary --config .*secondary.yaml \\(process ${holder.pid}\\)`,
        ),
      ),
      remedy: expect.stringContaining('another gannet daemon'),
    });
    expect(await socketsIn(dir)).not.toContain('other.nbd');
    // Who was there first has not been disturbed.
    const status = await gannet('status', '-c', holder.configPath);
    expect(status).toMatchObject({ code: 0, json: { state: 'seeding' } });
  });

  it('but seeds over data that it is told to overwrite', async () => {
    await image('base0.raw', MIB, Buffer.alloc(512, 0xa5));
    const config = await writeConfig(secondaryConfig(diskOf()));
    const daemon = start(['secondary', '--overwrite', '-c', config]);
    await until(
      () => gannet('status', '-c', config),
      ({ code }) => code === 0,
    );
    daemon.signal('SIGTERM');
    expect(await daemon.exited).toBe(0);
  });
});

const stateFile = (state: string): string =>
  JSON.stringify({
    ...{ format: 'gannet-replica-1', uuid: 'u', vm: 'lab', disk: 'disk0', disks: ['disk0'] },
    ...{ sizeBytes: MIB, state, epoch: 7, journal: path.join(dir, 'journal') },
  });

describe('a daemon', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends on %s and leaves no socket', async (signal) => {
    const config = secondaryConfig(diskOf());
    const peer = { nbd: 'unix:/nowhere', migrate: 'unix:/nowhere', peer: 'unix:/nowhere' };
    const files: [string, Json][] = [
      ['secondary', config],
      ['primary', { ...config, control: path.join(dir, 'primary.ctl'), primary: peer }],
    ];
    for (const [role, document] of files) {
      const file = await writeConfig(document);
      const daemon = start([role, '-c', file]);
      const status = await until(
        () => gannet('status', '-c', file),
        ({ code }) => code === 0,
      );
      expect(status.json['role']).toBe(role);
      const nbd = await NbdClient.connect(
        { path: path.join(dir, 'replica.nbd') },
        { export: 'svm' },
      )
        .then((client) => (undo.push(() => client.destroy()), true))
        .catch(() => false);
      expect(nbd).toBe(role === 'secondary');
      daemon.signal(signal);
      expect(await daemon.outcome()).toMatchObject({ code: 0, stdout: '' });
      expect(await socketsIn(dir)).toEqual([]);
    }
  });

  it('that ends while it seeds takes back what it did to the VM', async () => {
    const pair = await makePair({ diskMb: 768, fillMb: 700 });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const before = await graphOf(pair.primary);
    let begun: () => void = () => undefined;
    const seeding = new Promise<void>((resolve) => (begun = resolve));
    const protecting = pair
      .protect((value) => {
        if (Number((value as Json)['doneBytes']) > 0) begun();
      })
      .then(
        () => 'protected',
        (error: unknown) => String(error),
      );
    await seeding;
    process.kill(pair.primaryDaemon.pid ?? 0, 'SIGTERM');
    expect(await protecting).toContain('stage seed');
    expect(await pair.primaryDaemon.exited).toBe(0);
    expect(await graphOf(pair.primary)).toEqual(before);
    await expectGuestWell(pair);
  });
});

describe('protect that fails', () => {
  it('names the stage and what to do, and leaves the primary as it was', async () => {
    const pair = await makePair({});
    await pair.bootPrimary();
    await pair.startPrimaryDaemon();
    const before = await graphOf(pair.primary);
    const onPrimary = ['-c', pair.primaryDaemon.configPath];
    const expectFailure = async (message: RegExp, remedy: RegExp): Promise<void> => {
      const failed = await gannet('protect', ...onPrimary);
      expect(failed.code).toBe(1);
      expect(stagesOf(failed)[0]).toBe('check');
      expect(errorOf(failed)).toMatchObject({
        code: 'GANNET_STAGE_FAILED',
        message: expect.stringMatching(message),
        remedy: expect.stringMatching(remedy),
      });
      expect(await graphOf(pair.primary)).toEqual(before);
      await expectGuestWell(pair);
      expect((await gannet('status', ...onPrimary)).json['state']).toBe('unprotected');
    };
    const secondaryHost = async (
      sizeBytes: number,
      args: readonly string[],
    ): Promise<() => Promise<void>> => {
      const config = {
        ...pair.configOf('secondary'),
        qmp: `unix:${path.join(pair.dir, 'svm', 'qmp1.sock')}`,
        disks: [diskOf({ size: sizeBytes })],
      };
      const daemon = await startDaemon('secondary', pair.dir, config);
      const vm = await LabVm.start({
        name: 'svm',
        dir: pair.dir,
        args: ['-machine', 'none', ...args],
      });
      undo.push(() => vm.dispose());
      return async () => {
        await vm.dispose();
        expect(await daemon.kill()).toBe(0);
      };
    };

    await expectFailure(/^stage check: no secondary daemon answers on unix:/, /gannet secondary/);

    const notIncoming = await secondaryHost(64 * MIB, []);
    await expectFailure(
      /^stage check: .*does not wait for its primary: its status is running/,
      /-incoming/,
    );
    await notIncoming();

    await rm(path.join(dir, 'base0.raw'));
    const tooSmall = await secondaryHost(32 * MIB, ['-incoming', 'defer']);
    await expectFailure(/^stage seed: .*bytes/, /exactly as large/);
    await tooSmall();

    await pair.startSecondary();
    expect((await gannet('protect', ...onPrimary)).code).toBe(0);
    await pair.waitForCommits(1);
    await expectGuestWell(pair);
  });
});

describe('an external source', () => {
  const block = (byte: number): Buffer => Buffer.alloc(4096, byte);

  async function external() {
    const daemon = await startDaemon(
      'secondary',
      dir,
      secondaryConfig(diskOf(), { source: 'external' }),
    );
    const connect = async (name: string): Promise<NbdClient> => {
      const client = await NbdClient.connect(
        { path: path.join(dir, 'replica.nbd') },
        { export: name },
      );
      undo.push(() => client.destroy());
      return client;
    };
    const call = async (method: string): Promise<Json> =>
      (await daemon.client.request(method)) as Json;
    const refusal = (method: string): Promise<unknown> =>
      call(method).catch((error: unknown) => error);
    return { daemon, connect, call, refusal };
  }

  it('seals, commits, aborts and fails over by call', async () => {
    const { daemon, connect, call, refusal } = await external();
    const config = ['-c', daemon.configPath];
    const [pvm, svm] = [await connect('pvm'), await connect('svm')];
    await pvm.write(0, block(1));
    expect(await call('seal')).toMatchObject({ state: 'seeding' });
    expect(await refusal('seal')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await call('commit')).toMatchObject({ state: 'protected', epoch: 1 });
    expect(await refusal('commit')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await refusal('abort')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(await svm.read(0, 4096)).toEqual(block(1));

    await pvm.write(0, block(2));
    await svm.write(8192, block(3));
    expect(await svm.read(0, 4096)).toEqual(block(1));
    expect(await svm.read(8192, 4096)).toEqual(block(3));
    await call('seal');
    let answered = false;
    const sealed = svm.read(0, 4096).finally(() => (answered = true));
    for (let turn = 0; turn < 10; turn++) await call('status');
    expect(answered).toBe(false);
    expect(await call('commit')).toMatchObject({ epoch: 2 });
    expect(await sealed).toEqual(block(2));
    expect(await svm.read(8192, 4096)).toEqual(block(0));

    await pvm.write(0, block(4));
    await svm.write(12288, block(5));
    await call('seal');
    expect(await call('abort')).toMatchObject({ state: 'protected', epoch: 2 });
    expect(await svm.read(0, 4096)).toEqual(block(2));
    expect((await gannet('failover', ...config)).code).toBe(4);

    pvm.destroy();
    await until(
      () => gannet('status', ...config),
      ({ json }) => json['link'] !== 'connected',
    );
    expect(await gannet('failover', '--force', ...config)).toMatchObject({
      ...{ code: 0, json: { epoch: 3 } },
    });
    expect(await svm.read(0, 4096)).toEqual(block(2));
    expect(await svm.read(12288, 4096)).toEqual(block(5));
    await expect(connect('pvm')).rejects.toThrow(/not taking a new primary/);
    expect(await refusal('seal')).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    await svm.write(16384, block(6), { fua: true });
    expect(await daemon.kill('SIGKILL')).toBeNull();

    const recovered = await gannet('recover', ...config);
    expect(recovered).toMatchObject({ code: 0, json: { recovered: [{ state: 'retired' }] } });
    expect(stagesOf(recovered)).toEqual(['replay', 'done']);
    const base = await open(path.join(dir, 'base0.raw'), 'r');
    const found = await base.read(Buffer.alloc(20480), 0, 20480, 0);
    await base.close();
    expect(found.buffer).toEqual(Buffer.concat([2, 0, 0, 5, 6].map(block)));
  });

  it('learns of a commit without its primary: the replica has diverged', async () => {
    const { daemon, connect, call, refusal } = await external();
    const pvm = await connect('pvm');
    await call('seal');
    await call('commit');
    await pvm.write(0, block(1));
    pvm.destroy();
    await until(
      () => call('status'),
      ({ link }) => link !== 'connected',
    );
    await call('seal');
    expect(await refusal('commit')).toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    expect(await gannet('status', '-c', daemon.configPath)).toMatchObject({
      code: 3,
      json: { state: 'diverged' },
    });
    expect((await gannet('failover', '--force', '-c', daemon.configPath)).code).toBe(4);
    await expect(connect('svm')).rejects.toThrow(/diverged/);
  });

  it('is asked for by configuration: a COLO replica takes no such call', async () => {
    const daemon = await startDaemon('secondary', dir, secondaryConfig(diskOf()));
    for (const method of ['seal', 'commit', 'abort'] as const) {
      const error: unknown = await daemon.client.call(method).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    }
  });
});

describe('a demonstration', () => {
  const demo = (): Command =>
    start(['--checkpoints', '100000', '--period', '300'], {
      program: DEMO,
      env: { ...process.env, TMPDIR: dir },
      detached: true,
    });

  const moments: readonly [moment: string, said: RegExp][] = [
    ['while it makes its disks', /^/],
    ['while the VM boots', /1\. Boot/],
    ['while the daemons start', /2\. Protect/],
    ['while it seeds', /copying/],
    ['while it makes checkpoints', /epoch 3:/],
  ];
  const ways = ['signal', 'signalGroup'] as const;
  const interruptions = moments.flatMap(([moment, said], at) =>
    // A terminal signals the whole group; every other moment gets that.
    ({ moment, said, way: ways[at % 2] ?? 'signal' }),
  );

  it.each(interruptions)('interrupted $moment ($way) leaves nothing', async ({ said, way }) => {
    const running = demo();
    await until(
      () => running.stdout,
      (text) => said.test(text),
    );
    if (said.test(''))
      await until(
        () => readdir(dir),
        (names) => names.length > 0,
      );
    running[way]('SIGINT');
    const { code, stderr } = await running.outcome();
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'demo: interrupted\nAll its processes and files have been removed.\n',
    });
    expect(await processesWith(dir)).toEqual([]);
    expect(await readdir(dir)).toEqual([]);
  });

  it('that is killed takes its QEMUs and daemons with it', async () => {
    const running = demo();
    await until(
      () => running.stdout,
      (text) => /epoch 2:/.test(text),
    );
    // Two QEMUs, two daemons, and what keeps the base locked.
    expect((await processesWith(dir)).length).toBe(5);
    running.signal('SIGKILL');
    await running.exited;
    await until(
      () => processesWith(dir),
      (left) => left.length === 0,
    );
  });
});
