/** B11: how long a checkpoint pauses the primary's guest, and what it sends, beside COLO's. */
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { findGuest, LabPair, VsmrPair } from '@gannet/lab';
import {
  type Comparison,
  type Contender,
  type Reading,
  takeTurns,
  type Trial,
} from '../harness/comparison.js';
import { PauseWatch } from '../harness/pause-watch.js';
import { BenchError, type Scope } from '../harness/scope.js';
import { quantile } from '../harness/stats.js';
import { ByteCounter } from './byte-counter.js';

const PERIOD_MS = 300;
const CHECKPOINTS = 20;
const QUICK_CHECKPOINTS = 3;
/** After the first one, which copies what is left of RAM. */
const WARM_UP = 3;
/** An idle guest's oracles make ten requests a second each. */
const LOADS = { idle: 100_000, busy: 0 };

export const COLO = 'COLO';
export const VSMR = 'Gannet, engine vsmr';

interface Guest {
  readonly memoryMb: number;
  readonly thinkUs: number;
  readonly checkpoints: number;
}

/** What some checkpoints did. */
interface Made {
  readonly pausesMs: readonly number[];
  /** Per checkpoint. */
  readonly bytes: number;
}

/** `isCounting`: bytes are wanted. Then pauses may not be counted. */
type Measure = (scope: Scope, guest: Guest, isCounting: boolean) => Promise<Made>;

export const B11 = comparison('B11', 128, 300);
export const B11B = comparison('B11B', 1024, 600);

function comparison(name: string, memoryMb: number, estimateSeconds: number): Comparison {
  return {
    name,
    title: `Checkpoints with and without COLO, ${memoryMb} MiB`,
    isOnRequest: true,
    about:
      "The end-to-end tests' guest under TCG, both hosts on this machine, over unix sockets. " +
      'From STOP to RESUME by the clock of the primary’s QEMU, over ' +
      `${CHECKPOINTS} checkpoints ${PERIOD_MS} ms apart, so that p99 is about the longest. Busy: ` +
      'four oracles write, read and flush a disk without pause; idle: ten a second. ' +
      'Bytes are what both directions carry between the hosts for RAM and devices, without ' +
      'disks. The disks of the pair without COLO are in memory, those of COLO on a disk.',
    estimateSeconds,
    async run(context) {
      const contenders: Contender<Measure>[] = [
        {
          name: COLO,
          setup:
            '`gannet protect`: QEMU makes the checkpoints; bytes counted by a proxy, in runs apart',
          subject: colo,
        },
        {
          name: VSMR,
          setup: 'the engines of `packages/vsmr` in one process; no soft-dirty bits on this kernel',
          subject: vsmr,
        },
      ];
      const checkpoints = context.quick ? QUICK_CHECKPOINTS : CHECKPOINTS;
      const guests = Object.entries(LOADS).map(([name, thinkUs]) => {
        return { name, guest: { memoryMb, thinkUs, checkpoints } };
      });
      const trials = guests.flatMap(({ name, guest }): Trial<Measure>[] => {
        const better = 'lower' as const;
        const head = { point: name, unit: 'ms', better };
        return [
          {
            ...head,
            measure: async (measure) => {
              const { pausesMs } = await measure(context.scope, guest, false);
              const sorted = [...pausesMs].sort((a, b) => a - b);
              const reading = (what: string, share: number): Reading => {
                return { ...head, point: `${name}, ${what}`, value: quantile(sorted, share) };
              };
              return [reading('median', 0.5), reading('p99', 0.99)];
            },
          },
          {
            ...{ point: `${name}, sent`, unit: 'KiB', better },
            measure: async (measure) => {
              return (await measure(context.scope, guest, true)).bytes / 1024;
            },
          },
        ];
      });
      const load = `Load average when it began: ${(loadavg()[0] ?? 0).toFixed(1)}.`;
      const points = await takeTurns(context, contenders, trials, 0);
      return { contenders, baseline: COLO, points, notes: [load] };
    },
  };
}

async function vsmr(scope: Scope, { memoryMb, thinkUs, checkpoints }: Guest): Promise<Made> {
  const pair = await VsmrPair.create({ memoryMb, thinkUs });
  scope.defer(() => pair.dispose());
  const { primary } = pair.engines;
  await pair.protect();
  const make = async (count: number): Promise<void> => {
    for (let made = 0; made < count; made++) {
      await sleep(PERIOD_MS);
      await primary.checkpoint();
    }
  };
  await make(WARM_UP);
  await using watch = await PauseWatch.start(pair.primary.vm.qmpPaths[0]);
  const before = pair.sentBytes;
  await make(checkpoints);
  const bytes = (pair.sentBytes - before) / checkpoints;
  const pausesMs = watch.taken(checkpoints);
  await pair.dispose();
  return { pausesMs, bytes };
}

async function colo(
  scope: Scope,
  { memoryMb, thinkUs, checkpoints }: Guest,
  isCounting: boolean,
): Promise<Made> {
  const pair = await LabPair.create({
    ...{ guest: await findGuest(), thinkUs, periodMs: PERIOD_MS },
    machine: { extraArgs: ['-m', String(memoryMb)] },
  });
  scope.defer(() => pair.dispose());
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  const counter = isCounting ? await ByteCounter.between(incomingOf(pair)) : undefined;
  scope.defer(() => Promise.resolve(counter?.close()));
  await pair.protect();
  await pair.waitForCommits(pair.commits.length + WARM_UP);
  await using watch = await PauseWatch.start(pair.primary.qmpPaths[0]);
  const [bytes, commits] = [counter?.bytes ?? 0, pair.commits.length];
  await pair.waitForCommits(commits + checkpoints);
  const made = pair.commits.length - commits;
  const pausesMs = watch.taken(checkpoints);
  const sent = ((counter?.bytes ?? 0) - bytes) / made;
  await pair.dispose();
  counter?.close();
  return { pausesMs, bytes: sent };
}

/** The socket at which the secondary's QEMU takes RAM and devices. */
function incomingOf(pair: LabPair): string {
  const { primary } = pair.configOf('primary') as { primary?: { migrate?: string } };
  const socket = primary?.migrate?.replace(/^unix:/, '');
  if (socket === undefined) throw new BenchError('the migration goes nowhere');
  return socket;
}
