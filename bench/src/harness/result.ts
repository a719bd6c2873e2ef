/** The result of a benchmark: bench/results/<name>.json. */
import type { HostFacts } from './host.js';
import { summarize, type Summary } from './stats.js';

export interface Entry extends Summary {
  readonly contender: string;
  readonly samples: readonly number[];
  /** Runs that failed, stalled or lost something, and why. They are not counted. */
  readonly failures: readonly string[];
}

export interface Point {
  readonly name: string;
  /** `IOPS`, `MiB/s`, `ms`… */
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly entries: readonly Entry[];
}

export interface Result {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly measuredAt: string;
  readonly rounds: number;
  /** A smoke test: too short to say anything about speed. */
  readonly quick: boolean;
  readonly host: HostFacts;
  /** How each contender is set up. */
  readonly contenders: readonly { readonly name: string; readonly setup: string }[];
  /** Whose figure is 1 in the ratios. */
  readonly baseline: string | undefined;
  readonly points: readonly Point[];
  readonly notes: readonly string[];
}

/** Collects samples, round by round. */
export class Collector {
  readonly #points = new Map<
    string,
    { unit: string; better: Point['better']; series: Map<string, Series> }
  >();

  add(contender: string, reading: PointHead & { readonly value: number }): void {
    this.#seriesOf(contender, reading).samples.push(reading.value);
  }

  fail(contender: string, point: PointHead, why: string): void {
    this.#seriesOf(contender, point).failures.push(why);
  }

  points(): Point[] {
    return [...this.#points].map(([name, { unit, better, series }]) => ({
      name,
      unit,
      better,
      entries: [...series].map(([contender, { samples, failures }]) => ({
        contender,
        ...rounded(summarize(samples)),
        samples: samples.map(significant),
        failures,
      })),
    }));
  }

  #seriesOf(contender: string, { point, unit, better }: PointHead): Series {
    let found = this.#points.get(point);
    if (!found) {
      found = { unit, better, series: new Map() };
      this.#points.set(point, found);
    }
    let series = found.series.get(contender);
    if (!series) {
      series = { samples: [], failures: [] };
      found.series.set(contender, series);
    }
    return series;
  }
}

interface PointHead extends Pick<Point, 'unit' | 'better'> {
  readonly point: string;
}

interface Series {
  readonly samples: number[];
  readonly failures: string[];
}

/** Five digits are more than these figures are worth. */
function significant(value: number): number {
  return Number(value.toPrecision(5));
}

function rounded({ median, min, max, count }: Summary): Summary {
  return { median: significant(median), min: significant(min), max: significant(max), count };
}

export function entryOf(result: Result, point: string, contender: string): Entry | undefined {
  return result.points
    .find(({ name }) => name === point)
    ?.entries.find((entry) => entry.contender === contender);
}

/**
 * How many times the baseline's median the contender's is; undefined where either was not counted.
 */
export function ratioOf(
  result: Result,
  point: string,
  contender: string,
  baseline: string,
): number | undefined {
  const [one, other] = [entryOf(result, point, contender), entryOf(result, point, baseline)];
  if (!isCounted(one) || !isCounted(other)) return undefined;
  return one.median / other.median;
}

/** One failed run spoils an entry: its median would be of the runs that went well. */
export function isCounted(entry: Entry | undefined): entry is Entry {
  return entry !== undefined && entry.count > 0 && entry.failures.length === 0;
}
