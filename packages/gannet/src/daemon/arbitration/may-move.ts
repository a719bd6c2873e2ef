/** What a primary does with a VM that it has handed over, or is asked to. Pure. */
import type { PeerPulse, PeerStatus, PrimaryState, TermRecord } from '@gannet/contract';
import { compare } from './compare.js';

/** All that is known, at one moment. */
export interface MoveView {
  readonly state: PrimaryState;
  readonly own: TermRecord;
  readonly peer: {
    readonly liveness: PeerPulse;
    /** What the secondary said last. */
    readonly status: PeerStatus | undefined;
  };
}

/**
 * - `none`: nothing is handed over
 * - `wait`: for the secondary's word
 * - `take-back`: the secondary is heard, and can't go on, or was told that it must not. It has to
 *   say, and to have written, that it does not: until then the guest stands still
 * - `moved`: the secondary has the VM
 */
export type MoveStep =
  | { readonly kind: 'none' | 'wait' | 'moved' }
  | { readonly kind: 'take-back'; readonly why: string };

/** Silence is no word: whoever is not heard may have taken over. */
export function moveStep({ state, own, peer }: MoveView): MoveStep {
  if (own.movedTo === undefined) return { kind: 'none' };
  if (state === 'superseded') return { kind: 'moved' };
  if (state !== 'yielding') return { kind: 'none' };
  const { liveness, status } = peer;
  if (liveness !== 'up' || status === undefined) return { kind: 'wait' };
  if (compare('primary', own, status.record) === 'yielded') {
    return { kind: 'take-back', why: 'the copy of the secondary cannot take over any more' };
  }
  // Its claim is in the same term as what this side would say next, and prevails.
  if (status.record.word === 'taken-over') return { kind: 'wait' };
  if (own.word === 'leaving') return { kind: 'take-back', why: 'it was being taken back' };
  const why = whyNotThere(status);
  return why === undefined ? { kind: 'wait' } : { kind: 'take-back', why };
}

/** Why the secondary, which has not taken over, never will. */
function whyNotThere({ state, vm, isLeaving }: PeerStatus): string | undefined {
  if (isLeaving === true) return 'the secondary daemon is ending';
  if (vm === 'lost' || vm === 'unusable') return `the secondary VM is ${vm}`;
  return state === 'diverged' ? 'the replica has diverged' : undefined;
}
