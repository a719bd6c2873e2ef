// How long a guest runs on after a write to its own disk has failed, and what it reads in that
// time. Each trial is a real pair whose primary's disk runs full while it is protected.
//
//   node test/faults/dist/own-disk/window.js [--trials N] [--link LINK] [--trace]
//
// The time is that between QEMU's QUORUM_REPORT_BAD and its STOP, by QEMU's clock. With --trace,
// strace counts the reads that the disk answered with old data; it slows the disk down.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findGuest, LabPair, SmallDisk } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';
import { parseDiskCalls, staleReads } from './disk-calls.js';

const { untilSo } = waiting({ patienceMs: 60_000 });
/** For strace to attach, for requests under way at the stop, and for a checkpoint. */
const SETTLE_MS = 500;
const CALLS = 'trace=pread64,preadv,pwrite64,pwritev';

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '20' },
    link: { type: 'string', default: 'replication' },
    trace: { type: 'boolean', default: false },
  },
});
const trials = Number(values.trials);
if (!(trials > 0)) {
  console.error('usage: window.js [--trials N] [--link LINK] [--trace]');
  process.exit(2);
}

interface Trial {
  readonly runsOnMs: number;
  /** Commits that began and ended in that time. */
  readonly commits: number;
  /** Only with --trace. */
  readonly reads?: number;
  readonly stale?: number;
}

async function trial(): Promise<Trial> {
  const small = await SmallDisk.mount('96m');
  let pair: LabPair | undefined;
  try {
    pair = await LabPair.create({
      ...{ guest: await findGuest(), link: values.link, periodMs: 500, localDir: small.dir },
      secondary: { failover: 'manual' },
    });
    await pair.startProtected(3);
    return await measure(pair, small);
  } finally {
    await pair?.dispose();
    await small.remove();
  }
}

async function measure(pair: LabPair, small: SmallDisk): Promise<Trial> {
  const { pid, qmpPaths } = pair.primary;
  const file = path.join(tmpdir(), `gannet-window-${pid}.strace`);
  const strace = values.trace ? await traced(pid, file) : undefined;
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: qmpPaths[0] } });
  try {
    let failedMs = 0;
    let stoppedMs = 0;
    let commits = 0;
    qmp.onEvent('QUORUM_REPORT_BAD', ({ timestamp }) => (failedMs ||= inMs(timestamp)));
    qmp.onEvent('STOP', ({ timestamp }) => (stoppedMs = inMs(timestamp)));
    qmp.onEvent('RESUME', () => failedMs > 0 && commits++);
    await small.fillUp();
    await untilSo('the daemon to yield', () => {
      return pair.primaryDaemon.eventsOf('yielding').length > 0;
    });
    // Longer than a checkpoint: one that ends would continue the guest.
    let isStill = false;
    await untilSo('the guest to stand still', async () => {
      const wasStill = isStill;
      isStill = !(await qmp.execute('query-status')).running;
      await sleep(SETTLE_MS);
      return wasStill && isStill;
    });
    if (failedMs === 0) throw new Error('QEMU reported no error');
    // A checkpoint may have stopped it before: one that was never completed.
    const runsOnMs = Math.max(0, stoppedMs - failedMs);
    if (!strace) return { runsOnMs, commits };
    const fds = await descriptorsIn(pid, small.dir);
    await end(strace);
    const calls = parseDiskCalls(await readFile(file, 'utf8')).filter(({ fd }) => fds.has(fd));
    const firstMs = calls.find(({ kind, failed }) => kind === 'write' && failed)?.endedMs;
    if (firstMs === undefined) throw new Error('strace saw no write that failed');
    const reads = calls.filter(({ kind, beganMs }) => kind === 'read' && beganMs >= firstMs);
    return { runsOnMs, commits, reads: reads.length, stale: staleReads(calls).length };
  } finally {
    if (strace) await end(strace);
    await rm(file, { force: true });
    await qmp.close();
  }
}

function inMs({ seconds, microseconds }: { seconds: number; microseconds: number }): number {
  return seconds * 1000 + microseconds / 1000;
}

async function traced(pid: number, file: string): Promise<ChildProcess> {
  const args = ['-f', '-ttt', '-s', '0', '-e', CALLS, '-o', file, '-p', String(pid)];
  const strace = spawn('strace', args, { stdio: 'ignore' });
  await once(strace, 'spawn');
  await sleep(SETTLE_MS);
  return strace;
}

async function end(strace: ChildProcess): Promise<void> {
  if (strace.exitCode !== null || strace.signalCode !== null) return;
  const closed = once(strace, 'close');
  strace.kill('SIGINT');
  await closed;
}

/** Descriptors of a process for files on the file system of `dir`. */
async function descriptorsIn(pid: number, dir: string): Promise<Set<number>> {
  const { dev } = await stat(dir);
  const folder = `/proc/${pid}/fd`;
  const found = (await readdir(folder)).map(async (fd) => {
    const there = await stat(path.join(folder, fd)).catch(() => undefined);
    return there?.dev === dev ? [Number(fd)] : [];
  });
  return new Set((await Promise.all(found)).flat());
}

const done: Trial[] = [];
for (let number = 1; number <= trials; number++) {
  const one = await trial();
  done.push(one);
  const { runsOnMs, commits, reads, stale } = one;
  const read = reads === undefined ? '' : `, ${reads} reads, ${stale} of what is old`;
  console.log(`${number}: ${runsOnMs.toFixed(1)} ms, ${commits} checkpoints${read}`);
}
const times = done.map(({ runsOnMs }) => runsOnMs).sort((a, b) => a - b);
const at = (share: number): string => (times[Math.ceil(share * times.length) - 1] ?? 0).toFixed(1);
const checkpoints = done.filter(({ commits }) => commits > 0).length;
console.log(`link ${values.link}, ${trials} trials`);
console.log(`the guest ran on for ${at(0.5)} ms (median), ${at(0.9)} (p90), ${at(1)} (longest)`);
console.log(`a checkpoint was made in that time in ${checkpoints}`);
if (values.trace) {
  const stale = done.filter((one) => (one.stale ?? 0) > 0).length;
  console.log(`the disk answered a read with old data in ${stale}`);
}
