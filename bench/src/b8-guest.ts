/** B8: a real guest that loads its disk as much as it can. */
import { cpus } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  findGuest,
  type LabGuest,
  type LabMachine,
  LabPair,
  LabVm,
  type OracleLog,
  primaryCommand,
} from '@gannet/lab';
import { PrimaryDriver, SecondaryDriver } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import { takeTurns, type Comparison, type Contender, type Trial } from './harness/comparison.js';
import { BenchError, type Scope } from './harness/scope.js';

const MIB = 1024 * 1024;
const DISK_MB = 64;
const PERIOD_MS = 2000;
const WINDOW_MS = 2 * PERIOD_MS;
const REGIONS = 4;

export const ALONE = 'no protection';
export const OURS = 'Gannet';
export const THROUGHPUT = "guest's requests";

type Measure = (scope: Scope, windowMs: number) => Promise<number>;

export const B8: Comparison = {
  name: 'B8',
  title: 'A real guest',
  about:
    "The end-to-end tests' guest under TCG. Each host has one of this machine's processors for " +
    'its VM and daemon; so does a primary that runs alone. Four oracles write, read and flush ' +
    `a disk of ${DISK_MB} MiB without pause, and check what they read. ` +
    `Requests that the primary completes per second, during ${WINDOW_MS / 1000} seconds, ` +
    `with a checkpoint every ${PERIOD_MS / 1000} seconds. Each round boots the guest again.`,
  estimateSeconds: 150,
  async run(context) {
    const guest = await findGuest();
    const contenders: Contender<Measure>[] = [
      { name: ALONE, setup: 'the primary alone', subject: (scope, ms) => alone(scope, guest, ms) },
      {
        name: 'COLO, RAM disk',
        setup:
          "QEMU's docs/COLO-FT.txt; active and hidden disk in memory; a mirror copies the disks " +
          'before COLO starts',
        subject: (scope, ms) => colo(scope, guest, ms),
      },
      {
        name: OURS,
        setup:
          '`gannet primary`, `gannet secondary` with the priority of its service, `gannet ' +
          'protect`; replication link',
        subject: (scope, ms) => gannet(scope, guest, ms),
      },
    ];
    const trial: Trial<Measure> = {
      ...{ point: THROUGHPUT, unit: '1/s', better: 'higher' },
      measure: (measure) => measure(context.scope, context.quick ? PERIOD_MS : WINDOW_MS),
    };
    const points = await takeTurns(context, contenders, [trial], 0);
    return { contenders, baseline: ALONE, points, notes: [] };
  },
};

async function alone(scope: Scope, guest: LabGuest, windowMs: number): Promise<number> {
  const pair = await LabPair.create({ guest, diskMb: DISK_MB });
  scope.defer(() => pair.dispose());
  await pair.bootPrimary();
  await pin(scope, 'primary', pair.primary.pid);
  await sleep(PERIOD_MS);
  const value = await throughput(pair.primary.oracle, windowMs);
  await pair.dispose();
  return value;
}

async function gannet(scope: Scope, guest: LabGuest, windowMs: number): Promise<number> {
  const pair = await LabPair.create({ guest, diskMb: DISK_MB, periodMs: PERIOD_MS });
  scope.defer(() => pair.dispose());
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  await pin(scope, 'primary', pair.primary.pid, pair.primaryDaemon.pid);
  await pin(scope, 'secondary', pair.secondary.pid, pair.secondaryDaemon.pid);
  // As gannet-secondary@.service has it.
  await scope.run(['renice', '--priority', '-10', '--pid', `${pair.secondaryDaemon.pid}`]);
  await pair.protect();
  await pair.waitForCommits(2);
  const before = pair.commits.length;
  const value = await throughput(pair.primary.oracle, windowMs);
  if (pair.commits.length === before) throw new BenchError('no checkpoint in all that time');
  if (!pair.primary.oracle.clean || pair.secondary.oracle.sawBad) {
    throw new BenchError('the guest read what it had not written');
  }
  await pair.waitForCommits(before);
  await pair.dispose();
  return value;
}

/** What belongs to a host runs on the processor of that host. */
async function pin(
  scope: Scope,
  host: 'primary' | 'secondary',
  ...pids: readonly (number | undefined)[]
): Promise<void> {
  if (cpus().length < 2) throw new BenchError('two hosts need two processors');
  for (const pid of pids) {
    if (pid === undefined) throw new BenchError(`a process of the ${host} has ended`);
    const core = host === 'primary' ? '0' : '1';
    await scope.run(['taskset', '--all-tasks', '--pid', '--cpu-list', core, `${pid}`]);
  }
}

