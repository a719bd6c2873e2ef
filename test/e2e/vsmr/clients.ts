import { expect } from '@jest/globals';
import { ClientNetwork, VsmrPair } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { talked } from '../guests.js';

const { untilSo } = waiting({ patienceMs: 60_000 });
export const CONNECTIONS = 12;

/** Opens connections, and waits until all that there are have begun. */
export async function open(network: ClientNetwork, all: number): Promise<void> {
  network.open(CONNECTIONS);
  await untilSo('all connections', async () => (await network.report()).length === all);
}

/** A pair in a network with a client. */
export async function inNetwork(
  way: 'compared' | 'buffered',
  work: (pair: VsmrPair, network: ClientNetwork) => Promise<void>,
): Promise<void> {
  const network = await ClientNetwork.create(2);
  try {
    await using pair = await VsmrPair.create({ network: { wire: network, way } });
    await work(pair, network);
  } finally {
    await network.dispose();
  }
}

/** Makes checkpoints while `wants()` resolves. */
export function checkpoints(pair: VsmrPair, wants: () => Promise<unknown>) {
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  const made: number[] = [];
  const run = async (): Promise<void> => {
    while (!isOver()) {
      await wants();
      if (isOver()) return;
      made.push((await pair.engines.primary.checkpoint()).pausedMs);
    }
  };
  const done = run();
  done.catch(() => undefined);
  return {
    /** How long each has paused the primary. */
    made,
    /** No more of them. Waits for the one that is under way. */
    end: async (): Promise<void> => {
      over.abort();
      // One that waits for a reason is not under way.
      await Promise.race([done, pair.idle()]);
    },
  };
}

/** The primary dies, the secondary takes over, and all connections go on. */
export async function survive(pair: VsmrPair, network: ClientNetwork, all: number): Promise<void> {
  await network.report();
  await pair.killPrimary();
  await pair.takeOver();
  const reports = await talked(network, 20);
  const failures = reports.filter(({ failure }) => failure !== undefined);
  const longestMs = Math.max(...reports.map((report) => report.longestMs));
  process.stdout.write(
    `TCP connections that survived the failover: ${reports.length - failures.length} of ` +
      `${reports.length}; longest wait ${longestMs} ms\n`,
  );
  expect({ failures, all: reports.length }).toEqual({ failures: [], all });
  for (const { oracle } of [pair.primary.vm, pair.secondary.vm]) expect(oracle.clean).toBe(true);
}
