/** B5: write-back of committed pages to a slow disk, and how it slows foreground requests. */
import path from 'node:path';
import type { SlowHost } from '@gannet/lab';
import {
  takeTurns,
  type Comparison,
  type Context,
  type Contender,
  type Reading,
  type Trial,
} from './harness/comparison.js';
import { fio, type Load } from './harness/fio.js';
import { gannetPair, type Pair } from './harness/pair.js';
import type { Point } from './harness/result.js';
import { BenchError, type Running, type Scope } from './harness/scope.js';
import { SLOW_DISK, slowHost } from './harness/slow-host.js';
import type {
  WriteBackAnswer,
  WriteBackRequest,
  WriteBackSettings,
} from './children/write-back-replica.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const PAGE_BYTES = 4 * KIB;
const PAIR_BYTES = 512 * MIB;

export const SORTED = 'Gannet';
export const ARRIVAL = 'arrival order';
export const WHOLE = '1 GiB, each page once';
const HALF = 'every second page of 64 MiB';

export const B5: Comparison = {
  name: 'B5',
  title: 'Write-back to a slow disk',
  about:
    'Committed pages, which the primary wrote in random order, go to a base on a disk with 3000 ' +
    'IOPS and 125 MiB/s: by write-back, until synced; and in order of arrival, as 4 KiB writes ' +
    'with 16 in flight. Then the latency of loads while an epoch of two seconds of random ' +
    'writes is written back, and while nothing is.',
  estimateSeconds: 145,
  async run(context) {
    const rates = await measureRates(context);
    const latencies = await measureLatencies(context);
    return {
      contenders: [...rates.contenders, ...latencies.contenders],
      baseline: undefined,
      points: [...rates.points, ...latencies.points],
      notes: [
        'Arrival order has the same speed from its first second on, so it runs for two seconds ' +
          'instead of 90.',
        'How much sorting helps depends on how dense the pages are: if no two adjoin, nothing ' +
          'can be merged.',
      ],
    };
  },
};

interface Measured {
  readonly contenders: readonly Contender<unknown>[];
  readonly points: readonly Point[];
}

type Rate = (request: WriteBackRequest) => Promise<number>;

async function measureRates(context: Context): Promise<Measured> {
  const { scope, quick } = context;
  const sizeBytes = (quick ? 64 : 1024) * MIB;
  const host = await slowHost(scope, SLOW_DISK);
  const folder = await scope.folder();
  const base = path.join(folder, 'base.raw');
  const to = [`of=${base}`, 'bs=4M', `count=${sizeBytes / 4 / MIB}`];
  await scope.run(['dd', 'if=/dev/zero', 'oflag=direct', ...to]);
  const settings: WriteBackSettings = { base, sizeBytes };
  const program = path.join(import.meta.dirname, 'children', 'write-back-replica.js');
  const running = scope.start([process.execPath, program, JSON.stringify(settings)]);
  await next(running);
  await host.take(running.pid);
  const contenders: Contender<Rate>[] = [
    { name: SORTED, setup: 'its write-back', subject: (request) => writeBack(running, request) },
    {
      name: ARRIVAL,
      setup: "fio's libaio engine, direct I/O, the same pages in random order",
      subject: (request) => arrivalOrder(scope, host, base, request),
    },
  ];
  const trial = (point: string, request: WriteBackRequest): Trial<Rate> => ({
    ...{ point, unit: 'MiB/s', better: 'higher' },
    measure: (rate) => rate(request),
  });
  const points = await takeTurns(
    context,
    contenders,
    [
      trial(WHOLE, { spanPages: sizeBytes / PAGE_BYTES, stride: 1 }),
      trial(HALF, { spanPages: (64 * MIB) / PAGE_BYTES, stride: 2 }),
    ],
    0,
  );
  return { contenders, points };
}

