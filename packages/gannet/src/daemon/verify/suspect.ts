/**
 * What is known of a piece of the disk that differed: the table of states. A test visits each cell.
 *
 *                  equal    differs, something arrived   differs, nothing arrived
 *   suspect        agrees   in flight                    doubtful
 *   doubtful       agrees   in flight                    wrong
 *
 *   suspect    it is watched, and a checkpoint has passed since: what the primary had under way
 *              before has reached both disks
 *   doubtful   the primary's disk was read, and another checkpoint has passed since: a write that
 *              only the primary's disk had when it was read has arrived by now
 *   in flight  looked at again from the beginning
 */
export type SuspectState = 'suspect' | 'doubtful';
export type SuspectVerdict = 'agrees' | 'in flight' | 'doubtful' | 'wrong';

/** What a look at both sides shows. */
export interface Look {
  readonly isEqual: boolean;
  /** The primary has written there since the piece is watched. */
  readonly hasArrived: boolean;
}

export function judgeSuspect(state: SuspectState, { isEqual, hasArrived }: Look): SuspectVerdict {
  if (isEqual) return 'agrees';
  if (hasArrived) return 'in flight';
  return state === 'suspect' ? 'doubtful' : 'wrong';
}

/** Bytes [start, end). */
type Run = readonly [start: number, end: number];

/** Whether any of the runs touches [from, to). */
export function touches(runs: readonly Run[], from: number, to: number): boolean {
  return runs.some(([start, end]) => start < to && end > from);
}

/** Joins neighbours; the runs are in order. */
export function joined(runs: Iterable<Run>): Run[] {
  const all: [number, number][] = [];
  for (const [start, end] of runs) {
    const last = all.at(-1);
    if (last?.[1] === start) last[1] = end;
    else all.push([start, end]);
  }
  return all;
}
