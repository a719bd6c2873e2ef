/** How long the memory of a copy that waits for a failover lasts: a pure function. */

/** What was in the buffers at a moment. */
export interface MemorySample {
  /** In milliseconds, monotonic. */
  readonly atMs: number;
  /** In memory and in the spill file. */
  readonly bytes: number;
}

/** How much there may be. */
export interface MemoryRoom {
  readonly softBytes: number;
  readonly hardBytes: number;
  /** Size limit of the spill file; 0 without one. */
  readonly spillBytes: number;
}

/** Seconds; 0 once it is reached, null if it is not reached at the present rate. */
export interface MemoryLeft {
  readonly softSeconds: number | null;
  readonly hardSeconds: number | null;
}

/** The present rate is that of this time. */
export const RATE_OVER_MS = 30_000;

/** Adds a sample, and leaves out what is too old for the present rate. */
export function withSample(
  samples: readonly MemorySample[],
  latest: MemorySample,
): readonly MemorySample[] {
  return [...samples.filter(({ atMs }) => latest.atMs - atMs <= RATE_OVER_MS), latest];
}

/** @param samples the oldest first */
export function memoryLeft(samples: readonly MemorySample[], room: MemoryRoom): MemoryLeft {
  const first = samples[0];
  const last = samples[samples.length - 1];
  const secondsTo = (limitBytes: number): number | null => {
    if (!first || !last) return null;
    if (last.bytes >= limitBytes) return 0;
    const grownBytes = last.bytes - first.bytes;
    if (grownBytes <= 0) return null;
    return ((limitBytes - last.bytes) * (last.atMs - first.atMs)) / 1000 / grownBytes;
  };
  return {
    softSeconds: secondsTo(room.softBytes),
    // What is beyond a quarter of the way to `hard` goes to the file.
    hardSeconds: secondsTo(room.hardBytes + room.spillBytes),
  };
}
