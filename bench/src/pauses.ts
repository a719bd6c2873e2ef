/**
 * For how long a guest stands still, by its own clock: `node bench/dist/pauses.js [ROUNDS]`. A
 * round is protect, five checkpoints, detach, protect again, the death of the primary, failover;
 * the next one goes on with the survivor. Checkpoints are 3 s apart, so that each has its seconds
 * of the guest's clock for itself.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabPair, type LabVm } from '@gannet/lab';
import { clockedGuest, GuestClock } from './harness/clocked-guest.js';

const PERIOD_MS = 3000;
const CHECKPOINTS = 5;

const figures = new Map<string, number[]>();

function note(what: string, ms: number): void {
  figures.set(what, [...(figures.get(what) ?? []), ms]);
  process.stderr.write(`${what}: ${ms.toFixed(1)} ms\n`);
}

async function timed(work: () => Promise<unknown>): Promise<readonly [number, number]> {
  const startMs = performance.now();
  await work();
  return [startMs, performance.now()];
}

/** Each commit alone, as it comes. */
async function measureCheckpoints(pair: LabPair, clock: GuestClock): Promise<void> {
  for (let done = 0; done < CHECKPOINTS; done++) {
    await pair.waitForCommits(pair.commits.length + 1);
    const atMs = performance.now();
    note('checkpoint', await clock.stoppedMs(atMs - 1000, atMs));
  }
}

async function round(pair: LabPair, primaryClock: GuestClock, isFirst: boolean): Promise<void> {
  await pair.startSecondary();
  if (isFirst) await pair.startPrimaryDaemon();
  const protect = (): Promise<void> => (isFirst ? pair.protect() : pair.reprotect());
  const attached = await timed(protect);
  note(isFirst ? 'protect' : 'reprotect', await primaryClock.stoppedMs(...attached));
  await measureCheckpoints(pair, primaryClock);
  await pair.waitForCommits(pair.commits.length + 1);
  await sleep(1300);
  const detached = await timed(() => pair.primaryDaemon.client.call('detach'));
  note('detach', await primaryClock.stoppedMs(...detached));
  await pair.replaceSecondary();
  const again = await timed(() => pair.reprotect());
  note('reprotect', await primaryClock.stoppedMs(...again));
  const clock = clockOf(pair.secondary);
  await pair.waitForCommits(pair.commits.length + 1);
  await sleep(1300);
  const failover = await timed(async () => {
    await pair.primary.kill('SIGKILL');
    await pair.failOver();
  });
  note('failover', await clock.stoppedMs(...failover));
  clock.close();
}

const clockOf = (vm: LabVm): GuestClock => new GuestClock(vm.consoleLogPath);

function print(): void {
  const rows = [...figures].map(([what, all]) => {
    const sorted = [...all].sort((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
    const cells = [sorted[0] ?? 0, middle, sorted.at(-1) ?? 0].map((ms) => ms.toFixed(0));
    return `| ${[what, String(all.length), ...cells].join(' | ')} |`;
  });
  const head = '| step | times | least ms | median ms | most ms |\n| --- | --- | --- | --- | --- |';
  process.stdout.write(`${[head, ...rows].join('\n')}\n`);
}

const rounds = Number(process.argv[2] ?? 4);
const dir = await mkdtemp(path.join(tmpdir(), 'gannet-pauses-'));
const pair = await LabPair.create({ guest: await clockedGuest(dir), periodMs: PERIOD_MS });
try {
  await pair.bootPrimary();
  for (let done = 0; done < rounds; done++) {
    if (done > 0) await pair.advance();
    const clock = clockOf(pair.primary);
    await sleep(5000);
    await round(pair, clock, done === 0);
    clock.close();
  }
  print();
} finally {
  await pair.dispose();
  await rm(dir, { recursive: true, force: true });
}