async function writeBack(running: Running, request: WriteBackRequest): Promise<number> {
  const answer = next(running);
  running.child.send(request);
  const batch = await answer;
  if (typeof batch === 'string' || 'error' in batch) throw new BenchError(JSON.stringify(batch));
  const rate = batch.bytes / MIB / (batch.ms / 1000);
  if (rate > (1.2 * SLOW_DISK.bytesPerSec) / MIB) {
    throw new BenchError(`the disk was not slow: ${rate.toFixed(0)} MiB/s`);
  }
  return rate;
}

function next(running: Running): Promise<WriteBackAnswer | 'ready'> {
  return new Promise((resolve, reject) => {
    running.child.once('message', (answer: WriteBackAnswer | 'ready') => resolve(answer));
    void running.exited.then(() => reject(new BenchError(`it ended: ${running.stderrTail}`)));
  });
}

async function arrivalOrder(
  scope: Scope,
  host: SlowHost,
  file: string,
  { spanPages, stride }: WriteBackRequest,
): Promise<number> {
  const text = await scope.run([
    ...host.enter(),
    ...['fio', '--name=load', `--filename=${file}`, '--ioengine=libaio', '--direct=1', '--thread'],
    ...['--rw=randwrite', `--bs=${PAGE_BYTES}`, '--iodepth=16', `--size=${spanPages * PAGE_BYTES}`],
    ...(stride > 1 ? [`--blockalign=${PAGE_BYTES * stride}`] : []),
    ...['--time_based', '--runtime=2000ms', '--output-format=json', '--randrepeat=0'],
  ]);
  const report = JSON.parse(text.slice(text.indexOf('{'))) as {
    jobs: { error: number; write: { bw_bytes: number } }[];
  };
  const [job] = report.jobs;
  if (!job || job.error !== 0) throw new BenchError('fio failed');
  return job.write.bw_bytes / MIB;
}

const EPOCH: Load = { rw: 'randwrite', blockBytes: PAGE_BYTES, depth: 16 };
const WRITES: Load = { rw: 'randwrite', blockBytes: PAGE_BYTES, depth: 1 };
const MIXED: Load = { rw: 'randrw', blockBytes: PAGE_BYTES, depth: 1, readPercent: 50 };

/** The same pair, with a commit just before the load, and without. */
async function measureLatencies(context: Context): Promise<Measured> {
  const { scope, quick } = context;
  const sizeBytes = quick ? PAIR_BYTES / 8 : PAIR_BYTES;
  const pair = await gannetPair({ scope, sizeBytes, limits: SLOW_DISK }, 'nbd');
  const seconds = quick ? 0.3 : 1.5;
  const contenders: Contender<boolean>[] = [
    { name: 'during write-back', setup: 'an epoch has just been committed', subject: true },
    { name: 'no write-back', setup: 'nothing was committed for a while', subject: false },
  ];
  const trial: Trial<boolean> = {
    ...{ point: 'latency', unit: 'µs', better: 'lower' },
    measure: (commits) => latencies(scope, pair, sizeBytes, seconds, commits),
  };
  return { contenders, points: await takeTurns(context, contenders, [trial], 0) };
}

async function latencies(
  scope: Scope,
  pair: Pair,
  sizeBytes: number,
  seconds: number,
  commits: boolean,
): Promise<Reading[]> {
  const common = { sizeBytes, seconds };
  const { primaryUri, secondaryUri = '' } = pair;
  await fio(scope, { ...common, uri: primaryUri, load: EPOCH });
  if (commits) await pair.checkpoint();
  const [primary, secondary] = await Promise.all([
    fio(scope, { ...common, uri: primaryUri, load: WRITES }),
    fio(scope, { ...common, uri: secondaryUri, load: MIXED }),
  ]);
  // The next run begins with nothing to write back, whichever it is.
  await pair.checkpoint();
  await pair.settled();
  await pair.check();
  const reading = (point: string, value: number): Reading => {
    return { point, unit: 'µs', better: 'lower', value };
  };
  return [
    reading("primary's 4 KiB write, qd1, p50", primary.p50Us),
    reading("primary's 4 KiB write, qd1, p99", primary.p99Us),
    reading("secondary's 4 KiB write, qd1, p50", secondary.p50Us),
    reading("secondary's 4 KiB write, qd1, p99", secondary.p99Us),
  ];
}
