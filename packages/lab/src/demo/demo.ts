import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonEvent, describeEvent, EXIT, formatMs, GannetError } from '@gannet/contract';
import { formatTable, ProgressBar } from 'gannet/terminal';
import { findGuest } from '../guest/guest.js';
import { LabPair } from '../pair.js';
import { judge, type DemoResult } from './verdict.js';

/** Options of the demonstration. */
export interface DemoOptions {
  readonly json: boolean;
  readonly checkpoints: number;
  readonly period: number;
  readonly disks: number;
  /** Default: that of the engine. */
  readonly link?: string;
  readonly engine: 'colo' | 'vsmr';
  /** Kills at the same moment as the run that printed this seed. */
  readonly seed?: number;
}

const DISK_MB = 256;
const FILL_MB = 128;
const LOAD_AFTER_FAILOVER_MS = 5000;
/** Labels of the stages that count bytes. */
const BARS: Readonly<Record<string, string>> = {
  seed: '   copying',
  colo: '   memory ',
  vsmr: '   memory ',
};
/** How long to wait for the steps of an interrupted demonstration to end, in ms. */
const DISMANTLE_MS = 5000;

/**
 * Protects a real VM, kills it at a random moment, and shows that the other one continues with a
 * disk that matches its memory.
 *
 * @returns the exit code: 0 only if the verdict holds
 * @throws GannetError GANNET_INTERRUPTED by a signal
 * @throws LabError without a guest
 * @throws any error of a step
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const interrupted = new AbortController();
  const { signal } = interrupted;
  // Once it is interrupted, what is being stopped has nothing to tell.
  const say = (text: string): void => {
    if (!options.json && !signal.aborted) process.stdout.write(`${text}\n`);
  };
  const interrupt = (): void => {
    say('   interrupted: its processes are being stopped');
    interrupted.abort(
      new GannetError(
        'GANNET_INTERRUPTED',
        'interrupted',
        'All its processes and files have been removed.',
      ),
    );
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, interrupt);
  let pair: LabPair | undefined;
  let showing: Promise<unknown> = Promise.resolve();
  try {
    const guest = await findGuest();
    pair = await LabPair.create({
      guest,
      disks: options.disks,
      diskMb: DISK_MB,
      fillMb: FILL_MB,
      ...(options.link === undefined ? {} : { link: options.link }),
      engine: options.engine === 'vsmr' ? 'vsmr' : undefined,
      periodMs: options.period,
      onEvent: (event) => tell(event, say),
    });
    signal.throwIfAborted();
    const shown = show(pair, options, say, signal);
    showing = shown;
    const result = await Promise.race([shown, abortOf(signal)]);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else say(summary(result));
    return result.faults.length === 0 ? EXIT.done : EXIT.failed;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, interrupt);
    if (pair) await dismantle(pair, showing);
  }
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/**
 * Disposes again and again: a step that was running when the interruption came may still start
 * something.
 */
async function dismantle(pair: LabPair, showing: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = showing
    .catch(() => undefined)
    .then(() => {
      isOver = true;
    });
  const deadline = performance.now() + DISMANTLE_MS;
  const isUnderWay = (): boolean => !isOver && performance.now() < deadline;
  do {
    await pair.dispose();
    await Promise.race([over, sleep(50)]);
  } while (isUnderWay());
  await pair.dispose();
}

