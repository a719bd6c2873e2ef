/** B1 and B2: the whole path of a write, from the primary's quorum to the secondary host. */
import {
  messageOf,
  takeTurns,
  type Comparison,
  type Context,
  type Contender,
  type Outcome,
  type Reading,
  type Trial,
} from './harness/comparison.js';
import { fio, type Load } from './harness/fio.js';
import { coloPair, gannetPair, nativePair, type Pair, type PairOptions } from './harness/pair.js';
import type { Point } from './harness/result.js';
import { SLOW_DISK } from './harness/slow-host.js';

const KIB = 1024;
const SIZE_BYTES = 512 * KIB * KIB;

export const NATIVE = 'native';
export const COLO_DISK = 'COLO, same disk';
export const COLO_RAM = 'COLO, RAM disk';
export const GANNET_LINKS = ['Gannet, replication', 'Gannet, nbd', 'Gannet, mirror'] as const;

export const RANDOM_QD1 = '4 KiB random write, qd1';
export const RANDOM_QD16 = '4 KiB random write, qd16';
export const SEQUENTIAL = '64 KiB sequential write, qd8';
export const MIXED = '16 KiB 70/30 random read/write, qd8';
export const SYNCED = '64 KiB sequential write, fsync each';
export const WORKLOADS: Readonly<Record<string, Load>> = {
  [RANDOM_QD1]: { rw: 'randwrite', blockBytes: 4 * KIB, depth: 1 },
  [RANDOM_QD16]: { rw: 'randwrite', blockBytes: 4 * KIB, depth: 16 },
  [SEQUENTIAL]: { rw: 'write', blockBytes: 64 * KIB, depth: 8 },
  [MIXED]: { rw: 'randrw', blockBytes: 16 * KIB, depth: 8, readPercent: 70 },
  [SYNCED]: { rw: 'write', blockBytes: 64 * KIB, depth: 1, fsyncEvery: 1 },
};

interface Times {
  /**
   * Of the load before the checkpoint whose write-back, or emptied disks, the measured one meets.
   */
  readonly beforeSeconds: number;
  readonly seconds: number;
}

const PROCEDURE =
  "fio's nbd engine writes to the primary's QEMU, whose quorum writes to the local disk and to " +
  "the contender's secondary. The same load runs on the secondary VM, with its own QEMU. Each " +
  'measurement is a checkpoint, a load, a checkpoint, and the load that counts. Loads pause ' +
  'during checkpoints, because stock COLO aborts otherwise. After the last round the disks of ' +
  'both sides are compared.';

export const B1: Comparison = {
  name: 'B1',
  title: 'Whole path, slow disks',
  about:
    `Each host's disk is limited to ${SLOW_DISK.iops} IOPS and 125 MiB/s by a control group; ` +
    'I/O is direct. The load on the secondary is no faster than such a disk, because it repeats ' +
    `what the primary's VM does. ${PROCEDURE}`,
  estimateSeconds: 490,
  run: (context) =>
    runPath(
      context,
      { scope: context.scope, sizeBytes: SIZE_BYTES, limits: SLOW_DISK },
      {
        beforeSeconds: 0.9,
        seconds: 1.35,
      },
    ),
};

export const B2: Comparison = {
  name: 'B2',
  title: 'Whole path, disks as fast as they are',
  about:
    'As B1, without limits: all processes share the processors and the disk. ' +
    `${PROCEDURE} A longer round before the first does not count.`,
  estimateSeconds: 440,
  run: (context) =>
    runPath(
      context,
      { scope: context.scope, sizeBytes: SIZE_BYTES },
      {
        beforeSeconds: 0.5,
        seconds: 1,
      },
      // As much is buffered as is written, and the first touch of a page costs more than its copy.
      { beforeSeconds: 1.5, seconds: 0.3 },
    ),
};

/**
 * @param warmUp a round that does not count; none where the disks are the limit from the first
 * request on
 */
