import { formatAge } from '../format.js';
import { isDown } from '../states.js';
import type { PairFacts } from './pair-facts.js';

/** What a takeover would undo; nothing if that is not known. */
export function loss({ secondary }: PairFacts): string {
  const { commitAgeMs, ageMs } = secondary;
  if (commitAgeMs === undefined) return 'What was written since the last checkpoint is undone.';
  const age = formatAge(commitAgeMs + ageMs);
  return `What was written since the last checkpoint, ${age} ago, is undone.`;
}

/**
 * How to take over if the primary has failed. Once the fence has failed, nothing else proves it.
 *
 * @param place where the secondary runs
 */
export function ifFailed({ vm, secondary }: PairFacts, place: string): string {
  const { fenceFailure } = secondary;
  if (fenceFailure === undefined) {
    return `If the primary has failed, on ${place}, run: gannet failover ${vm}.`;
  }
  return (
    `Its fence FAILED: ${fenceFailure}. Make sure that the primary’s QEMU does not run; then, ` +
    `on ${place}, run: gannet failover ${vm} --force.`
  );
}

/** Why a secondary can't take over, in words. */
export function unfitReason({ secondary }: PairFacts): string {
  if (secondary.state === 'diverged') return `it has diverged: ${secondary.reason || 'no reason'}`;
  if (secondary.state === 'seeding') return 'it has not received all of the disks';
  if (isDown(secondary.qemu)) return 'its own QEMU has ended or does not respond';
  return secondary.trouble || 'it reports that it is not fit to';
}
