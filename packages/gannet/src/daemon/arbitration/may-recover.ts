/** Whether the bases of a replica may become disks of the VM: what its daemon has said last. */
import { GannetError, type TermRecord } from '@gannet/contract';

/** @returns why not, unless an operator forces it: a newer copy is known */
export function whyNotRecover(vm: string, { word, term }: TermRecord): GannetError | undefined {
  if (word !== 'outdated') return undefined;
  return refusal(
    `the copy of ${vm} on this host is outdated (term ${term}): the primary has the newer one`,
    'The disk of the primary host has more: start the VM there. Only if that disk is lost for ' +
      `good, run \`gannet recover ${vm} --last-commit --force\` on this host: what the primary ` +
      'did alone is then lost.',
  );
}

/** Of a daemon that finds such a copy, and would seed over it. */
export function outdatedLastCommit(vm: string, term: number, cause: unknown): GannetError {
  return refusal(
    `the base of ${vm} holds a last commit that is outdated (term ${term}): the primary has the ` +
      'newer copy',
    'If the primary or its disk is there, start this daemon with --overwrite. Only if both are ' +
      `lost for good, run \`gannet recover ${vm} --last-commit --force\` on this host.`,
    cause,
  );
}

/** Only its own daemon says so of a copy that may be the newest. */
const NEWEST: ReadonlySet<TermRecord['word']> = new Set(['taken-over', 'alone']);

/**
 * A configuration that says `overwrite: true` says so at each start, also when the copy of this
 * host has become the newest since it was written.
 */
export function whyNotOverwrite(vm: string, { word, term }: TermRecord): GannetError | undefined {
  if (!NEWEST.has(word)) return undefined;
  return refusal(
    `the configuration of ${vm} says \`overwrite: true\`, and the copy on this host was the ` +
      `newest when it was last used (${word}, term ${term})`,
    'Remove `overwrite` from the configuration. Only if the other host has the newest disks now, ' +
      'start this daemon with --overwrite.',
  );
}

function refusal(message: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_REFUSED', message, remedy, 'refused', { cause });
}