async function show(
  pair: LabPair,
  options: DemoOptions,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<DemoResult> {
  say('1. Boot a VM. Programs in it write to its disk and remember what they wrote.');
  await pair.bootPrimary();
  say(
    `   running: ${pair.regionCount} writers (4 KiB, 512 bytes, unaligned, zeroes) ` +
      `on ${options.disks === 1 ? 'one disk' : `${options.disks} disks`}`,
  );

  const start = options.engine === 'colo' ? 'start COLO' : 'start checkpoints without COLO';
  say(`2. Protect it while it runs: copy its disk, then ${start}.`);
  signal.throwIfAborted();
  await pair.startSecondary();
  signal.throwIfAborted();
  await pair.startPrimaryDaemon();
  signal.throwIfAborted();
  const screen = options.json ? { write: () => undefined } : process.stdout;
  let bar = new ProgressBar('', screen);
  let shown: string | undefined;
  await pair.protect((value) => {
    const report = value as { stage: string; doneBytes?: number; totalBytes?: number };
    const { stage, doneBytes, totalBytes } = report;
    if (stage !== shown) {
      bar.end();
      bar = new ProgressBar(BARS[stage] ?? '', screen);
      shown = stage;
    }
    if (signal.aborted || doneBytes === undefined || totalBytes === undefined) return;
    bar.update(doneBytes, totalBytes);
  });
  bar.end();

  say(`3. Two VMs now run the same programs. ${options.checkpoints} checkpoints:`);
  signal.throwIfAborted();
  await pair.waitForCommits(options.checkpoints);
  const seed = options.seed ?? randomInt(1, 1_000_000);
  const waitMs = seed % options.period;
  await sleep(waitMs, undefined, { signal });

  const before = pair.primary.oracle.writes;
  say(`4. Kill the primary ${waitMs} ms later (--seed ${seed} repeats this moment).`);
  const killedAt = Date.now();
  await pair.primary.kill('SIGKILL');
  const primaryClean = pair.primary.oracle.clean;
  const report = await pair.failOver();
  const firstWrite = pair.secondaryDaemon.eventsOf('first-write')[0];
  const failover = pair.secondaryDaemon.eventsOf('failover')[0];

  say(
    `5. The secondary continues on its local disk, for another ${LOAD_AFTER_FAILOVER_MS / 1000} s.`,
  );
  const atFailover = pair.secondary.oracle.writes;
  await sleep(LOAD_AFTER_FAILOVER_MS, undefined, { signal });
  const after = pair.secondary.oracle.writes;

  say('6. Compare its disk with its memory, sector by sector.');
  const comparison = await pair.compare();
  const gateClosedMs = pair.commits.map((event) => event.gateClosedMs);
  const measured = {
    seed,
    checkpoints: pair.commits.length,
    gateClosedMs: { median: quantile(gateClosedMs, 0.5), p99: quantile(gateClosedMs, 0.99) },
    killToResumeMs: msBetween(killedAt, failover),
    killToFirstWriteMs: msBetween(killedAt, firstWrite),
    failover: report,
    guestWrites: { primaryAtKill: before, secondaryAtFailover: atFailover, secondaryAtEnd: after },
    mismatches: pair.primary.oracle.mismatches.length + pair.secondary.oracle.mismatches.length,
    ioErrors: pair.primary.oracle.errors.length + pair.secondary.oracle.errors.length,
    primaryClean,
    secondaryClean: comparison.isClean,
    regions: comparison.digests.length,
    regionsEqual: comparison.digests.filter(({ equal }) => equal).length,
  };
  return { ...measured, faults: judge(measured, options.checkpoints) };
}

function tell(event: DaemonEvent, say: (text: string) => void): void {
  switch (event.kind) {
    case 'stage-done':
      say(`   ${event.role}: ${event.stage} done`);
      break;
    case 'commit':
      say(
        `   epoch ${event.epoch}: ${event.committedPages} pages committed, ` +
          `${event.droppedPages} of the secondary dropped, ` +
          `gate closed ${formatMs(event.gateClosedMs)}`,
      );
      break;
    case 'link-lost':
    case 'colo-exit':
    case 'doubt':
    case 'diverged':
    case 'trouble':
    case 'failover-durable':
    case 'first-write':
    case 'moved-to-local':
      say(`   ${event.role}: ${describeEvent(event).text}`);
      break;
    case 'failover':
      say(
        `   secondary: has taken over: ${event.droppedPages} pages of the primary's ` +
          `last epoch dropped, ${event.committedPages} of its own kept, ` +
          `gate closed ${formatMs(event.gateClosedMs)}`,
      );
      break;
  }
}

function summary(result: DemoResult): string {
  const { gateClosedMs, guestWrites, failover, faults } = result;
  const table = formatTable([
    ['checkpoints', `${result.checkpoints}`],
    [
      'gate closed',
      `${gateClosedMs.median.toFixed(2)} ms median, ${gateClosedMs.p99.toFixed(2)} ms p99`,
    ],
    ['kill to resume', `${result.killToResumeMs} ms`],
    ['kill to first completed write', `${result.killToFirstWriteMs} ms`],
    [
      'failover durable, on local disk',
      `${failover.durableMs} ms, ${failover.movedMs} ms after the call`,
    ],
    ["guest's writes at the kill", `${guestWrites.primaryAtKill} (primary)`],
    [
      "guest's writes, then 5 s later",
      `${guestWrites.secondaryAtFailover}, ${guestWrites.secondaryAtEnd} (secondary)`,
    ],
    ['mismatches, I/O errors', `${result.mismatches}, ${result.ioErrors}`],
    ['regions equal on disk and in memory', `${result.regionsEqual} of ${result.regions}`],
  ]);
  const verdict =
    faults.length === 0
      ? 'PASSED: the primary was killed, the secondary continued, and its disk matches its memory.'
      : `FAILED: ${faults.join('; ')}.`;
  return `\n${table}\n${verdict}`;
}

function msBetween(startMs: number, event: DaemonEvent | undefined): number {
  return event ? Date.parse(event.at) - startMs : NaN;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
