/** How a primary goes on without its secondary: what it has to do first, one step at a time. */
import type { EvidenceKind, TermRecord } from '@gannet/contract';

/** All that is known, at one moment. */
export interface LetGoView {
  readonly own: TermRecord;
  /** The secondary has said, and written, that its copy can't take over. */
  readonly hasYielded: boolean;
  /** It could be told now. */
  readonly isHeard: boolean;
  /** It was given the time to answer. */
  readonly wasTold: boolean;
  readonly fence: 'none' | 'ready' | 'failed' | 'succeeded';
  /** What its success is; `fence` without it. */
  readonly evidence?: 'fence' | 'arbiter' | undefined;
  /** An operator takes the responsibility. */
  readonly isForced: boolean;
  /** Refuse instead of fencing: nothing is wrong with the secondary. */
  readonly mustTell: boolean;
  /** The guest stands still: the secondary may have taken over on this daemon's word. */
  readonly isHeld: boolean;
}

/**
 * - `raise`: write `leaving` in a new term, so that the secondary is outdated when it hears of it
 * - `tell`: give it the time to answer
 * - `go`: write `alone`, then cut the links
 */
export type LetGoStep =
  | { readonly kind: 'raise' | 'tell' | 'fence' }
  | { readonly kind: 'go'; readonly evidence: EvidenceKind | null }
  | { readonly kind: 'refuse'; readonly why: 'outdated' | 'not-told' | 'not-fenced' | 'promised' };

/**
 * Rules, the first that matches. Whoever has a fence promises its secondary that it does not go on
 * before that has yielded or was fenced, and is bound by that when the fence is gone. Whoever has
 * none can't promise it, or it would stand still whenever the secondary's host dies.
 *
 * Who is held does not fence: that would end the only good copy if the secondary has taken over,
 * and does not show that it has not. An arbiter ends nothing, and knows whom it has granted the VM.
 */
export function letGoStep(view: LetGoView): LetGoStep {
  const { own, hasYielded, isHeard, wasTold, fence, isForced, mustTell, isHeld } = view;
  if (own.word === 'outdated') return { kind: 'refuse', why: 'outdated' };
  if (hasYielded) return { kind: 'go', evidence: 'word' };
  if (mustTell && !isHeard && !isForced) return { kind: 'refuse', why: 'not-told' };
  if (own.word !== 'leaving') return { kind: 'raise' };
  if (!wasTold) return { kind: 'tell' };
  if (isForced) return { kind: 'go', evidence: 'operator' };
  const mayAsk = !isHeld || (fence !== 'none' && view.evidence === 'arbiter');
  if (mustTell || !mayAsk) return { kind: 'refuse', why: 'not-told' };
  if (fence === 'none') {
    return own.mustProve ? { kind: 'refuse', why: 'promised' } : { kind: 'go', evidence: null };
  }
  if (fence === 'ready') return { kind: 'fence' };
  if (fence === 'succeeded') return { kind: 'go', evidence: view.evidence ?? 'fence' };
  return { kind: 'refuse', why: 'not-fenced' };
}
