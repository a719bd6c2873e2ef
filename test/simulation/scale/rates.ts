// How transfers share hosts' disks and networks: fairly, each up to its own limit (max-min).

export interface Flow {
  /** MiB/s; Infinity for none. */
  readonly limit: number;
  /** Indices of what it passes through. */
  readonly links: readonly number[];
}

/**
 * Nobody gets more as long as somebody with less could have it.
 *
 * @param capacities of the links, in MiB/s
 * @returns MiB/s of each flow
 */
export function fairRates(flows: readonly Flow[], capacities: readonly number[]): number[] {
  const rates = flows.map(() => 0);
  const left = [...capacities];
  const users = capacities.map(() => 0);
  for (const { links } of flows) for (const link of links) users[link] = (users[link] ?? 0) + 1;
  let open = flows.map((flow, at) => ({ flow, at }));
  while (open.length > 0) {
    const shareOf = (link: number): number => Math.max(0, left[link] ?? 0) / (users[link] ?? 1);
    const ceilings = open.map(({ flow }) => Math.min(flow.limit, ...flow.links.map(shareOf)));
    const lowest = Math.min(...ceilings);
    const isDone = open.map((_, at) => (ceilings[at] ?? 0) <= lowest * (1 + 1e-12));
    open.forEach(({ flow, at }, index) => {
      if (!isDone[index]) return;
      rates[at] = lowest;
      for (const link of flow.links) {
        left[link] = (left[link] ?? 0) - lowest;
        users[link] = (users[link] ?? 0) - 1;
      }
    });
    open = open.filter((_, index) => !isDone[index]);
  }
  return rates;
}
