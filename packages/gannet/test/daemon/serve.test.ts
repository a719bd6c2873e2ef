/** A daemon as systemd runs it: its notifications, and what it does at each signal. Needs no VM. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { ControlClient } from '@gannet/contract';
import { Notifier } from '../../src/daemon/notify.js';

const PACKAGE = path.resolve(import.meta.dirname, '..', '..');
const BIN = path.join(PACKAGE, 'dist', 'bin.js');
/** systemd's end of NOTIFY_SOCKET: prints each datagram on a line. Debian always has Perl. */
const LISTENER = `
  use Socket; $| = 1;
  socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, sockaddr_un($ARGV[0])) || die $!;
  print "bound\\n";
  while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n" unless $m =~ /^BARRIER/ }`;

let dir: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-service-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  undo.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  return child;
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(10);
}

/** What systemd is told, line by line. */
async function listen(): Promise<{ socket: string; told: string[] }> {
  const socket = path.join(dir, 'notify.sock');
  const told: string[] = [];
  const listener = run('perl', ['-e', LISTENER, socket]);
  listener.stdout?.setEncoding('utf8').on('data', (text: string) => {
    told.push(...text.split('\n').filter((line) => line !== ''));
  });
  await until(() => told.includes('bound'));
  told.length = 0;
  return { socket, told };
}

const CONFIG = {
  vm: 'web',
  qmp: '',
  disks: [{ name: 'root', device: 'vb0', base: '', size: 1048576 }],
  secondary: {},
};

async function configure(changes: Record<string, unknown> = {}): Promise<void> {
  const disks = [{ ...CONFIG.disks[0], base: path.join(dir, 'base.raw') }];
  const document = { ...CONFIG, qmp: `unix:${path.join(dir, 'qmp.sock')}`, disks, ...changes };
  await writeFile(path.join(dir, 'web.yaml'), stringify(document));
}

function daemon(
  env: NodeJS.ProcessEnv = {},
  role = 'secondary',
  ...options: readonly string[]
): ChildProcess {
  const places = { GANNET_CONFIG_DIR: dir, GANNET_RUN_DIR: dir, GANNET_STATE_DIR: dir };
  return run(process.execPath, [BIN, role, 'web', ...options], { ...places, ...env });
}

async function events(): Promise<Record<string, unknown>[]> {
  const client = await ControlClient.connectWithin(path.join(dir, 'web.sock'), 20_000);
  const all = await client.call('events');
  client.close();
  return all;
}

async function eventOf(kind: string): Promise<Record<string, unknown>> {
  for (;;) {
    const event = (await events()).find((one) => one['kind'] === kind);
    if (event) return event;
    await delay(20);
  }
}

