/** The targets, and how far each is met. */
import { COLO_DISK, COLO_RAM, GANNET_LINKS, NATIVE, WORKLOADS } from '../b1-path.js';
import { GANNET, NBDKIT } from '../b3-server.js';
import { DIRTY_AMOUNTS, GATE, p99Point, ROUND_TRIP } from '../b4-gate.js';
import { ARRIVAL, SORTED, WHOLE } from '../b5-write-back.js';
import { IDLE, METADATA } from '../b6-memory.js';
import { ALONE, OURS, THROUGHPUT } from '../b8-guest.js';
import { isDiskBound, PAUSE, SERVICES } from '../services/b9-services.js';
import { FLUSH_COUNTS, flushPoints } from '../b12-flushes.js';
import { OUTSIDE_SETTINGS, P99 } from '../services/b9c-outside.js';
import { type Entry, entryOf, isCounted, ratioOf, type Result } from '../harness/result.js';
import { quantile } from '../harness/stats.js';

export interface Standing {
  readonly benchmark: string;
  readonly what: string;
  readonly must: string;
  readonly aim: string;
  readonly measured: string;
  readonly verdict: 'aim met' | 'met' | 'missed' | 'not measured';
}

/** The worst of what a target speaks of. */
export interface Finding {
  readonly value: number;
  readonly where: string;
}

export interface Target {
  readonly what: string;
  readonly benchmark: string;
  readonly must: number;
  readonly aim: number;
  readonly better: 'higher' | 'lower';
  readonly unit: string;
  find(result: Result): readonly Finding[];
}

const isRandom4k = (name: string): boolean => name.startsWith('4 KiB');
const is64k = (name: string): boolean => name.startsWith('64 KiB');
const any = (): boolean => true;
const linkAs = (link: string): string => `${link.replace('Gannet, ', '')} link`;
/** Its worst is shown, too, where another link is worse. */
const DEFAULT_LINK = linkAs(GANNET_LINKS[0]);

