import { formatAge } from '../format.js';
import { isDown } from '../states.js';
import type { KnownPrimary, KnownSecondary, PairFacts } from './pair-facts.js';

/** `host b`; without a name, what the side is. */
const on = (side: 'primary' | 'secondary', { host }: KnownPrimary | KnownSecondary): string =>
  host === '' ? `the ${side} host` : `host ${host}`;
export const onPrimary = ({ primary }: PairFacts): string => on('primary', primary);
export const onSecondary = ({ secondary }: PairFacts): string => on('secondary', secondary);

export const reprotectWith = (facts: PairFacts): string =>
  `Start a new secondary; then, on ${onSecondary(facts)}, run: gannet reprotect ${facts.vm}`;
export const failover = (facts: PairFacts): string =>
  `on ${onSecondary(facts)}, run: gannet failover ${facts.vm}`;

/** What a takeover would undo; nothing if that is not known. */
export function loss({ secondary }: PairFacts): string {
  const { commitAgeMs, ageMs } = secondary;
  if (commitAgeMs === undefined) return 'What was written since the last checkpoint is undone.';
  const age = formatAge(commitAgeMs + ageMs);
  return `What was written since the last checkpoint, ${age} ago, is undone.`;
}

/** How to take over if the primary has failed. Once the fence has failed, nothing proves that. */
export function ifFailed(facts: PairFacts): string {
  const { fenceFailure } = facts.secondary;
  return fenceFailure === undefined
    ? `If the primary has failed, ${failover(facts)}.`
    : `Its fence FAILED: ${fenceFailure}. Make sure that the primary’s QEMU does not run; then, ` +
        `${failover(facts)} --force.`;
}

/** Why a secondary can't take over, in words. */
export function unfitReason({ secondary }: PairFacts): string {
  if (secondary.state === 'diverged') return `it has diverged: ${secondary.reason || 'no reason'}`;
  if (secondary.state === 'seeding') return 'it has not received all of the disks';
  if (isDown(secondary.qemu)) return 'its own QEMU has ended or does not respond';
  return secondary.trouble || 'it reports that it is not fit to';
}

/** What makes a secondary out of one that is of no use any more. */
export const startedAgain = (facts: PairFacts): string =>
  `On ${onSecondary(facts)}, restart the daemon, then its QEMU with -incoming, ` +
  `or -S for vsmr; then, on ${onPrimary(facts)}, run: gannet protect ${facts.vm}`;

export const colon = (reason: string): string => (reason === '' ? '' : `: ${reason}`);
/** The side that is not this daemon's, and how old what it said is. */
export function other({ here, primary, secondary }: PairFacts): string {
  const side = here === 'primary' ? secondary : primary;
  const name = here === 'primary' ? 'secondary' : 'primary';
  if (side.knowledge === 'never') return `the ${name} was never heard`;
  return `the ${name} was ${side.state} when it was last heard`;
}
