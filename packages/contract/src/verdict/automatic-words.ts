import { formatTime } from '../format.js';
import type { PairFacts } from './pair-facts.js';

/**
 * What to do about a VM that protects itself, and is not protected yet.
 *
 * @returns undefined if the remedy is the same as without that
 */
export function automaticRemedy({ automatic, secondary, vm }: PairFacts): string | undefined {
  if (!automatic) return undefined;
  const { why, until, failures, failure = '' } = automatic;
  const host = secondary.host === '' ? 'the secondary host' : `host ${secondary.host}`;
  const next = until === undefined ? 'soon' : `at ${formatTime(until)}`;
  switch (why) {
    case 'no-secondary':
      return (
        'Start a new secondary, its daemon and then its QEMU: the protection then begins by ' +
        'itself.'
      );
    case 'secondary-unready':
      return (
        `On ${host}, restart the daemon, then its QEMU with -incoming, or -S for vsmr: the ` +
        'protection then begins by itself.'
      );
    case 'failed':
      return (
        `Protecting it failed ${failures === 1 ? 'once' : `${failures} times in a row`}: ` +
        `${failure} It is tried again ${next}; sooner with: gannet protect ${vm}`
      );
    case 'too-often':
      return (
        'Find out why the protection is lost again and again. ' +
        `It begins again ${next}; sooner with: gannet protect ${vm}`
      );
    case 'detached':
      return `An operator has ended the protection. To protect it again, run: gannet protect ${vm}`;
    case null:
      return 'Nothing: the protection begins by itself.';
    default:
      return undefined;
  }
}