export const TARGETS: readonly Target[] = [
  path('B1', 'Gannet / native, every workload', NATIVE, any, 0.95, 0.99),
  path('B1', 'Gannet / COLO same disk, 4 KiB random', COLO_DISK, isRandom4k, 3.0, 3.5),
  path('B1', 'Gannet / COLO RAM disk, 4 KiB random', COLO_RAM, isRandom4k, 2.5, 2.8),
  path('B1', 'Gannet / COLO RAM disk, any workload', COLO_RAM, any, 1.0, 1.1),
  path('B2', 'Gannet / COLO (the better one), 4 KiB random', 'COLO', isRandom4k, 2.0, 3.0),
  path('B2', 'Gannet / COLO (the better one), 64 KiB', 'COLO', is64k, 1.25, 1.5),
  {
    ...{ benchmark: 'B3', what: 'Gannet / nbdkit memory, every point' },
    ...{ must: 0.9, aim: 1.1, better: 'higher', unit: 'x' },
    find: (result) =>
      result.points.flatMap(({ name }) => ratioAt(result, name, GANNET, NBDKIT, name)),
  },
  {
    ...{ benchmark: 'B4', what: 'gate-closed p99 beyond the QMP round trip' },
    ...{ must: 1, aim: 0.2, better: 'lower', unit: ' ms' },
    find: (result) =>
      DIRTY_AMOUNTS.flatMap((amount) => {
        const gate = entryOf(result, p99Point(amount), GATE);
        const trip = entryOf(result, p99Point(amount), ROUND_TRIP);
        if (!isCounted(gate) || !isCounted(trip)) return [];
        return [{ value: Math.max(0, gate.median - trip.median), where: amount }];
      }),
  },
  {
    ...{ benchmark: 'B5', what: 'sorted / arrival order' },
    ...{ must: 3, aim: 8, better: 'higher', unit: 'x' },
    find: (result) => ratioAt(result, WHOLE, SORTED, ARRIVAL, WHOLE),
  },
  {
    ...{ benchmark: 'B6', what: 'metadata / buffered bytes (4 KiB random)' },
    ...{ must: 2, aim: 1, better: 'lower', unit: ' %' },
    find: (result) => valuesAt(result, METADATA),
  },
  {
    ...{ benchmark: 'B6', what: 'idle RSS, 1 TiB base' },
    ...{ must: 120, aim: 80, better: 'lower', unit: ' MiB' },
    find: (result) => valuesAt(result, IDLE),
  },
  {
    ...{ benchmark: 'B8', what: 'Gannet / no protection' },
    ...{ must: 0.9, aim: 0.95, better: 'higher', unit: 'x' },
    find: (result) => ratioAt(result, THROUGHPUT, OURS, ALONE, THROUGHPUT),
  },
  {
    ...{ benchmark: 'B12', what: 'requests after 10^6 flushes / after 10^3, medians' },
    ...{ must: 1.5, aim: 1.1, better: 'lower', unit: 'x' },
    find: (result) => {
      const [first = [], last = []] = [FLUSH_COUNTS.at(0), FLUSH_COUNTS.at(-1)].map((flushes) =>
        flushPoints(flushes ?? NaN).map((point) => entryOf(result, point, OURS)),
      );
      return last.flatMap((after, at) => {
        const before = first[at];
        if (!isCounted(after) || !isCounted(before)) return [];
        return [{ value: after.median / before.median, where: at === 0 ? 'flush' : 'read' }];
      });
    },
  },
  services('B9', 'Gannet / native, each service', [NATIVE], 0.96, 0.98),
  {
    ...{ benchmark: 'B9', what: 'mean overhead' },
    ...{ must: 3, aim: 1, better: 'lower', unit: ' %' },
    find: (result) => {
      const ratios = boundServices(result).flatMap((name) =>
        ratioAt(result, name, OURS, NATIVE, name),
      );
      if (ratios.length === 0) return [];
      const mean = ratios.reduce((sum, { value }) => sum + value, 0) / ratios.length;
      return [{ value: 100 * (1 - mean), where: `${ratios.length} services` }];
    },
  },
  services('B9', 'Gannet / COLO same disk, each service', [COLO_DISK], 2.6, 3.5),
  services('B9', 'Gannet / COLO RAM disk, each service', [COLO_RAM], 1.0, 1.1),
  {
    ...{ benchmark: 'B9', what: 'pause of a checkpoint, Gannet / COLO RAM disk, each service' },
    ...{ must: 1, aim: 0.7, better: 'lower', unit: 'x' },
    find: (result) =>
      SERVICES.flatMap(({ name }) => ratioAt(result, `${name}: ${PAUSE}`, OURS, COLO_RAM, name)),
  },
  {
    ...{ benchmark: 'B9', what: 'p99 of the pauses, Gannet / COLO RAM disk, each service' },
    ...{ must: 1, aim: 0.7, better: 'lower', unit: 'x' },
    find: (result) =>
      SERVICES.flatMap(({ name }) => {
        const [ours, theirs] = [OURS, COLO_RAM].map((contender) =>
          p99Of(entryOf(result, `${name}: ${PAUSE}`, contender)),
        );
        if (ours === undefined || theirs === undefined) return [];
        return [{ value: ours / theirs, where: name }];
      }),
  },
  services('B9B', 'Gannet / the better COLO, each service', [COLO_DISK, COLO_RAM], 4, 7),
  {
    ...{ benchmark: 'B9C', what: 'Gannet / COLO RAM disk, throughput' },
    ...{ must: 1, aim: 1.2, better: 'higher', unit: 'x' },
    find: (result) =>
      OUTSIDE_SETTINGS.flatMap(({ name }) => ratioAt(result, name, OURS, COLO_RAM, name)),
  },
  {
    ...{ benchmark: 'B9C', what: 'Gannet / COLO RAM disk, p99 of the latency' },
    ...{ must: 1, aim: 0.83, better: 'lower', unit: 'x' },
    find: (result) =>
      OUTSIDE_SETTINGS.flatMap(({ name }) =>
        ratioAt(result, `${name}: ${P99}`, OURS, COLO_RAM, name),
      ),
  },
];

