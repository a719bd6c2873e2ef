/** One run of fio's nbd engine, and what of its report counts. */
import { BenchError, type Scope } from './scope.js';

export interface Load {
  readonly rw: 'randread' | 'randwrite' | 'read' | 'write' | 'randrw';
  readonly blockBytes: number;
  readonly depth: number;
  /** Share of reads of a mixed load, in per cent. */
  readonly readPercent?: number;
  /** A flush after each so many writes. */
  readonly fsyncEvery?: number;
}

export interface FioOptions {
  readonly uri: string;
  readonly load: Load;
  readonly seconds: number;
  /** Before counting begins. */
  readonly rampSeconds?: number;
  readonly sizeBytes: number;
  readonly seed?: number;
  /** In either direction; none by default. */
  readonly iopsMax?: number | undefined;
}

export interface FioReading {
  readonly iops: number;
  readonly bytesPerSec: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly requests: number;
}

interface Direction {
  readonly iops: number;
  readonly bw_bytes: number;
  readonly total_ios: number;
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

interface Job {
  readonly error: number;
  readonly total_err?: number;
  readonly read: Direction;
  readonly write: Direction;
}

/** @throws BenchError when fio fails, stalls, reports an I/O error, or has done nothing */
export async function fio(scope: Scope, options: FioOptions): Promise<FioReading> {
  const { load, seconds, rampSeconds = 0 } = options;
  const wholeMs = (seconds + rampSeconds) * 1000;
  const text = await scope.run(['fio', ...argumentsOf(options)], { timeoutMs: wholeMs * 2 + 8000 });
  const job = (JSON.parse(text.slice(text.indexOf('{'))) as { jobs: Job[] }).jobs[0];
  if (!job) throw new BenchError('fio reported no job');
  if (job.error !== 0 || (job.total_err ?? 0) !== 0) {
    throw new BenchError(`fio saw an I/O error (${job.error})`);
  }
  const { read, write } = job;
  const requests = read.total_ios + write.total_ios;
  if (requests === 0) throw new BenchError('fio completed no request');
  const main = load.rw === 'read' || load.rw === 'randread' ? read : write;
  const percentile = (name: string): number => (main.clat_ns.percentile?.[name] ?? NaN) / 1000;
  return {
    iops: read.iops + write.iops,
    bytesPerSec: read.bw_bytes + write.bw_bytes,
    p50Us: percentile('50.000000'),
    p99Us: percentile('99.000000'),
    requests,
  };
}

function argumentsOf(options: FioOptions): string[] {
  const { uri, load, seconds, rampSeconds = 0, sizeBytes, seed = 1, iopsMax } = options;
  return [
    ...['--name=load', '--ioengine=nbd', `--uri=${uri}`, '--thread', '--output-format=json'],
    ...[`--rw=${load.rw}`, `--bs=${load.blockBytes}`, `--iodepth=${load.depth}`],
    ...['--time_based', `--runtime=${Math.round(seconds * 1000)}ms`, `--size=${sizeBytes}`],
    ...[`--ramp_time=${Math.round(rampSeconds * 1000)}ms`, `--randseed=${seed}`],
    // A random map would make fio's own work grow with the disk, and its buffers compress to
    // nothing.
    ...['--norandommap', '--refill_buffers=0', '--randrepeat=0', '--random_generator=tausworthe64'],
    ...(load.readPercent === undefined ? [] : [`--rwmixread=${load.readPercent}`]),
    ...(iopsMax === undefined ? [] : [`--rate_iops=${iopsMax}`]),
    ...(load.fsyncEvery === undefined ? [] : [`--fsync=${load.fsyncEvery}`]),
  ];
}

/** Writes all of an export once, so that reads find data. */
export async function fill(scope: Scope, uri: string, sizeBytes: number): Promise<void> {
  const sequential = ['--rw=write', '--bs=1m', '--iodepth=4', `--size=${sizeBytes}`];
  const common = ['--name=fill', '--ioengine=nbd', `--uri=${uri}`, '--thread'];
  await scope.run(['fio', ...common, ...sequential, '--output-format=json']);
}
