/** Whose copy is the newer one: the same table for both sides. */
import type { CopyWord, TermRecord } from '@gannet/contract';
import { isOneVm } from './records.js';

/**
 * - `same`: nothing follows
 * - `yield`: the own copy is outdated: its guest stops, it never takes over
 * - `prevail`: the peer has to yield, and has not said yet that it has
 * - `yielded`: the peer can't take over or run, and this is on its disk
 * - `foreign`: the peer's record is about another VM
 */
export type Standing = 'same' | 'yield' | 'prevail' | 'yielded' | 'foreign';

/**
 * - `term`: the higher term prevails; equal ones are in step, or a protection is being opened
 * - `contest`: the higher term, then the one that an operator forced, then the side that has taken
 *   over
 * - `yield-primary`: a primary that remembers nothing yields to a side that has taken over; for a
 *   new secondary nothing follows
 */
type Cell = 'same' | 'yielded' | 'term' | 'contest' | 'yield-primary';

/** Rows: the own word. Columns: the peer's. */
export const COMPARISON: Readonly<Record<CopyWord, Readonly<Record<CopyWord, Cell>>>> = {
  none: row('same', 'same', 'same', 'same', 'yield-primary', 'same'),
  protected: row('yielded', 'term', 'term', 'term', 'contest', 'yielded'),
  leaving: row('yielded', 'term', 'term', 'term', 'contest', 'yielded'),
  alone: row('yielded', 'term', 'term', 'term', 'contest', 'yielded'),
  'taken-over': row('yielded', 'contest', 'contest', 'contest', 'contest', 'yielded'),
  outdated: row('same', 'same', 'same', 'same', 'same', 'same'),
};

function row(
  none: Cell,
  inStep: Cell,
  leaving: Cell,
  alone: Cell,
  takenOver: Cell,
  outdated: Cell,
): Record<CopyWord, Cell> {
  return { none, protected: inStep, leaving, alone, 'taken-over': takenOver, outdated };
}

/** @param role of the side that asks */
export function compare(
  role: 'primary' | 'secondary',
  own: TermRecord,
  peer: TermRecord,
): Standing {
  if (!isOneVm(own, peer)) return 'foreign';
  const cell = COMPARISON[own.word][peer.word];
  switch (cell) {
    case 'same':
    case 'yielded':
      return cell;
    case 'yield-primary':
      return role === 'primary' ? 'yield' : 'same';
    case 'term':
    case 'contest': {
      const lead = leadOf(own, peer, cell === 'contest');
      if (lead === 0) return 'same';
      return lead > 0 ? 'prevail' : 'yield';
    }
  }
}

function leadOf(own: TermRecord, peer: TermRecord, isContest: boolean): number {
  const terms = own.term - peer.term;
  if (terms !== 0 || !isContest) return terms;
  return (
    Number(own.isForced) - Number(peer.isForced) ||
    Number(own.word === 'taken-over') - Number(peer.word === 'taken-over')
  );
}