/** Throughput of each service; where both disks are slow, of those that wait for the disk. */
function services(
  benchmark: string,
  what: string,
  rivals: readonly string[],
  must: number,
  aim: number,
): Target {
  return {
    ...{ benchmark, what, must, aim, better: 'higher', unit: 'x' },
    find: (result) =>
      (benchmark === 'B9' ? boundServices(result) : serviceNames()).flatMap((name) =>
        rivals.flatMap((rival) => ratioAt(result, name, OURS, rival, name)),
      ),
  };
}

function p99Of(entry: Entry | undefined): number | undefined {
  if (!isCounted(entry)) return undefined;
  return quantile(
    [...entry.samples].sort((a, b) => a - b),
    0.99,
  );
}

export function serviceNames(): string[] {
  return SERVICES.map(({ name }) => name);
}

/** Those that wait for the disk. */
export function boundServices({ notes }: Result): string[] {
  return serviceNames().filter((name) => isDiskBound(notes, name));
}

/** Every link of Gannet at every workload that `isMeant`. */
function path(
  benchmark: string,
  what: string,
  rival: string,
  isMeant: (workload: string) => boolean,
  must: number,
  aim: number,
): Target {
  return {
    ...{ benchmark, what, must, aim, better: 'higher', unit: 'x' },
    find: (result) =>
      Object.keys(WORKLOADS)
        .filter(isMeant)
        .flatMap((point) =>
          GANNET_LINKS.flatMap((link) => {
            const where = `${point}, ${linkAs(link)}`;
            const rivals = rival === 'COLO' ? [COLO_DISK, COLO_RAM] : [rival];
            return rivals.flatMap((each) => ratioAt(result, point, link, each, where));
          }),
        ),
  };
}

function ratioAt(
  result: Result,
  point: string,
  contender: string,
  baseline: string,
  where: string,
): Finding[] {
  const value = ratioOf(result, point, contender, baseline);
  return value === undefined ? [] : [{ value, where }];
}

function valuesAt({ points }: Result, point: string): Finding[] {
  const entries = points.find(({ name }) => name === point)?.entries ?? [];
  return entries
    .filter(isCounted)
    .map(({ median, contender }) => ({ value: median, where: contender }));
}

export function standings(results: readonly Result[]): Standing[] {
  return TARGETS.map((target) => {
    const { benchmark, unit, must, aim, better } = target;
    const show = (value: number): string => `${Number(value.toPrecision(3))}${unit}`;
    const head = {
      benchmark,
      what: `${benchmark} ${target.what}`,
      must: show(must),
      aim: show(aim),
    };
    const result = results.find(({ name }) => name === benchmark);
    const findings = result ? target.find(result) : [];
    const isWorse = (a: Finding, b: Finding): boolean =>
      better === 'higher' ? a.value < b.value : a.value > b.value;
    const worstOf = (some: readonly Finding[]): Finding | undefined =>
      some.reduce<Finding | undefined>(
        (found, each) => (found === undefined || isWorse(each, found) ? each : found),
        undefined,
      );
    const worst = worstOf(findings);
    const usual = worstOf(findings.filter(({ where }) => where.endsWith(DEFAULT_LINK)));
    if (!worst || !result) return { ...head, measured: '', verdict: 'not measured' };
    const reaches = (goal: number): boolean =>
      better === 'higher' ? worst.value >= goal : worst.value <= goal;
    const hasFailed = hasFailures(result);
    const verdict = reaches(aim) ? 'aim met' : reaches(must) ? 'met' : 'missed';
    return {
      ...head,
      measured:
        `${show(worst.value)} (${worst.where})` +
        (usual === undefined || usual === worst ? '' : `; ${show(usual.value)} (${usual.where})`),
      // A run of ours that failed is not made good by those that went well.
      verdict: hasFailed ? 'missed' : verdict,
    };
  });
}

function hasFailures({ points }: Result): boolean {
  return points.some(({ entries }) =>
    entries.some((entry) => entry.contender.startsWith('Gannet') && !isCounted(entry)),
  );
}