describe('a service', () => {
  test('tells that it is ready, how it is, that it reloads and that it ends', async () => {
    const { socket, told } = await listen();
    await configure();
    const service = daemon({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000' });
    await until(() => told.includes('READY=1'));
    // Ready is who can be asked: nothing has to be waited for here.
    const client = await ControlClient.connect(path.join(dir, 'web.sock'));
    expect(await client.call('status')).toMatchObject({ state: 'seeding' });
    client.close();
    await until(() =>
      told.includes('STATUS=secondary of web: seeding; QEMU not connected; peer unknown'),
    );
    await until(() => told.filter((line) => line === 'WATCHDOG=1').length > 2);
    // Alive, but its event loop is not: systemd must notice.
    service.kill('SIGSTOP');
    await delay(200);
    const before = told.filter((line) => line === 'WATCHDOG=1').length;
    await delay(600);
    expect(told.filter((line) => line === 'WATCHDOG=1').length).toBeLessThanOrEqual(before + 1);
    service.kill('SIGCONT');
    told.length = 0;
    service.kill('SIGHUP');
    await until(() => told.includes('READY=1'));
    expect(told.filter((line) => /^(RELOADING|READY)/.test(line))).toEqual([
      ...['RELOADING=1', 'READY=1'],
    ]);
    service.kill('SIGTERM');
    expect(await once(service, 'close')).toEqual([0, null]);
    await until(() => told.includes('EXTEND_TIMEOUT_USEC=30000000'));
    expect(told.filter((line) => /^(STOPPING|EXTEND)/.test(line))).toEqual([
      ...['STOPPING=1', 'EXTEND_TIMEOUT_USEC=30000000'],
    ]);
  });

  test('says in its log when systemd cannot be told', async () => {
    await configure();
    const service = daemon({ NOTIFY_SOCKET: path.join(dir, 'nobody.sock') });
    let log = '';
    service.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    await until(() => log.includes('cannot send the state of this service to systemd'));
  });

  test('goes on after systemd-notify has failed', async () => {
    // Fails at its first line, with and without --no-block.
    const told = path.join(dir, 'told');
    const script = `#!/bin/sh
for text; do :; done
echo "$text" >> '${told}'
[ "$text" != READY=1 ]`;
    await writeFile(path.join(dir, 'systemd-notify'), script, { mode: 0o755 });
    const env = { NOTIFY_SOCKET: '/nobody', PATH: `${dir}:${process.env['PATH']}` };
    const failures: string[] = [];
    const notifier = Notifier.start(env, (reason) => failures.push(reason));
    undo.push(() => notifier.close());
    const lines = async (): Promise<string[]> =>
      (await readFile(told, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    notifier.ready();
    await until(() => failures.length > 0);
    notifier.status('well');
    await until(async () => (await lines()).includes('STATUS=well'));
    expect(failures).toEqual(['systemd-notify failed']);
    expect(await lines()).toEqual(['READY=1', 'READY=1', 'STATUS=well']);
  });

  test('that nobody listens to starts nothing, and hands its variables to nobody', () => {
    const env: NodeJS.ProcessEnv = { WATCHDOG_USEC: '1000', PATH: '/nowhere' };
    const notifier = Notifier.start(env, (reason) => {
      throw new Error(reason);
    });
    notifier.ready();
    notifier.close();
    expect(env).toEqual({ PATH: '/nowhere' });
  });
});

describe('`overwrite: true` in the configuration', () => {
  const left = async (word: string): Promise<void> => {
    const at = '2026-01-01T10:00:00.000Z';
    const term = { format: 'gannet-term-1', vm: 'web', lineage: 'a1', term: 5, word };
    const rest = { isForced: false, evidence: 'fence', mustProve: false, at };
    await writeFile(path.join(dir, 'web.term.json'), JSON.stringify({ ...term, ...rest }));
    await configure({ secondary: { overwrite: true } });
  };

  test.each(['taken-over', 'alone'])('does not give up a copy that is %s', async (word) => {
    await left(word);
    const service = daemon();
    let log = '';
    service.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    expect((await once(service, 'close'))[0]).toBe(4);
    expect(log).toContain('--overwrite');
    expect(existsSync(path.join(dir, 'base.raw'))).toBe(false);
  });

  test.each(['none', 'protected', 'outdated', 'leaving'])(
    'holds for one that is %s',
    async (word) => {
      await left(word);
      daemon();
      expect(await eventOf('listening')).toBeDefined();
    },
  );

  test('is not asked about where somebody says --overwrite now', async () => {
    await left('taken-over');
    daemon({}, 'secondary', '--overwrite');
    expect(await eventOf('listening')).toBeDefined();
  });
});

describe('SIGHUP', () => {
  test('takes over what can change, and names what cannot', async () => {
    await configure();
    const service = daemon();
    await eventOf('listening');
    const fence = { command: ['/bin/true'] };
    const peer = { heartbeatMs: 100, lowMs: 1000, highMs: 2000 };
    await configure({ fence, peer, secondary: { failover: 'automatic', journal: '/other' } });
    service.kill('SIGHUP');
    expect(await eventOf('needs-restart')).toMatchObject({
      keys: ['peer.heartbeatMs', 'peer.lowMs', 'peer.highMs', 'secondary.journal'],
    });
    expect(await eventOf('reloaded')).toMatchObject({ changed: ['secondary.failover', 'fence'] });
  });

  test('does not end a service that is still coming up', async () => {
    await configure();
    const service = daemon();
    // It makes its bases before anything listens.
    while (!existsSync(path.join(dir, 'base.raw'))) await new Promise(setImmediate);
    service.kill('SIGHUP');
    expect(await eventOf('reloaded')).toMatchObject({ changed: [] });
  });

  test('leaves everything as it was when the file is broken, and names the key', async () => {
    await configure({ fence: { command: ['/bin/true'] }, secondary: { failover: 'automatic' } });
    const service = daemon();
    await eventOf('listening');
    await configure({ secondary: { failover: 'sometimes' } });
    service.kill('SIGHUP');
    expect(await eventOf('not-reloaded')).toMatchObject({
      code: 'GANNET_CONFIG',
      message: expect.stringContaining('secondary.failover: '),
    });
    // Right by itself, and yet not to be had: automatic failover needs a fence.
    await configure({ secondary: { failover: 'automatic' } });
    service.kill('SIGHUP');
    await until(async () => (await refusals()).length === 2);
    expect((await refusals())[1]).toMatchObject({ message: expect.stringContaining('`fence`') });
    expect((await events()).some(({ kind }) => kind === 'reloaded')).toBe(false);
    await configure({ fence: { command: ['/bin/true'] }, secondary: { failover: 'manual' } });
    service.kill('SIGHUP');
    expect(await eventOf('reloaded')).toMatchObject({ changed: ['secondary.failover'] });
  });

  const refusals = async (): Promise<Record<string, unknown>[]> =>
    (await events()).filter(({ kind }) => kind === 'not-reloaded');
});

describe('units', () => {
  const units = ['primary', 'secondary'].map((role) => `gannet-${role}@.service`);
  const all = [...units, 'gannet-host.service'];
  const unit = (name: string): Promise<string> =>
    readFile(path.join(PACKAGE, 'systemd', name), 'utf8');

  test.each(all)('%s is one that systemd understands', async (name) => {
    // It wants a command that is there.
    const text = (await unit(name)).replace('ExecStart=gannet', `ExecStart=${process.execPath}`);
    const file = path.join(dir, name.replace('@', '@web'));
    await writeFile(file, text);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
    expect(stderr.split('\n').filter((line) => line.includes('gannet'))).toEqual([]);
    expect(status).toBe(0);
  });

  test.each(all)('%s exposes little', async (name) => {
    await writeFile(path.join(dir, name), await unit(name));
    const args = ['security', '--offline=yes', '--threshold=30', path.join(dir, name)];
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    expect(stdout).toMatch(/Overall exposure level .*: [12]\.\d OK/);
    expect(status).toBe(0);
  });

  test.each(units)('%s gives up a daemon that cannot start', async (name) => {
    const text = await unit(name);
    const [head = ''] = text.split('[Service]');
    const number = (key: string, from: string): number =>
      Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(from)?.[1]);
    const burst = number('StartLimitBurst', head);
    const intervalSec = number('StartLimitIntervalSec', head);
    // It runs for less than two seconds before it refuses; systemd.unit(5) counts starts.
    expect(burst * (number('RestartSec', text) + 2)).toBeLessThan(intervalSec);
    expect(burst).toBeGreaterThan(2);
    // A refusal stays one: see the exit codes of the command.
    expect(text).toMatch(/^RestartPreventExitStatus=2 4$/m);
  });

  test.each(units)('%s says how a fence gets at the keys of ssh', async (name) => {
    expect(await unit(name)).toMatch(/^# .*ProtectHome=read-only/m);
    const page = await readFile(path.join(PACKAGE, '../../docs/how-to/systemd.md'), 'utf8');
    expect(page).toMatch(/^ProtectHome=read-only$/m);
  });

  test.each(units)('%s starts its role by the name of the instance', async (name) => {
    const role = /gannet-(.*)@/.exec(name)?.[1];
    expect(await unit(name)).toContain(`\nExecStart=gannet ${role} %i\n`);
    expect(existsSync(BIN)).toBe(true);
  });
});
