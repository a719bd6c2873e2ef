// Mistakes on purpose: a simulation that does not find them proves nothing.

import type { ColoMonitorEvent, ColoMonitor, ColoModes } from '@gannet/checkpointer';
import type { Replica } from '@gannet/replicator';

export const MUTANTS = {
  'no-gate': 'batches are applied as soon as they are read',
  'one-turn': 'batches wait for one turn of the loop, not for a whole poll',
  'late-commit': 'RESUME is heard some turns late',
  'no-query': 'every RESUME is taken for a checkpoint',
  'ignore-loss': 'a lost link of the primary is not noticed',
  'lazy-sync': 'syncs of the disk do nothing',
  'short-is-whole': 'a write that did less than it was told is taken for whole',
  'lossy-spill': 'what is written to the spill file is not there',
  'lost-rename': 'half of the renames of files that fail pass for done',
  'close-early': 'the replica says that it is closed before it is',
  'diverges-alone': 'a copy that waits for a failover is given up when its memory is full',
  'held-forever': 'writes that are held are not answered when the secondary stops',
  'half-written': 'without its primary, write-back leaves out the last write of each batch',
} as const;

export type MutantName = keyof typeof MUTANTS;

export function applyMutant(
  mutant: MutantName | undefined,
  monitor: ColoMonitor,
  replica: Replica,
): ColoMonitor {
  switch (mutant) {
    case 'no-gate':
      replica.gate.admit = (apply) => apply();
      return monitor;
    case 'one-turn':
      replica.gate.admit = (apply) => void setImmediate(apply);
      return monitor;
    case 'late-commit':
      return { ...portsOf(monitor), subscribe: (listener) => monitor.subscribe(late(listener)) };
    case 'no-query':
      return {
        ...portsOf(monitor),
        queryColoStatus: (callback) => monitor.queryColoStatus(always(callback)),
      };
    case 'ignore-loss':
      replica.link.lose = () => undefined;
      Object.defineProperty(replica.link, 'isConnected', { value: true });
      return monitor;
    case 'diverges-alone':
      replica.on(({ kind }) => {
        if (kind === 'writes-held') replica.diverge('its memory is full');
      });
      return monitor;
    case 'held-forever':
      replica.secondaryRuns = () => undefined;
      return monitor;
    case 'close-early':
      closesEarly(replica);
      return monitor;
    case 'half-written':
      withoutLastOf(replica);
      return monitor;
    default:
      return monitor;
  }
}

function portsOf(monitor: ColoMonitor): ColoMonitor {
  return {
    subscribe: (listener) => monitor.subscribe(listener),
    queryColoStatus: (callback) => monitor.queryColoStatus(callback),
    queryRunState: (callback) => monitor.queryRunState(callback),
  };
}

function late(listener: (event: ColoMonitorEvent) => void): (event: ColoMonitorEvent) => void {
  return (event) => {
    setTimeout(() => listener(event), 2);
  };
}

function always(callback: (status: ColoModes | Error) => void): typeof callback {
  return () => callback({ mode: 'secondary', lastMode: 'none' });
}

function closesEarly(replica: Replica): void {
  const close = replica.close.bind(replica);
  replica.close = () => {
    void close();
    return Promise.resolve();
  };
}

/** Its batches end without their last write. */
function withoutLastOf(replica: Replica): void {
  const nextBatch = replica.nextBatch.bind(replica);
  replica.nextBatch = () => {
    const batch = nextBatch();
    if (!batch) return undefined;
    const runs = batch.runs.bind(batch);
    batch.runs = function* () {
      const all = [...runs()];
      if (replica.isWaiting) all.pop();
      yield* all;
    };
    return batch;
  };
}
