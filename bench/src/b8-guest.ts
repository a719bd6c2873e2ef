/** B8: a real guest that loads its disk as much as it can. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  findGuest,
  type LabGuest,
  LabPair,
  LabVm,
  type OracleLog,
  primaryCommand,
} from '@gannet/lab';
import { startColo } from './harness/colo-vm.js';
import { takeTurns, type Comparison, type Contender, type Trial } from './harness/comparison.js';
import { pin, raisePriority } from './harness/pin.js';
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
  await raisePriority(scope, pair.secondaryDaemon.pid);
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

/** The same VMs; the secondary's disk is as QEMU's documentation has it. */
async function colo(scope: Scope, guest: LabGuest, windowMs: number): Promise<number> {
  const folder = await scope.folder();
  const sizeBytes = DISK_MB * MIB;
  const file = (name: string): string => path.join(folder, name);
  for (const name of ['primary.raw', 'secondary.raw']) {
    await scope.run(['truncate', '--size', `${sizeBytes}`, file(name)]);
  }
  const command = primaryCommand({ guest }, [{ path: file('primary.raw') }]);
  const primary = await LabVm.start({ name: 'colo-pvm', dir: folder, ...command });
  scope.defer(() => primary.dispose());
  await primary.oracle.waitForStart(REGIONS, { signal: primary.gone });
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  const secondary = await startColo({
    ...{ scope, folder, primary, command, sizeBytes, periodMs: PERIOD_MS },
    ...{ overlays: await scope.folder('memory'), disk: file('secondary.raw') },
    onStarted: async (vm) => {
      await pin(scope, 'primary', primary.pid);
      await pin(scope, 'secondary', vm.pid);
    },
  });
  await sleep(PERIOD_MS);
  const value = await throughput(primary.oracle, windowMs);
  if (secondary.checkpoints() === 0) throw new BenchError('no checkpoint in all that time');
  if (!primary.oracle.clean || secondary.vm.oracle.sawBad) {
    throw new BenchError('the guest read what it had not written');
  }
  await primary.dispose();
  await secondary.close();
  return value;
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