async function runPath(
  context: Context,
  options: PairOptions,
  times: Times,
  warmUp?: Times,
): Promise<Outcome> {
  const { quick } = context;
  const contenders = await contendersWith(
    quick ? { ...options, sizeBytes: options.sizeBytes / 8 } : options,
  );
  const chosen = quick ? { beforeSeconds: 0.2, seconds: 0.3 } : times;
  const trials = Object.entries(WORKLOADS).map(([point, load]): Trial<Pair> => ({
    ...{ point, unit: 'IOPS', better: 'higher' },
    measure: (pair, round) =>
      measure(context, pair, point, load, (round === 0 && warmUp) || chosen, options),
  }));
  const measured = await takeTurns(context, contenders, trials, warmUp ? undefined : 0);
  const points = withoutLosers(measured, await findLosers(contenders));
  const isRate = ({ unit }: Point): boolean => unit === 'IOPS';
  const sorted = [...points.filter(isRate), ...points.filter((point) => !isRate(point))];
  return { contenders, baseline: NATIVE, points: sorted, notes: [] };
}

async function measure(
  { scope, quick }: Context,
  pair: Pair,
  point: string,
  load: Load,
  { beforeSeconds, seconds }: Times,
  { sizeBytes, limits }: PairOptions,
): Promise<Reading[]> {
  // A VM's double does what the VM does: it does not run ahead of what the VM's own disk allows.
  const iopsMax = limits && Math.min(limits.iops, limits.bytesPerSec / load.blockBytes);
  const both = async (seconds: number): Promise<number> => {
    const common = {
      load,
      seconds,
      rampSeconds: 0.1,
      sizeBytes: quick ? sizeBytes / 8 : sizeBytes,
    };
    const uris = [pair.primaryUri, ...(pair.secondaryUri === undefined ? [] : [pair.secondaryUri])];
    const [primary] = await Promise.all(
      uris.map((uri, at) =>
        fio(scope, { ...common, uri, seed: at + 1, ...(at === 1 && { iopsMax }) }),
      ),
    );
    return primary?.iops ?? NaN;
  };
  await pair.checkpoint();
  await both(beforeSeconds);
  const begunMs = performance.now();
  await pair.checkpoint();
  const checkpointMs = performance.now() - begunMs;
  const value = await both(seconds);
  await pair.check();
  const readings: Reading[] = [{ ...head(point, 'IOPS', 'higher'), value }];
  if (pair.secondaryUri !== undefined) {
    const name = `storage's part of a checkpoint after ${point}`;
    readings.push({ ...head(name, 'ms', 'lower'), value: checkpointMs });
  }
  return readings;
}

/** Whose disks differ after a last checkpoint, and how. */
async function findLosers(contenders: readonly Contender<Pair>[]): Promise<Map<string, string>> {
  const losers = new Map<string, string>();
  for (const { name, subject } of contenders) {
    try {
      await subject.checkpoint();
      await subject.compare();
    } catch (error) {
      losers.set(name, `the disks differ at the end: ${messageOf(error)}`);
    }
  }
  return losers;
}

/** What has lost data was fast at nothing. */
function withoutLosers(points: readonly Point[], losers: ReadonlyMap<string, string>): Point[] {
  return points.map((point) => ({
    ...point,
    entries: point.entries.map((entry) => {
      const why = losers.get(entry.contender);
      return why === undefined ? entry : { ...entry, failures: [...entry.failures, why] };
    }),
  }));
}

function head(point: string, unit: string, better: Point['better']): Omit<Reading, 'value'> {
  return { point, unit, better };
}

async function contendersWith(options: PairOptions): Promise<Contender<Pair>[]> {
  const [replication, nbd, mirror] = GANNET_LINKS;
  const gannet = '`gannet secondary` with `source: external`, its defaults; linked by ';
  return [
    {
      name: NATIVE,
      setup: 'quorum over the local disk, no replication, no secondary',
      subject: await nativePair(options),
    },
    {
      name: COLO_DISK,
      setup:
        "QEMU's docs/COLO-FT.txt: replication driver; active and hidden disk (qcow2) are on the " +
        "secondary's disk",
      subject: await coloPair(options, 'disk'),
    },
    {
      name: COLO_RAM,
      setup: 'the same with both in memory, as docs/block-replication.txt recommends',
      subject: await coloPair(options, 'memory'),
    },
    {
      name: replication,
      setup: `${gannet}QEMU's replication filter`,
      subject: await gannetPair(options, 'replication'),
    },
    {
      name: nbd,
      setup: `${gannet}a plain NBD child of the quorum`,
      subject: await gannetPair(options, 'nbd'),
    },
    {
      name: mirror,
      setup: `${gannet}a write-blocking mirror`,
      subject: await gannetPair(options, 'mirror'),
    },
  ];
}
