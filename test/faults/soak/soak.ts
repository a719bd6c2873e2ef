// make soak: two pairs for an hour. One, the veteran, is left alone: what its daemons hold may not
// grow. The other is hurt about once a minute and protected again: nothing may be lost.
//
//   node test/faults/dist/soak/soak.js [--minutes N] [--seed N] [--json FILE]

import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findGuest, type LabPair } from '@gannet/lab';
import { chance } from '../chance.js';
import { type Footprint, footprintOf, Series } from './footprint.js';
import type { Holding, SoakSummary } from './soak-summary.js';
import { EVENTS, type SoakCounts, type SoakEvent, SoakPair } from './soak-pair.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const SAMPLE_MS = 5_000;
/** From one blow to the next: between these. */
const REST_MS = [25_000, 50_000] as const;
/** Microseconds between two requests of each of a guest's four oracles. */
const THINK_US = { hurt: 1_000, veteran: 5_000 };
/** Of the time: what is needed until a process has what it needs. */
const WARM_UP = 0.2;
/** The veteran's daemons at the end, beside themselves after the warm-up. */
const GROWTH_MAX = { rssRatio: 1.25, rssMib: 8, descriptors: 4 };

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: process.env['SOAK_MINUTES'] ?? '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string' },
  },
});
const durationMs = Number(values.minutes) * MINUTE_MS;
const seed = Number(values.seed);
if (!(durationMs > 0) || !Number.isInteger(seed)) {
  console.error('usage: soak.js [--minutes N] [--seed N] [--json FILE]');
  process.exit(2);
}

const startMs = performance.now();
const sinceMs = (): number => performance.now() - startMs;
const isOver = (): boolean => sinceMs() >= durationMs;

const faults: string[] = [];
const blows = new Map<SoakEvent, number>();
const zero: SoakCounts = {
  ...{ commits: 0, kills: 0, failovers: 0, reprotects: 0, regionsCompared: 0, guestWrites: 0 },
};
/** Of pairs that had to be given up. */
let past = zero;

function sum(one: SoakCounts, other: SoakCounts): SoakCounts {
  const entries = Object.entries(one) as [keyof SoakCounts, number][];
  return Object.fromEntries(
    entries.map(([key, value]) => [key, value + other[key]]),
  ) as unknown as SoakCounts;
}

/** What the processes of a pair hold, over time. */
class Ledger {
  readonly series = new Map<string, { rssMib: Series; descriptors: Series }>();

  async sample(pair: LabPair): Promise<void> {
    const { primary, secondary, primaryDaemon, secondaryDaemon } = pair;
    await this.#add('primary daemon', await footprintOf(primaryDaemon.pid));
    await this.#add('secondary daemon', await footprintOf(secondaryDaemon.pid));
    await this.#add('primary QEMU', await footprintOf(primary.pid));
    await this.#add('secondary QEMU', await footprintOf(secondary.pid));
  }

  trends(): Record<string, Holding> {
    const fromHours = (WARM_UP * sinceMs()) / HOUR_MS;
    return Object.fromEntries(
      [...this.series].map(([name, { rssMib, descriptors }]) => [
        name,
        { rssMib: rssMib.trend(fromHours), descriptors: descriptors.trend(fromHours) },
      ]),
    );
  }

  /** @returns what has grown beyond its bound */
  growth(names: readonly string[]): string[] {
    return names.flatMap((name) => {
      const held = this.series.get(name);
      if (!held) return [`nothing is known of the ${name}`];
      const [early, late] = [WARM_UP, 1 - WARM_UP].map((from) => ({
        rssMib: held.rssMib.mean(from, from + WARM_UP),
        descriptors: held.descriptors.mean(from, from + WARM_UP),
      }));
      if (!early || !late) return [];
      const said: string[] = [];
      const rssMax = early.rssMib * GROWTH_MAX.rssRatio + GROWTH_MAX.rssMib;
      if (!(late.rssMib <= rssMax)) {
        said.push(`${name}: ${late.rssMib.toFixed(1)} MiB, was ${early.rssMib.toFixed(1)}`);
      }
      if (!(late.descriptors <= early.descriptors + GROWTH_MAX.descriptors)) {
        said.push(`${name}: ${late.descriptors} descriptors, were ${early.descriptors}`);
      }
      return said;
    });
  }

  async #add(name: string, footprint: Footprint | undefined): Promise<void> {
    if (!footprint) return;
    const held = this.series.get(name) ?? { rssMib: new Series(), descriptors: new Series() };
    this.series.set(name, held);
    const hours = sinceMs() / HOUR_MS;
    held.rssMib.add(hours, footprint.rssMib);
    held.descriptors.add(hours, footprint.descriptors);
    await Promise.resolve();
  }
}

/** Every kind of blow comes in its turn, the failover more often. */
const TURNS: readonly SoakEvent[] = [EVENTS[0], EVENTS[1], EVENTS[0], EVENTS[2], EVENTS[3]];

