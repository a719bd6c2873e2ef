import type { Trend } from './footprint.js';
import type { SoakCounts } from './soak-pair.js';

/** What one process holds, over time. */
export interface Holding {
  readonly rssMib: Trend;
  readonly descriptors: Trend;
}

/** What a soak has seen. */
export interface SoakSummary extends SoakCounts {
  readonly date: string;
  readonly seed: number;
  readonly minutes: number;
  /** How many of each kind. */
  readonly blows: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  /** By the name of the process, of the pair that is left alone. */
  readonly veteran: Readonly<Record<string, Holding>>;
  readonly hurt: Readonly<Record<string, Holding>>;
}
