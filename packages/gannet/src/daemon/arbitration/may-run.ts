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

/**
 * Whoever continues a guest that an engine has stopped asks this at that moment.
 *
 * @param word what this side has written of its copy
 * @param standstill why the guest stands still on its own disk; see GuestFate
 */
export function mayRun(
  state: PrimaryState,
  word: CopyWord,
  standstill: string | undefined,
): boolean {
  return RUNS_IN[state] && word !== 'outdated' && standstill === undefined;
}
