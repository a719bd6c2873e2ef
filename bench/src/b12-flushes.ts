/** B12: whether requests after a failover stay as fast, however often the guest has flushed. */
import path from 'node:path';
import type { FlushReport, FlushSettings } from './children/flush-replica.js';
import { OURS } from './b8-guest.js';
import type { Comparison, Context } from './harness/comparison.js';
import { Collector } from './harness/result.js';
import { BenchError } from './harness/scope.js';
import { SLOW_DISK, slowHost } from './harness/slow-host.js';

const MIB = 1024 * 1024;

const FLUSH = '4 KiB write and flush';
const READ = '64 KiB read';
export const FLUSH_COUNTS: readonly number[] = [1000, 10_000, 100_000, 1_000_000];

/** What is measured after so many flushes. */
export function flushPoints(flushes: number): readonly string[] {
  return [FLUSH, READ].map((what) => `${what}, after ${flushes} flushes: median`);
}

export const B12: Comparison = {
  name: 'B12',
  title: 'Requests after many flushes',
  about:
    'A replica that has failed over. Its guest writes a random page of 64 MiB and flushes, again ' +
    'and again, and reads 64 KiB after each tenth flush, while write-back goes to a base on a ' +
    'disk with 3000 IOPS and 125 MiB/s; the journal is in memory. Figures are of the last tenth ' +
    'of the requests before each count. In one process, without NBD.',
  estimateSeconds: 120,
  async run({ scope, quick, progress }: Context) {
    const host = await slowHost(scope, SLOW_DISK);
    const settings: FlushSettings = {
      base: path.join(await scope.folder(), 'base.raw'),
      journal: path.join(await scope.folder('memory'), 'journal'),
      sizeBytes: 64 * MIB,
      reportsAt: quick ? FLUSH_COUNTS.slice(0, 2) : FLUSH_COUNTS,
    };
    const program = path.join(import.meta.dirname, 'children', 'flush-replica.js');
    const command = [process.execPath, program, JSON.stringify(settings)];
    const running = scope.start([...host.enter(), ...command]);
    const collector = new Collector();
    progress.expect(settings.reportsAt.length);
    running.child.on('message', (report: FlushReport) => {
      progress.step(`${report.flushes} flushes`);
      const add = (what: string, which: string, value: number): void => {
        const point = `${what}, after ${report.flushes} flushes: ${which}`;
        collector.add(OURS, { point, unit: 'µs', better: 'lower', value });
      };
      add(FLUSH, 'median', report.flushP50Us);
      add(FLUSH, 'p99', report.flushP99Us);
      add(READ, 'median', report.readP50Us);
      add(READ, 'p99', report.readP99Us);
    });
    await running.exited;
    const points = collector.points();
    if (points.length < 4 * settings.reportsAt.length) {
      throw new BenchError(`it ended early: ${running.stderrTail}`);
    }
    return {
      contenders: [{ name: OURS, setup: "the guest's export of a replica, called directly" }],
      baseline: undefined,
      points,
      notes: ['One run, whatever the number of rounds.'],
    };
  },
};
