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

function refusal(message: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_REFUSED', message, remedy, 'refused', { cause });
}
