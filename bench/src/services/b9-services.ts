/** B9: six services in the guest of a real pair. */
import type { DiskLimits, DiskUsage } from '@gannet/lab';
import { COLO_DISK, COLO_RAM, NATIVE } from '../b1-path.js';
import { OURS } from '../b8-guest.js';
import { takeTurns, type Comparison, type Contender, type Reading } from '../harness/comparison.js';
import { PauseWatch } from '../harness/pause-watch.js';
import type { Side } from '../harness/pin.js';
import { processorUs } from '../harness/processor.js';
import type { Point } from '../harness/result.js';
import { Scope } from '../harness/scope.js';
import { serviceImages, type ServiceImages } from './images.js';
import {
  alone,
  bootServices,
  colo,
  compareDisks,
  gannet,
  PERIOD_MS,
  type Protect,
  type SecondarySide,
  type StartedVm,
  waitForCheckpoints,
} from './vms.js';

const MIB = 1024 * 1024;

/**
 * `operations` take a VM alone three to six seconds on a slow disk, `manyOperations` as long on a
 * fast one. The ids are those of bench/services/services.sh.
 */
export const SERVICES = [
  { id: 'postgresql', name: 'PostgreSQL', operations: 320, manyOperations: 640 },
  { id: 'mariadb', name: 'MariaDB', operations: 360, manyOperations: 800 },
  { id: 'redis', name: 'Redis', operations: 700, manyOperations: 7000 },
  { id: 'rocksdb', name: 'RocksDB', operations: 110, manyOperations: 1500 },
  { id: 'tokyo', name: 'Tokyo Cabinet', operations: 26, manyOperations: 400 },
  { id: 'sqlite', name: 'SQLite', operations: 56, manyOperations: 700 },
] as const;
type Service = (typeof SERVICES)[number];

/** What is measured beside the operations, as the second half of a point's name. */
export const PAUSE = 'pause of a checkpoint';
const PRIMARY_IOPS = "primary's disk";
const SECONDARY_IOPS = "secondary's disk";
const PRIMARY_MIB = "written on the primary's disk";
const SECONDARY_MIB = "written on the secondary's disk";
const PRIMARY_CPU = "processor of the primary's VM";
const SECONDARY_CPU = "processor of the secondary's VM and daemon";

/** Above it, the VM's only processor is what it waits for. */
const BUSY_PERCENT = 80;
/** A disk that is used less is not what is waited for. */
const WAITING_SHARE = 0.9;

const SLOW: DiskLimits = { iops: 200, bytesPerSec: 60 * MIB };

const PROCEDURE =
  'Each round boots a VM with 512 MiB of memory and starts all six services in it, then gets it ' +
  'protected, then limits the disks, then loads one service after the other by a client in the ' +
  'guest. Each load is a fixed number of operations after a warm-up of an eighth of it; each ' +
  'operation is on the disk when the client has its answer. Operations per second by the clock ' +
  "of the host. Each host has one of this machine's processors. A checkpoint every " +
  `${PERIOD_MS / 1000} seconds. At the end the services are stopped and the disks of both sides ` +
  'are compared: a pair whose disks differ counts nowhere.';

type Limits = Readonly<Record<Side, DiskLimits | undefined>>;

interface Run {
  readonly images: ServiceImages;
  readonly protect: Protect;
  readonly limits: Limits;
  /** How much of `operations` it is given, or of `manyOperations`. */
  readonly work: { readonly of: 'operations' | 'manyOperations'; readonly share: number };
  readonly seed: number;
  readonly quick: boolean;
}

/**
 * How fast a contender is: `quick` waits for the primary's disk alone, `slow` for the secondary's
 * as well, `slowest` for several writes there for each of the primary's.
 */
type Pace = 'quick' | 'slow' | 'slowest';

type Measure = (round: number) => Promise<Reading[]>;

export const B9 = comparison({
  name: 'B9',
  title: 'Six services, both disks slow',
  about: `The disk of each host has 200 IOPS and 60 MiB/s. ${PROCEDURE}`,
  estimateSeconds: 1300,
  limits: { primary: SLOW, secondary: SLOW },
});

export const B9B = comparison({
  name: 'B9B',
  title: "Six services, only the secondary's disk slow",
  about:
    "As B9, but only the disk of the secondary's host has 200 IOPS and 60 MiB/s; the primary's " +
    'is not limited. Who does not wait for the slow disk is given more to do, so that its load ' +
    `lasts through several checkpoints. ${PROCEDURE}`,
  estimateSeconds: 1300,
  limits: { primary: undefined, secondary: SLOW },
});

type Setting = Pick<Comparison, 'name' | 'title' | 'about' | 'estimateSeconds'> & {
  readonly limits: Limits;
};

function comparison({ limits, ...head }: Setting): Comparison {
  return {
    ...head,
    isOnRequest: true,
    run: async (context) => {
      const images = await serviceImages();
      const isFast = limits.primary === undefined;
      const { scope, quick } = context;
      const contender = (
        name: string,
        setup: string,
        protect: Protect,
        pace: Pace,
      ): Contender<Measure> => ({
        ...{ name, setup },
        subject: (round) => {
          const isSlow = !isFast || pace !== 'quick';
          const work = {
            of: isSlow ? ('operations' as const) : ('manyOperations' as const),
            share: pace === 'slowest' ? 0.5 : 1,
          };
          const run = { images, protect, limits, work, seed: seedOf(round), quick };
          return measureAll(scope, run);
        },
      });
      const docs = "QEMU's docs/COLO-FT.txt; active and hidden disk";
      const contenders = [
        contender(NATIVE, 'the VM alone, on a quorum over its disk', alone, 'quick'),
        contender(
          COLO_DISK,
          `${docs} on the secondary's disk, direct I/O; half of the operations, to save time`,
          colo('disk'),
          'slowest',
        ),
        contender(
          COLO_RAM,
          `${docs} in memory, as docs/block-replication.txt asks`,
          colo('memory'),
          'slow',
        ),
        contender(
          OURS,
          '`gannet primary`, `gannet secondary` with the priority of its service, `gannet ' +
            'protect`; replication link',
          gannet('replication'),
          'quick',
        ),
      ];
      const trial = {
        ...{ point: 'all six', unit: '1/s', better: 'higher' as const },
        measure: (measure: Measure, round: number) => measure(round),
      };
      const points = ordered(await takeTurns(context, contenders, [trial], 0));
      return { contenders, baseline: NATIVE, points, notes: notesOn(points, limits) };
    },
  };
}

