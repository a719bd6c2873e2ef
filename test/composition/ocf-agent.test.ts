/** ocf:gannet:vm with a control socket, a CIB and processes that are fakes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const AGENT = path.resolve(import.meta.dirname, '../../packages/gannet/ocf/vm');
const [SUCCESS, GENERIC, INSTALLED, NOT_RUNNING, PROMOTED, FAILED, DEGRADED] = [
  ...[0, 1, 5, 7, 8, 9, 191],
];
const REPLICA = {
  ...{ role: 'secondary', state: 'protected', may_fail_over: 'true', word: 'protected', term: 3 },
  level: 'good',
};
const RUNS = { role: 'primary', state: 'protected', level: 'good', word: 'protected', term: 3 };

let dir: string;
let server: Server;
let facts: Record<string, unknown>;
/** What a daemon answers to POST, by path. */
let onOrder: (url: string) => number;
let orders: string[];
const bystanders: ChildProcess[] = [];

const at = (name: string): string => path.join(dir, name);
const state = (name: string): string => at(`run/gannet-web/${name}`);
const scoreNow = (): string => (existsSync(at('score')) ? readFileSync(at('score'), 'utf8') : '');
const currentNow = (): string =>
  existsSync(at('current')) ? readFileSync(at('current'), 'utf8').trim() : '';

async function program(name: string, script: string): Promise<void> {
  await writeFile(at(name), `#!/bin/sh\n${script}\n`);
  await chmod(at(name), 0o755);
}

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-ocf-'));
  await mkdir(at('bin'));
  await mkdir(at('run'));
  [facts, orders, onOrder] = [REPLICA, [], () => 200];
  server = createServer((request, response) => {
    const { method, url = '' } = request;
    if (method === 'GET') {
      const lines = Object.entries(facts).map(([key, value]) => `${key}=${String(value)}\n`);
      response.end(lines.join(''));
      return;
    }
    orders.push(`${url} granted=${existsSync(state('granted'))} current=${currentNow()}`);
    response.writeHead(onOrder(url)).end('{}\n');
  }).listen(at('web.sock'));
  await once(server, 'listening');
  await program('bin/crm_node', `case $1 in --quorum) cat ${dir}/quorum;; *) echo n1;; esac`);
  await writeFile(at('quorum'), '1\n');
  await program(
    'bin/crm_attribute',
    `case "$*" in
    *--promotion*--update*) for value; do :; done; printf %s "$value" >${dir}/score ;;
    *--promotion*--delete*) rm -f ${dir}/score ;;
    *--update*) for value; do :; done; printf '%s\\n' "$value" >${dir}/current ;;
    *--query*) cat ${dir}/current 2>/dev/null ;;
    esac; exit 0`,
  );
  await program(
    'bin/cibadmin',
    `printf '%s\\n' "$*" >>${dir}/cib
    case "$*" in *--query*) echo '<clone id="vm-clone">' ;; esac`,
  );
  await program('bin/gannet', 'exec sleep 1000');
  await program('primary', 'exec sleep 1001');
  await program('secondary', 'exec sleep 1002');
});

afterEach(async () => {
  for (const child of bystanders.splice(0)) child.kill('SIGKILL');
  await run('stop');
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

function begin(action: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(AGENT, [action], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: `${at('bin')}:${process.env['PATH']}`,
      HA_RSCTMP: at('run'),
      ...{ OCF_RESKEY_vm: 'web', OCF_RESKEY_initial: 'n2', OCF_RESKEY_control: at('web.sock') },
      ...{ OCF_RESKEY_primary: at('primary'), OCF_RESKEY_secondary: at('secondary') },
      OCF_RESOURCE_INSTANCE: 'vm:0',
      ...{ OCF_RESKEY_CRM_meta_timeout: '4000', OCF_RESKEY_CRM_meta_interval: '2000' },
      ...env,
    },
  });
}

async function run(action: string, env?: NodeJS.ProcessEnv): Promise<number> {
  const child = begin(action, env);
  child.stderr?.resume();
  child.stdout?.resume();
  const [code] = (await once(child, 'close')) as [number];
  return code;
}

