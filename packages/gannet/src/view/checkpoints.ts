import type { CheckpointCause, DaemonEvent } from '@gannet/contract';

/** A checkpoint as both daemons report it; null is what has not been reported yet. */
export interface Checkpoint {
  readonly epoch: number;
  readonly at: string;
  readonly cause: CheckpointCause | null;
  /** How long the primary's guest was paused. */
  readonly pausedMs: number | null;
  readonly gateClosedMs: number;
  readonly committedPages: number;
  readonly droppedPages: number;
}

/** The latest checkpoints, oldest first. */
export function checkpointsOf(events: readonly DaemonEvent[], count: number): Checkpoint[] {
  const found = new Map<number, Checkpoint>();
  for (const event of events) {
    if (event.kind === 'unprotected' || event.kind === 'role') found.clear();
    if (event.kind !== 'commit' && event.kind !== 'checkpoint') continue;
    const { epoch, at, gateClosedMs, committedPages, droppedPages } = event;
    const before = found.get(epoch);
    const own = event.kind === 'checkpoint' ? event : before;
    const { cause = null, pausedMs = null } = own ?? {};
    const shared = { gateClosedMs, committedPages, droppedPages };
    found.set(epoch, { epoch, at: before?.at ?? at, cause, pausedMs, ...shared });
  }
  return [...found.values()].slice(-count);
}
