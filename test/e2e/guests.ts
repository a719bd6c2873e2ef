/** What several end-to-end tests ask of a pair's guests and of the clients of one. */
import { expect } from '@jest/globals';
import type { ClientNetwork, LabPair, TrafficReport } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';

const { untilSo } = waiting({ patienceMs: 60_000 });

/** The primary's guest runs, whatever became of its protection. */
export async function expectPrimaryWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(200, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

/** The survivor's guest read what it had written, and its disks hold what it remembers. */
export async function expectSurvivorWhole(running: LabPair): Promise<void> {
  const { digests, isClean } = await running.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  expect(digests).toHaveLength(running.regionCount);
}

/** Every connection has had `more` answers since now, or has failed. */
export async function talked(network: ClientNetwork, more: number): Promise<TrafficReport[]> {
  const before = (await network.report()).map(({ lines }) => lines);
  let last: TrafficReport[] = [];
  await untilSo(`${more} answers on each connection`, async () => {
    last = await network.report();
    return last.every(
      ({ lines, failure }, at) => failure !== undefined || lines >= (before[at] ?? 0) + more,
    );
  });
  return last;
}