/** Whether a process of the VM lives: it holds its lock. */
async function lives(name: 'qemu' | 'daemon'): Promise<boolean> {
  if (!existsSync(state(`${name}.lock`))) return false;
  const [code] = (await once(spawn('flock', ['-n', state(`${name}.lock`), 'true']), 'close')) as [
    number,
  ];
  return code !== 0;
}
const who = async (): Promise<boolean[]> => [await lives('daemon'), await lives('qemu')];

describe('start', () => {
  test('without the disk, it is a secondary, and has no score', async () => {
    expect(await run('monitor')).toBe(NOT_RUNNING);
    expect(await run('start')).toBe(SUCCESS);
    expect([await who(), scoreNow()]).toEqual([[true, true], '']);
    expect(await run('start')).toBe(SUCCESS);
    expect(await run('stop')).toBe(SUCCESS);
    expect(await who()).toEqual([false, false]);
    expect(await run('monitor')).toBe(NOT_RUNNING);
  });

  test('with the disk, nothing runs until it is promoted, and has a score then', async () => {
    await writeFile(at('current'), 'n1\n');
    expect(await run('start')).toBe(SUCCESS);
    expect([await who(), scoreNow()]).toEqual([[false, false], '']);
    expect(await run('monitor')).toBe(SUCCESS);
    expect(scoreNow()).toBe('10');
    facts = RUNS;
    expect(await run('promote')).toBe(SUCCESS);
    expect([await who(), currentNow()]).toEqual([[true, true], 'n1']);
    expect(await run('monitor')).toBe(PROMOTED);
  });
});

describe('a replica', () => {
  const INVALID = [
    ['is being copied', { state: 'seeding', may_fail_over: false }],
    ['has diverged', { state: 'diverged', may_fail_over: false }],
    ['is in doubt', { may_fail_over: false }],
    ['is outdated', { word: 'outdated' }],
    ['says nothing', {}],
  ] as const;

  test.each(INVALID)('that %s has no score and is not promoted', async (name, change) => {
    await run('start');
    expect(await run('monitor')).toBe(SUCCESS);
    expect(scoreNow()).toBe('5');
    facts = name === 'says nothing' ? {} : { ...REPLICA, ...change };
    expect(await run('monitor')).toBe(SUCCESS);
    expect(scoreNow()).toBe('');
    expect(await run('promote')).toBe(INSTALLED);
    expect([orders, currentNow()]).toEqual([[], '']);
  });

  test('that is valid takes over, after the CIB is written, while it is granted', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    onOrder = () => {
      facts = { ...REPLICA, state: 'retired', level: 'warning' };
      return 200;
    };
    expect(await run('promote')).toBe(SUCCESS);
    expect(orders).toEqual(['/failover granted=true current=n1']);
    expect(existsSync(state('granted'))).toBe(false);
    expect(await run('monitor')).toBe(DEGRADED);
    expect(scoreNow()).toBe('10');
  });

  test('that is refused is asked again until the time is over; then all is as it was', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    onOrder = () => 409;
    expect(await run('promote')).toBe(GENERIC);
    expect(orders.length).toBeGreaterThan(1);
    expect([currentNow(), existsSync(state('granted')), scoreNow()]).toEqual(['n2', false, '']);
  });
});

