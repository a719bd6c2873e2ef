/** What a primary's daemon does with the QEMU that it finds, by what it remembers. */
import type { CopyWord } from '@gannet/contract';

/**
 * - `protected`: COLO runs; `broken`: it has failed and waits for a failover
 * - `ended`: this QEMU was in COLO and is not any more, so its guest has run all the time
 * - `idle`: it was never in COLO
 */
export type Found = 'protected' | 'broken' | 'ended' | 'idle';

/**
 * - `adopt`: the protection goes on
 * - `let-go`: what was begun, or has ended by itself, is brought to its end
 * - `hold`: a new QEMU, beside a secondary that may have taken over from the one before: its guest
 *   stands still until it is known that it has not
 * - `stop`: the copy is outdated
 * - `run`: nothing protects it, and nothing speaks against it
 */
export type AttachStep = 'adopt' | 'let-go' | 'hold' | 'stop' | 'run';

/** Rows: the own word. */
export const ON_ATTACH: Readonly<Record<CopyWord, Readonly<Record<Found, AttachStep>>>> = {
  // Its term file was lost, if COLO runs: the secondary will say what it had.
  none: row('adopt', 'let-go', 'run', 'run'),
  protected: row('adopt', 'let-go', 'let-go', 'hold'),
  leaving: row('let-go', 'let-go', 'let-go', 'hold'),
  alone: row('let-go', 'let-go', 'run', 'run'),
  'taken-over': row('let-go', 'let-go', 'run', 'run'),
  outdated: row('stop', 'stop', 'stop', 'stop'),
};

function row(
  inColo: AttachStep,
  broken: AttachStep,
  ended: AttachStep,
  idle: AttachStep,
): Record<Found, AttachStep> {
  return { protected: inColo, broken, ended, idle };
}
