import { formatAge } from '../format.js';
import { isDown } from '../states.js';
import { isHeard, type KnownPrimary, type KnownSecondary, type PairFacts } from './pair-facts.js';

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

/** How a secondary's QEMU waits for its guest. */
const incoming = ({ engine }: PairFacts): string => (engine === 'vsmr' ? '-S' : '-incoming');

/** A secondary that `protect` can begin with. */
const isReady = ({ secondary }: PairFacts): boolean =>
  isHeard(secondary) && secondary.state === 'seeding' && secondary.qemu === 'ready';

/**
 * How to protect the VM with a secondary that is of no use any more; what has been done already is
 * left out.
 */
export function startedAgain(facts: PairFacts): string {
  const { here, pulse, vm, secondary } = facts;
  const protect = `n ${onPrimary(facts)}, run: gannet protect ${vm}`;
  if (isReady(facts)) return `O${protect}`;
  const isNew = isHeard(secondary) && secondary.state === 'seeding' && secondary.qemu === 'awaited';
  const start = isNew
    ? `start the QEMU with ${incoming(facts)}`
    : `restart the daemon, then its QEMU with ${incoming(facts)}`;
  const isCutOff = here === 'primary' && pulse === 'lost';
  const first = isCutOff ? `Check ${onSecondary(facts)}, and the network or tunnel to it. ` : '';
  return `${first}On ${onSecondary(facts)}, ${start}; then, o${protect}`;
}

/** How to protect a VM that is not protected. */
export function toProtect(facts: PairFacts): string {
  const { vm, secondary } = facts;
  if (secondary.state === 'diverged') return startedAgain(facts);
  const isAwaited = isHeard(secondary) && secondary.qemu === 'awaited';
  const start =
    secondary.knowledge === 'never'
      ? "Start the secondary's daemon and QEMU. "
      : isAwaited
        ? `Start the QEMU on ${onSecondary(facts)} with ${incoming(facts)}. `
        : '';
  return `${start}On ${onPrimary(facts)}, run: gannet check ${vm}; then: gannet protect ${vm}`;
}

/** What `protect` is at. */
export function protecting(facts: PairFacts): { headline: string; remedy?: string } {
  const { here, primary, secondary } = facts;
  if (isHeard(secondary) && secondary.state === 'seeding' && secondary.qemu === 'awaited') {
    return {
      headline: `Setting up protection: it waits for the QEMU on ${onSecondary(facts)}`,
      remedy: `Start the QEMU on ${onSecondary(facts)} with ${incoming(facts)}.`,
    };
  }
  if (here === 'primary')
    return { headline: `Setting up protection: ${primary.stage || 'starting'}` };
  const isCopied = secondary.link === 'whole';
  return {
    headline: isCopied ? 'Receiving the first copy of the disks' : 'Being set up as secondary',
  };
}

/** How long a copy that waits for a failover can go on. */
export function lasts({ secondary: { waiting } }: PairFacts): string {
  if (!waiting) return '';
  if (waiting.guest === 'stopped')
    return ' The memory here is full: the guest stands still until then.';
  if (waiting.hardSeconds === null) return '';
  const age = formatAge(1000 * waiting.hardSeconds);
  return ` The memory here lasts for about ${age}; then the guest is stopped until a failover.`;
}

/** The other daemon does not answer. */
export function silent(facts: PairFacts): { headline: string; remedy: string } {
  const { here, secondary } = facts;
  const check = 'Check the other host, and the network or tunnel to it.';
  if (here === 'primary') {
    return { headline: `The other daemon does not answer: ${other(facts)}`, remedy: check };
  }
  const isLost = secondary.link === 'lost';
  const what = isLost
    ? 'The primary is lost, its daemon and its link'
    : 'The other daemon does not answer';
  const undone = isLost ? ` ${loss(facts)}` : '';
  return {
    headline: `${what}: ${other(facts)}`,
    remedy: `${check} ${ifFailed(facts)}${proof(facts)}${undone}${lasts(facts)}`,
  };
}

/** A failover is refused if nothing proves that the primary is dead. */
function proof({ secondary: { canFence, fenceFailure } }: PairFacts): string {
  if (canFence === true || fenceFailure !== undefined) return '';
  return (
    ' Without a fence on both hosts it asks for --force: make sure first that the primary’s QEMU ' +
    'does not run.'
  );
}

export const colon = (reason: string): string => (reason === '' ? '' : `: ${reason}`);
/** The side that is not this daemon's, and how old what it said is. */
export function other({ here, primary, secondary }: PairFacts): string {
  const side = here === 'primary' ? secondary : primary;
  const name = here === 'primary' ? 'secondary' : 'primary';
  if (side.knowledge === 'never') return `the ${name} was never heard`;
  return `the ${name} was ${side.state} when it was last heard`;
}