function nextBlow(number: number): SoakEvent {
  return TURNS[(number - 1) % TURNS.length] ?? EVENTS[0];
}

function logsOf(pair: LabPair | undefined): string {
  const tail = (text: string | undefined): string => (text ?? '').slice(-2000);
  return `${tail(pair?.primaryDaemon.logTail)}\n--\n${tail(pair?.secondaryDaemon.logTail)}`;
}

let hurt: SoakPair | undefined;
const hurtLedger = new Ledger();

async function hurtOnce(number: number): Promise<void> {
  hurt ??= await SoakPair.start(await findGuest(), THINK_US.hurt);
  const restMs = REST_MS[0] + chance(seed, `rest ${number}`) * (REST_MS[1] - REST_MS[0]);
  for (const begunMs = performance.now(); performance.now() - begunMs < restMs && !isOver();) {
    await sleep(SAMPLE_MS);
    hurt.expectClean();
    await hurtLedger.sample(hurt.pair);
  }
  const blow = nextBlow(number);
  await hurt.suffer(blow);
  blows.set(blow, (blows.get(blow) ?? 0) + 1);
}

async function runHurt(): Promise<void> {
  for (let number = 1; !isOver(); number++) {
    try {
      await hurtOnce(number);
    } catch (error) {
      const what = `blow ${number} (${nextBlow(number)}): ${String(error)}`;
      console.error(`${what}\n${logsOf(hurt?.pair)}`);
      faults.push(what);
      if (hurt) past = sum(past, hurt.counts);
      await hurt?.dispose();
      hurt = undefined;
    }
  }
}

let veteran: SoakPair | undefined;
const veteranLedger = new Ledger();

async function runVeteran(): Promise<void> {
  try {
    veteran = await SoakPair.start(await findGuest(), THINK_US.veteran);
    while (!isOver()) {
      await sleep(SAMPLE_MS);
      veteran.expectClean();
      await veteranLedger.sample(veteran.pair);
    }
    await veteran.takeOver();
  } catch (error) {
    console.error(`the veteran: ${String(error)}\n${logsOf(veteran?.pair)}`);
    faults.push(`the veteran: ${String(error)}`);
  }
}

function countsNow(): SoakCounts {
  return [hurt, veteran].reduce((total, pair) => (pair ? sum(total, pair.counts) : total), past);
}

async function sayEachMinute(): Promise<void> {
  for (let minute = 1; !isOver(); minute++) {
    await sleep(Math.max(0, Math.min(minute * MINUTE_MS, durationMs) - sinceMs()));
    const held = await footprintOf(veteran?.pair.secondaryDaemon.pid);
    const { commits, kills, failovers, reprotects, regionsCompared } = countsNow();
    console.log(
      `${new Date().toISOString()} minute ${minute}: ` +
        `${commits} commits, ${kills} kills, ${failovers} failovers, ${reprotects} reprotects, ` +
        `${regionsCompared} regions equal, ${faults.length} faults; ` +
        `replicator of the veteran ${held?.rssMib.toFixed(0) ?? '?'} MiB, ` +
        `${held?.descriptors ?? '?'} descriptors`,
    );
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void Promise.all([hurt?.dispose(), veteran?.dispose()]).finally(() => process.exit(130));
  });
}

console.log(`soak: ${values.minutes} minutes, seed ${seed}`);
await Promise.all([runHurt(), runVeteran(), sayEachMinute()]);
const daemons = ['primary daemon', 'secondary daemon'];
faults.push(...veteranLedger.growth(daemons).map((growth) => `growth: ${growth}`));

const counts = countsNow();
const summary: SoakSummary = {
  date: new Date().toISOString().slice(0, 10),
  seed,
  minutes: Math.round((sinceMs() / MINUTE_MS) * 10) / 10,
  ...counts,
  blows: Object.fromEntries(blows),
  faults,
  veteran: veteranLedger.trends(),
  hurt: hurtLedger.trends(),
};
await Promise.all([hurt?.dispose(), veteran?.dispose()]);
if (values.json !== undefined) {
  await writeFile(values.json, `${JSON.stringify(summary, undefined, 2)}\n`);
}
console.log(JSON.stringify(summary));
console.table({ minutes: summary.minutes, ...counts, faults: faults.length });
console.table(Object.fromEntries(blows));
for (const [whose, ledger] of Object.entries({ veteran: veteranLedger, hurt: hurtLedger })) {
  for (const key of ['rssMib', 'descriptors'] as const) {
    console.log(`${whose}: ${key} after the warm-up`);
    const fromHours = (WARM_UP * sinceMs()) / HOUR_MS;
    console.table(
      Object.fromEntries([...ledger.series].map(([name, of]) => [name, of[key].trend(fromHours)])),
    );
  }
}
process.exitCode = faults.length > 0 ? 1 : 0;