describe('what runs', () => {
  beforeEach(async () => {
    await writeFile(at('current'), 'n1\n');
    facts = RUNS;
    await run('start');
    await run('promote');
  });

  test.each([
    [PROMOTED, {}],
    [DEGRADED, { level: 'warning' }],
    [DEGRADED, { level: 'idle', state: 'alone' }],
    [FAILED, { state: 'superseded' }],
    [FAILED, { state: 'yielding' }],
  ])('is %i if its daemon says %j', async (code, change) => {
    facts = { ...RUNS, ...change };
    expect(await run('monitor')).toBe(code);
  });

  test('has failed without QEMU, and gets its daemon back', async () => {
    process.kill(Number(await readFile(state('daemon.pid'), 'utf8')), 'SIGKILL');
    while (await lives('daemon')) await sleep(10);
    expect(await run('monitor')).toBe(PROMOTED);
    expect(await who()).toEqual([true, true]);
    process.kill(Number(await readFile(state('qemu.pid'), 'utf8')), 'SIGKILL');
    while (await lives('qemu')) await sleep(10);
    expect(await run('monitor')).toBe(FAILED);
  });

  test('makes a checkpoint and ends when it is demoted, and its daemon says so', async () => {
    expect(await run('demote')).toBe(SUCCESS);
    expect(orders.map((order) => order.split(' ')[0])).toEqual(['/checkpoint']);
    expect(await who()).toEqual([true, false]);
    // The other node is promoted: this one becomes its secondary.
    await writeFile(at('current'), 'n2\n');
    facts = REPLICA;
    expect(await run('monitor')).toBe(SUCCESS);
    expect(await readFile(state('role'), 'utf8')).toBe('secondary\n');
  });

  test('is not stopped while a QEMU lives that no pid file knows', async () => {
    await writeFile(state('qemu.pid'), '');
    const pids = await readFile('/proc/self/stat', 'utf8');
    expect(pids).not.toBe('');
    expect(await run('stop')).toBe(GENERIC);
    expect(await lives('qemu')).toBe(true);
    const holder = await once(spawn('fuser', ['-k', '-KILL', state('qemu.lock')]), 'close').catch(
      () => [1],
    );
    if (holder[0] === 0) expect(await run('stop')).toBe(SUCCESS);
  });
});

describe('an agent that is killed in the middle', () => {
  test.each(['start', 'promote', 'demote', 'stop'])(
    'of %s leaves nothing behind that stop misses',
    async (action) => {
      if (action !== 'start') await writeFile(at('current'), 'n1\n');
      if (action !== 'start') await run('start');
      facts = RUNS;
      if (action === 'demote' || action === 'stop') await run('promote');
      for (const afterMs of [20, 60, 150]) {
        const agent = begin(action);
        await sleep(afterMs);
        agent.kill('SIGKILL');
        if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
      }
      expect(await run('stop')).toBe(SUCCESS);
      expect(await who()).toEqual([false, false]);
      expect(await run('monitor')).toBe(NOT_RUNNING);
    },
  );
});

describe('arbitrate, for a daemon', () => {
  const arbitrate = (target: string): Promise<number> =>
    run('arbitrate', { GANNET_VM: 'web', GANNET_FENCE: target, OCF_RESKEY_vm: '' });

  test('a primary that goes on alone first keeps everybody else from being promoted', async () => {
    await run('start');
    expect(await arbitrate('secondary')).toBe(SUCCESS);
    const cib = await readFile(at('cib'), 'utf8');
    expect(cib).toContain('rsc="vm-clone"');
    expect(cib).toContain('attribute="#uname" operation="ne" value="n1"');
  });

  test('not without quorum', async () => {
    await run('start');
    await writeFile(at('quorum'), '0\n');
    expect(await arbitrate('secondary')).toBe(GENERIC);
  });

  test('a secondary has nothing but the promotion that is under way', async () => {
    await run('start');
    expect(await arbitrate('primary')).toBe(GENERIC);
    await writeFile(state('granted'), `${process.pid}\n`);
    expect(await arbitrate('primary')).toBe(SUCCESS);
    // Of an agent that was killed.
    const ended = spawn('true');
    await once(ended, 'close');
    await writeFile(state('granted'), `${ended.pid}\n`);
    expect(await arbitrate('primary')).toBe(GENERIC);
  });
});

test('meta-data and validate-all', async () => {
  const child = begin('meta-data');
  let xml = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (xml += text));
  const [code] = (await once(child, 'close')) as [number];
  expect([code, xml]).toEqual([0, expect.stringContaining('<resource-agent name="vm"')]);
  expect(await run('validate-all')).toBe(SUCCESS);
  expect(await run('validate-all', { OCF_RESKEY_primary: '/no/such' })).toBe(INSTALLED);
  expect(await run('dance')).toBe(3);
});
