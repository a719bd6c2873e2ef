/** Whether the guest of a primary may run on this host. Pure. */
import type { CopyWord, PrimaryState } from '@gannet/contract';

/** Rows: what the primary is. In the others its guest is to stand still, whoever has stopped it. */
export const RUNS_IN: Readonly<Record<PrimaryState, boolean>> = {
  // Nothing is decided yet: what the disk says counts.
  unknown: true,
  unprotected: true,
  protecting: true,
  protected: true,
  alone: true,
  held: false,
  yielding: false,
  ended: false,
  superseded: false,
};

export interface MayRunView {
  readonly state: PrimaryState;
  /** What this side has written of its copy. */
  readonly word: CopyWord;
  /** Why the guest stands still on its own disk; see GuestFate. */
  readonly standstill: string | undefined;
}

/** Whoever continues a guest that an engine has stopped asks this at that moment. */
export function mayRun({ state, word, standstill }: MayRunView): boolean {
  return RUNS_IN[state] && word !== 'outdated' && standstill === undefined;
}
