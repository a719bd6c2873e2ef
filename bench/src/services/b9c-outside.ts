/** B9C: a service whose clients are outside, with COLO's comparison of packets. */
import { ClientNetwork, type DiskLimits } from '@gannet/lab';
import { COLO_DISK, COLO_RAM, NATIVE } from '../b1-path.js';
import { OURS } from '../b8-guest.js';
import { takeTurns, type Comparison, type Contender, type Reading } from '../harness/comparison.js';
import { PauseWatch } from '../harness/pause-watch.js';
import type { Side } from '../harness/pin.js';
import { BenchError, Scope } from '../harness/scope.js';
import { serviceImages, type ServiceImages } from './images.js';
import { outsideClient } from './outside-client.js';
import {
  alone,
  bootServices,
  colo,
  compareDisks,
  gannet,
  OUTSIDE_PERIOD_MS,
  type Protect,
  type StartedVm,
  waitForCheckpoints,
} from './vms.js';

const MIB = 1024 * 1024;
const SLOW: DiskLimits = { iops: 200, bytesPerSec: 60 * MIB };
const CLIENTS = 8;
const PATIENCE_MS = 300_000;

/** After the name of a setting. */
export const P50 = 'latency, median';
export const P99 = 'latency, p99';
const CHECKPOINTS = 'checkpoints';
const PAUSE = 'pause of a checkpoint';

interface Setting {
  readonly name: string;
  readonly limits: Readonly<Record<Side, DiskLimits | undefined>>;
  /** They take a VM alone six to eight seconds. */
  readonly requests: number;
  /** Of those who wait for the secondary's disk. */
  readonly fewRequests: number;
}

export const OUTSIDE_SETTINGS: readonly Setting[] = [
  {
    ...{ name: 'Redis, both disks slow', requests: 1600, fewRequests: 800 },
    limits: { primary: SLOW, secondary: SLOW },
  },
  {
    ...{ name: "Redis, only the secondary's disk slow", requests: 8000, fewRequests: 1600 },
    limits: { primary: undefined, secondary: SLOW },
  },
];

type Measure = (setting: Setting) => Promise<Reading[]>;

export const B9C: Comparison = {
  name: 'B9C',
  title: 'A service with clients outside',
  about:
    `redis-benchmark in a network namespace of its own sets values of 512 bytes over TCP, with ` +
    `${CLIENTS} connections, one request on the way on each; Redis answers when its append-only ` +
    'file is on the disk. With a secondary, each packet of the service waits until both guests ' +
    'have sent the same (colo-compare), or until a checkpoint. There is one at the latest every ' +
    `${OUTSIDE_PERIOD_MS / 1000} seconds; all others were caused by output that differed. Slow ` +
    'disks have 200 IOPS and 60 MiB/s. Each measurement boots the VM again. At the end the disks ' +
    'are compared: a pair whose disks differ counts nowhere.',
  estimateSeconds: 1500,
  isOnRequest: true,
  run: async (context) => {
    const images = await serviceImages();
    const { scope, quick } = context;
    const contender = (
      name: string,
      setup: string,
      protect: Protect,
      waits: boolean,
    ): Contender<Measure> => ({
      ...{ name, setup },
      subject: (setting) => {
        const all = waits ? setting.fewRequests : setting.requests;
        return measure(scope, images, protect, setting, quick ? all / 8 : all);
      },
    });
    const both = 'the same filters and colo-compare as Gannet sets up';
    const contenders = [
      contender(NATIVE, 'the VM alone, nothing compared', alone, false),
      contender(
        COLO_DISK,
        `as in B9, overlays on the secondary's disk; ${both}`,
        colo('disk'),
        true,
      ),
      contender(COLO_RAM, `as in B9, overlays in memory; ${both}`, colo('memory'), true),
      contender(OURS, 'as in B9, with `network:`', gannet('replication'), false),
    ];
    const trials = OUTSIDE_SETTINGS.map((setting) => ({
      ...{ point: setting.name, unit: '1/s', better: 'higher' as const },
      measure: (subject: Measure) => subject(setting),
    }));
    const points = await takeTurns(context, contenders, trials, 0);
    return { contenders, baseline: NATIVE, points, notes: [] };
  },
};

async function measure(
  all: Scope,
  images: ServiceImages,
  protect: Protect,
  { name, limits }: Setting,
  requests: number,
): Promise<Reading[]> {
  const scope = new Scope();
  all.defer(() => scope.close());
  try {
    const network = await ClientNetwork.create(2);
    scope.defer(() => network.dispose());
    const started = await bootServices(scope, images, ['redis'], network);
    const side = await protect(started);
    if (side) await waitForCheckpoints(side, 1);
    await started.hosts.primary.limit(limits.primary);
    await started.hosts.secondary.limit(limits.secondary);
    await request(started, network, images, Math.ceil(requests / 8));
    await using pauses = await PauseWatch.start(started.primary.qmpPaths[0]);
    const beginMs = performance.now();
    const { p50Ms, p99Ms } = await request(started, network, images, requests);
    const endMs = performance.now();
    const seconds = (endMs - beginMs) / 1000;
    const taken = pauses.within(beginMs, endMs);
    if (side) await compareDisks(started, side, ['redis']);
    const beside = (what: string, unit: string, value: number): Reading => ({
      ...{ point: `${name}: ${what}`, unit, better: 'lower', value },
    });
    return [
      { point: name, unit: '1/s', better: 'higher', value: requests / seconds },
      beside(P50, 'ms', p50Ms),
      beside(P99, 'ms', p99Ms),
      ...(side ? [beside(CHECKPOINTS, '1/min', (60 * taken.length) / seconds)] : []),
      ...taken.map((ms) => beside(PAUSE, 'ms', ms)),
    ];
  } finally {
    await scope.close();
  }
}

async function request(
  { scope }: StartedVm,
  network: ClientNetwork,
  images: ServiceImages,
  requests: number,
): Promise<{ readonly p50Ms: number; readonly p99Ms: number }> {
  const work = ['-t', 'set', '-c', `${CLIENTS}`, '-d', '512', '-r', '20000', '-n', `${requests}`];
  const client = outsideClient(network, images, 'redis-benchmark', ...work, '--csv');
  const text = await scope.run(client, { timeoutMs: PATIENCE_MS });
  // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95…","p99…","max…"
  const fields = /^"SET",(.*)$/m.exec(text)?.[1]?.replaceAll('"', '').split(',').map(Number);
  const [, , , p50Ms, , p99Ms] = fields ?? [];
  if (p50Ms === undefined || p99Ms === undefined) {
    throw new BenchError(`redis-benchmark said: ${text}`);
  }
  return { p50Ms, p99Ms };
}
