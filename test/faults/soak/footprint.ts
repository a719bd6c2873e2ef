import { readdir, readFile } from 'node:fs/promises';

/** What a process holds. */
export interface Footprint {
  readonly rssMib: number;
  readonly descriptors: number;
}

/** @returns undefined when the process has gone */
export async function footprintOf(pid: number | undefined): Promise<Footprint | undefined> {
  try {
    const descriptors = (await readdir(`/proc/${pid}/fd`)).length;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const kib = /VmRSS:\s+(\d+) kB/.exec(status)?.[1];
    return kib === undefined ? undefined : { rssMib: Number(kib) / 1024, descriptors };
  } catch {
    return undefined;
  }
}

export interface Trend {
  readonly samples: number;
  readonly first: number;
  readonly last: number;
  readonly max: number;
  /** Slope of the straight line through all samples (least squares). */
  readonly perHour: number;
}

/** Values over time, and the straight line through them. */
export class Series {
  readonly #points: { readonly hours: number; readonly value: number }[] = [];

  add(hours: number, value: number): void {
    this.#points.push({ hours, value });
  }

  /** Of what was added after `fromHours`. */
  trend(fromHours = 0): Trend {
    const points = this.#points.filter(({ hours }) => hours >= fromHours);
    const values = points.map(({ value }) => value);
    return {
      samples: points.length,
      first: values[0] ?? NaN,
      last: values.at(-1) ?? NaN,
      max: Math.max(...values),
      perHour: slopeOf(points),
    };
  }

  /** Mean of the part of the time between two fractions of it. */
  mean(from: number, to: number): number {
    const end = this.#points.at(-1)?.hours ?? 0;
    const part = this.#points.filter(({ hours }) => hours >= from * end && hours <= to * end);
    return part.reduce((sum, { value }) => sum + value, 0) / part.length;
  }
}

function slopeOf(points: readonly { readonly hours: number; readonly value: number }[]): number {
  const count = points.length;
  const sum = (of: (point: { hours: number; value: number }) => number): number =>
    points.reduce((total, point) => total + of(point), 0);
  const hours = sum((point) => point.hours) / count;
  const value = sum((point) => point.value) / count;
  const spread = sum((point) => (point.hours - hours) ** 2);
  if (!(spread > 0)) return 0;
  return sum((point) => (point.hours - hours) * (point.value - value)) / spread;
}
