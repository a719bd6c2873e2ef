/** What a verdict is made of. */
import type { PairFacts } from './pair-facts.js';

/** `busy` and `idle`: no trouble, but no protection. */
export const VERDICT_LEVELS = ['good', 'busy', 'idle', 'warning', 'bad'] as const;
export type VerdictLevel = (typeof VERDICT_LEVELS)[number];

/** Where the guest runs, as far as this daemon knows. */
export const GUEST_PLACES = ['primary', 'secondary', 'both', 'nowhere', 'unknown'] as const;
export type GuestPlace = (typeof GUEST_PLACES)[number];

interface Words {
  readonly headline: string;
  /** What to do, and on which host; empty if there is nothing to do. */
  readonly remedy?: string;
}

export interface VerdictRule {
  readonly level: VerdictLevel;
  readonly guest: GuestPlace;
  /** What it means, for the documentation. */
  readonly meaning: string;
  /** No earlier rule of the table holds. */
  readonly when: (facts: PairFacts) => boolean;
  readonly say: (facts: PairFacts) => Words;
}