/** Says which services do not wait for the disk: their ratios say nothing about it. */
function notesOn(points: readonly Point[], { primary }: Limits): string[] {
  const nativeAt = (service: Service, what: string): number =>
    points
      .find(({ name }) => name === `${service.name}: ${what}`)
      ?.entries.find(({ contender }) => contender === NATIVE)?.median ?? NaN;
  return SERVICES.flatMap((service) => {
    const used = nativeAt(service, PRIMARY_CPU);
    const iops = nativeAt(service, PRIMARY_IOPS);
    if (primary && used <= BUSY_PERCENT && iops >= WAITING_SHARE * primary.iops) return [];
    return [
      `${service.name} is limited by the emulated processor, not by the disk (native: ` +
        `${used.toFixed(0)} % of a processor, ${iops.toFixed(0)} IOPS): no claim rests on it.`,
    ];
  });
}

/** Whether the ratio to native says something about the disk, in a result's notes. */
export function isDiskBound(notes: readonly string[], service: string): boolean {
  return !notes.some((note) => note.startsWith(`${service} is limited`));
}

/** The same keys and amounts for all contenders of a round, others in each round. */
function seedOf(round: number): number {
  return 1000 * round;
}

/** Operations first, then what stands beside them. */
function ordered(points: readonly Point[]): Point[] {
  const isRate = ({ name }: Point): boolean => SERVICES.some((service) => service.name === name);
  return [...points.filter(isRate), ...points.filter((point) => !isRate(point))];
}

/** One boot of one contender. */
async function measureAll(all: Scope, run: Run): Promise<Reading[]> {
  const { images, protect, limits } = run;
  const scope = new Scope();
  all.defer(() => scope.close());
  try {
    const ids = SERVICES.map(({ id }) => id);
    const started = await bootServices(scope, images, ids);
    const side = await protect(started);
    if (side) await waitForCheckpoints(side, 2);
    await started.hosts.primary.limit(limits.primary);
    await started.hosts.secondary.limit(limits.secondary);
    const readings: Reading[] = [];
    for (const service of SERVICES) {
      readings.push(...(await measureService(started, side, service, run)));
    }
    if (side) await compareDisks(started, side, ids);
    return readings;
  } finally {
    await scope.close();
  }
}

async function measureService(
  started: StartedVm,
  side: SecondarySide | undefined,
  service: Service,
  { work, seed, quick }: Run,
): Promise<Reading[]> {
  const { id, name } = service;
  const all = service[work.of] * work.share;
  const operations = Math.ceil(quick ? all / 8 : all);
  const { console, primary } = started;
  await using pauses = await PauseWatch.start(primary.qmpPaths[0]);
  console.send(`load ${id} ${operations} ${seed}`);
  const begin = await console.said(`BEGIN ${id}`);
  const before = await usageOf(started, side);
  const end = await console.done(`LOAD ${id}`);
  const after = await usageOf(started, side);
  const seconds = (end.atMs - begin.atMs) / 1000;
  const rate = (key: keyof Usage): number => (after[key] - before[key]) / seconds;
  const beside = (what: string, unit: string, value: number): Reading => ({
    ...{ point: `${name}: ${what}`, unit, better: 'lower', value },
  });
  return [
    { point: name, unit: '1/s', better: 'higher', value: operations / seconds },
    ...pauses.within(begin.atMs, end.atMs).map((ms) => beside(PAUSE, 'ms', ms)),
    beside(PRIMARY_IOPS, 'IOPS', rate('primaryIos')),
    beside(PRIMARY_MIB, 'MiB/s', rate('primaryBytes') / MIB),
    beside(PRIMARY_CPU, '%', rate('primaryUs') / 10_000),
    ...(side
      ? [
          beside(SECONDARY_IOPS, 'IOPS', rate('secondaryIos')),
          beside(SECONDARY_MIB, 'MiB/s', rate('secondaryBytes') / MIB),
          beside(SECONDARY_CPU, '%', rate('secondaryUs') / 10_000),
        ]
      : []),
  ];
}

interface Usage {
  readonly primaryIos: number;
  readonly primaryBytes: number;
  readonly primaryUs: number;
  readonly secondaryIos: number;
  readonly secondaryBytes: number;
  readonly secondaryUs: number;
}

async function usageOf(
  { hosts, primary }: StartedVm,
  side: SecondarySide | undefined,
): Promise<Usage> {
  const ios = ({ reads, writes }: DiskUsage): number => reads + writes;
  const [own, others] = await Promise.all([hosts.primary.usage(), hosts.secondary.usage()]);
  const used = await Promise.all((side?.pids ?? []).map((pid) => processorUs(pid)));
  return {
    ...{ primaryIos: ios(own), primaryBytes: own.bytesWritten },
    primaryUs: await processorUs(primary.pid),
    ...{ secondaryIos: ios(others), secondaryBytes: others.bytesWritten },
    secondaryUs: used.reduce((sum, us) => sum + us, 0),
  };
}
