/** For tests of ocf:gannet:vm: a control socket, a CIB and processes that are fakes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from '@jest/globals';

export const AGENT = path.resolve(import.meta.dirname, '../../packages/gannet/ocf/vm');
export const [SUCCESS, GENERIC, INSTALLED, CONFIGURED, NOT_RUNNING, PROMOTED, FAILED, WEAK, ALONE] =
  [...[0, 1, 5, 6, 7, 8, 9, 190, 191]];
export const REPLICA = {
  ...{ role: 'secondary', state: 'protected', word: 'protected', term: 3, verdict: 'protected' },
  ...{ copy: 'replica', health: 'running', takeover: 'ready' },
};
export const RUNS = {
  ...{ role: 'primary', state: 'protected', word: 'protected', term: 3, verdict: 'protected' },
  ...{ copy: 'vm', health: 'running', takeover: 'unfit' },
};
export const SURVIVOR = {
  ...{ ...REPLICA, state: 'failed-over', word: 'taken-over', verdict: 'moving' },
  ...{ copy: 'vm', health: 'degraded', takeover: 'durable' },
};

export const bench = {
  /** What GET /state answers. */
  facts: {} as Record<string, unknown>,
  /** What the daemon answers to POST, by path; 0 for nothing. */
  onOrder: (_url: string): number => 200,
  orders: [] as string[],
};

let dir: string;
let server: Server;
export const bystanders: ChildProcess[] = [];

export const at = (name: string): string => path.join(dir, name);
export const state = (name: string): string => at(`run/gannet-web/${name}`);
export const said = (name: string): string =>
  existsSync(at(name)) ? readFileSync(at(name), 'utf8').trim() : '';
export const scoreNow = (): string => said('score');
export const currentNow = (): string => said('current');
export const claimNow = (): string => said('claim');
/** What `gannet cluster-role` answers. */
export const place = (role: string, worth = 'own', why = ''): Promise<void> =>
  writeFile(at('place'), `role=${role}\nworth=${worth}\nwhy=${why}\n`);

/** Whether an action that has been granted the VM lives. */
export const isGranted = (): boolean =>
  existsSync(state('granted')) && spawnSync('flock', ['-n', state('granted'), 'true']).status !== 0;

export async function program(name: string, script: string): Promise<void> {
  await writeFile(at(name), `#!/bin/sh\n${script}\n`);
  await chmod(at(name), 0o755);
}

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-ocf-'));
  await mkdir(at('bin'));
  await mkdir(at('run'));
  Object.assign(bench, { facts: REPLICA, orders: [], onOrder: () => 200 });
  server = createServer((request, response) => {
    const { method, url = '' } = request;
    if (method === 'GET') {
      const lines = Object.entries(bench.facts).map(([key, value]) => `${key}=${String(value)}\n`);
      response.end(lines.join(''));
      return;
    }
    bench.orders.push(`${url} granted=${isGranted()} current=${currentNow()} claim=${claimNow()}`);
    const code = bench.onOrder(url);
    if (code !== 0) response.writeHead(code).end('{}\n');
  }).listen(at('web.sock'));
  await once(server, 'listening');
  await program(
    'bin/crm_node',
    `case $1 in --quorum) cat ${dir}/quorum;; --list) cat ${dir}/nodes;; *) echo n1;; esac`,
  );
  await writeFile(at('quorum'), '1\n');
  await writeFile(at('nodes'), '1 n1 member\n2 n2 member\n3 n3 member\n');
  // Those that answer when their CIB is asked for.
  await writeFile(at('answering'), 'n1 n2 n3\n');
  await program(
    'bin/crm_attribute',
    `case "$*" in *gannet-web-claim*) file=${dir}/claim ;; *) file=${dir}/current ;; esac
    case "$*" in
    *--promotion*--update*) for value; do :; done; printf %s "$value" >${dir}/score ;;
    *--promotion*--delete*) rm -f ${dir}/score ;;
    *--update*) for value; do :; done; printf '%s\\n' "$value" >$file ;;
    *--delete*) rm -f $file ;;
    *--query*) cat $file 2>/dev/null ;;
    esac; exit 0`,
  );
  await program(
    'bin/cibadmin',
    `printf '%s\\n' "$*" >>${dir}/cib
    case "$*" in
    *--modify*gannet-web-alone*) printf n1 >${dir}/alone; exit 0 ;;
    *--delete*gannet-web-alone*) rm -f ${dir}/alone; exit 0 ;;
    *--node*) while [ "$1" != --node ]; do shift; done; grep -qw "$2" ${dir}/answering; exit ;;
    *--query*gannet-web-alone*)
      [ -e ${dir}/alone ] && echo "<expression value=\\"$(cat ${dir}/alone)\\"/>" ;;
    *--query*) echo '<clone id="vm-clone">' ;;
    esac`,
  );
  await program(
    'bin/gannet',
    `case $1 in
    cluster-role) printf '%s\\n' "$*" >>${dir}/asked; cat ${dir}/place ;;
    recover) touch ${dir}/recovers; while [ ! -e ${dir}/recovered ]; do sleep 0.05; done ;;
    *) [ ! -e ${dir}/broken ] || { echo 'web.yaml: no such key' >&2; exit 2; }; exec sleep 1000 ;;
    esac`,
  );
  await place('secondary');
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

export function begin(action: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
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

export async function run(action: string, env?: NodeJS.ProcessEnv): Promise<number> {
  const child = begin(action, env);
  child.stderr?.resume();
  child.stdout?.resume();
  const [code] = (await once(child, 'close')) as [number];
  return code;
}

export const POST_PROMOTE = {
  OCF_RESKEY_CRM_meta_notify_type: 'post',
  OCF_RESKEY_CRM_meta_notify_operation: 'promote',
};
export const arbitrate = (target: string): Promise<number> =>
  run('arbitrate', { GANNET_VM: 'web', GANNET_FENCE: target, OCF_RESKEY_vm: '' });

/** Whether a process of the VM lives: it holds its lock. */
export async function lives(name: 'qemu' | 'daemon' | 'recover'): Promise<boolean> {
  if (!existsSync(state(`${name}.lock`))) return false;
  const [code] = (await once(spawn('flock', ['-n', state(`${name}.lock`), 'true']), 'close')) as [
    number,
  ];
  return code !== 0;
}
/** Of a process; Z if nobody has fetched its end. */
export function stateOf(pid: number): string {
  const file = `/proc/${pid}/stat`;
  return existsSync(file) ? (/\) (.)/.exec(readFileSync(file, 'utf8'))?.[1] ?? '') : '';
}
export const who = async (): Promise<boolean[]> => [await lives('daemon'), await lives('qemu')];
