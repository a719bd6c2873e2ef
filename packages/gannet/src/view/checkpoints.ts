import type { DaemonEvent } from '@gannet/contract';

/** A checkpoint, as both daemons tell it; what one has not told yet is null. */
export interface Checkpoint {
  readonly epoch: number;
  readonly at: string;
  readonly cause: 'period' | 'demand' | 'memory' | 'output' | null;
  /** How long the primary's guest stood still. */
  readonly pausedMs: number | null;
  readonly gateClosedMs: number | null;
  readonly committedPages: number | null;
  readonly droppedPages: number | null;
}

/** The latest checkpoints, oldest first. */
export function checkpointsOf(events: readonly DaemonEvent[], count: number): Checkpoint[] {
  const found = new Map<number, Checkpoint>();
  for (const event of events) {
    if (event.kind === 'unprotected' || event.kind === 'role') found.clear();
    if (event.kind !== 'commit' && event.kind !== 'checkpoint') continue;
    const epoch = Number(event['epoch']);
    const before = found.get(epoch);
    const number = (key: keyof Checkpoint): number | null => {
      const value = event[key] ?? before?.[key];
      return typeof value === 'number' ? value : null;
    };
    found.set(epoch, {
      epoch,
      at: before?.at ?? event.at,
      cause: (event['cause'] as Checkpoint['cause'] | undefined) ?? before?.cause ?? null,
      pausedMs: number('pausedMs'),
      gateClosedMs: number('gateClosedMs'),
      committedPages: number('committedPages'),
      droppedPages: number('droppedPages'),
    });
  }
  return [...found.values()].slice(-count);
}