/** The same VMs; the secondary's disk is as QEMU's documentation has it. */
async function colo(scope: Scope, guest: LabGuest, windowMs: number): Promise<number> {
  const folder = await scope.folder();
  const memory = await scope.folder('memory');
  const machine: LabMachine = { guest };
  const file = (name: string): string => path.join(folder, name);
  for (const name of ['primary.raw', 'secondary.raw']) {
    await scope.run(['truncate', '--size', `${DISK_MB * MIB}`, file(name)]);
  }
  for (const name of ['active.qcow2', 'hidden.qcow2']) {
    const image = path.join(memory, name);
    await scope.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, `${DISK_MB * MIB}`]);
  }
  const start = async (name: string, args: readonly string[]): Promise<LabVm> => {
    const { preload } = primaryCommand(machine, []);
    const vm = await LabVm.start({
      ...{ name, dir: folder, args },
      ...(preload === undefined ? {} : { preload }),
    });
    scope.defer(() => vm.dispose());
    return vm;
  };
  const command = primaryCommand(machine, [{ path: file('primary.raw') }]).args;
  const primary = await start('colo-pvm', command);
  await primary.oracle.waitForStart(REGIONS, { signal: primary.gone });
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  const secondary = await start('colo-svm', [
    ...withoutBlockdevs(command),
    ...coloDrives(file('secondary.raw'), memory),
    ...['-incoming', `unix:${file('incoming.sock')}`],
  ]);
  await pin(scope, 'primary', primary.pid);
  await pin(scope, 'secondary', secondary.pid);
  const [pvm, svm] = await Promise.all(
    [primary, secondary].map((vm) =>
      QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[1] } }),
    ),
  );
  if (!pvm || !svm) throw new BenchError('no QMP');
  const nbd = file('nbd.sock');
  await svm.executeRaw('nbd-server-start', { addr: { type: 'unix', data: { path: nbd } } });
  await svm.executeRaw('nbd-server-add', { device: 'parent0', writable: true });
  await new SecondaryDriver(svm).prepare();
  const driver = new PrimaryDriver(pvm);
  const server = { type: 'unix', path: nbd } as const;
  const disks = [
    { device: 'vb0', link: 'replication', server, export: 'parent0', id: 'bench0' } as const,
  ];
  await driver.seed(disks);
  await driver.attach(disks);
  const uri = `unix:${file('incoming.sock')}`;
  await driver.startColo({ uri, periodMs: PERIOD_MS, timeoutMs: 60_000 });
  await driver.finishSeed();
  let checkpoints = 0;
  svm.onEvent('RESUME', () => checkpoints++);
  await sleep(PERIOD_MS);
  const value = await throughput(primary.oracle, windowMs);
  if (checkpoints === 0) throw new BenchError('no checkpoint in all that time');
  if (!primary.oracle.clean || secondary.oracle.sawBad) {
    throw new BenchError('the guest read what it had not written');
  }
  await Promise.all([pvm.close(), svm.close()]);
  await primary.dispose();
  await secondary.dispose();
  return value;
}

function withoutBlockdevs(args: readonly string[]): string[] {
  return args.filter((arg, at) => arg !== '-blockdev' && args[at - 1] !== '-blockdev');
}

/** The top one has the name that the device asks for. */
function coloDrives(disk: string, memory: string): string[] {
  const overlay = (prefix: string, name: string): string =>
    `${prefix}driver=qcow2,${prefix}file.filename=${path.join(memory, name)}`;
  return [
    '-drive',
    `if=none,id=parent0,driver=raw,file.filename=${disk}`,
    '-drive',
    'if=none,id=childs0,driver=replication,mode=secondary,top-id=quorum0,' +
      `${overlay('file.', 'active.qcow2')},${overlay('file.backing.', 'hidden.qcow2')},` +
      'file.backing.backing=parent0',
    '-drive',
    'if=none,id=quorum0,driver=quorum,read-pattern=fifo,vote-threshold=1,children.0=childs0',
  ];
}

interface Mark {
  readonly atMs: number;
  readonly requests: number;
}

/** Oracles report twice a second: each region counts from its first report to its last. */
async function throughput(oracle: OracleLog, windowMs: number): Promise<number> {
  const first = new Map<number, Mark>();
  const last = new Map<number, Mark>();
  const atFirst = new Map([...oracle.regions].map(([id, counters]) => [id, requestsOf(counters)]));
  const endMs = performance.now() + windowMs;
  while (performance.now() < endMs) {
    for (const [id, counters] of oracle.regions) {
      const mark = { atMs: performance.now(), requests: requestsOf(counters) };
      if (mark.requests === (last.get(id)?.requests ?? atFirst.get(id))) continue;
      if (!first.has(id)) first.set(id, mark);
      last.set(id, mark);
    }
    await sleep(5);
  }
  let sum = 0;
  for (const [id, from] of first) {
    const to = last.get(id);
    if (!to || to.atMs === from.atMs) throw new BenchError(`region ${id} stands still`);
    sum += (1000 * (to.requests - from.requests)) / (to.atMs - from.atMs);
  }
  if (first.size < REGIONS) throw new BenchError('a region stands still');
  return sum;
}

function requestsOf({ writes, reads }: { writes: number; reads: number }): number {
  return writes + reads;
}
