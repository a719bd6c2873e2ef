/** What a primary refuses, why, and what to do instead. */
import { GannetError, type PeerStatus } from '@gannet/contract';
import type { PrimaryRoleState } from './primary/primary-state.js';

function refusal(message: string, remedy: string): GannetError {
  return new GannetError('GANNET_REFUSED', message, remedy, 'refused');
}

export function busy(vm: string, state: string): GannetError {
  return new GannetError(
    'GANNET_BUSY',
    `${vm} is ${state}`,
    `\`gannet status ${vm}\` shows what is in progress.`,
    'refused',
  );
}

function alreadyProtected(vm: string): GannetError {
  return refusal(`${vm} is protected already`, `Do nothing: \`gannet status ${vm}\` shows it.`);
}

export function noCopy(vm: string, bytesPerSec: number): GannetError {
  const remedy =
    `To begin one with this limit, run \`gannet protect ${vm} --seed-rate ${bytesPerSec}\`. ` +
    'For all copies, set `primary.seedBytesPerSec`.';
  return refusal(`no copy of ${vm} is under way`, remedy);
}

/** What needs a protection that there is not. @param shown what the status calls the state */
export function notProtected(
  vm: string,
  state: PrimaryRoleState,
  shown: string,
  what: string,
): GannetError {
  const remedy = `It is not protected now; \`gannet protect ${vm}\` would protect it.`;
  return (
    // What it advises must not be refused in its turn.
    whyNotProtect(vm, state, shown) ?? refusal(`${vm} is ${shown}: nothing to ${what}`, remedy)
  );
}

/** The other side has the newer copy, and here it runs, or ran, again. */
export function secondCopy(vm: string): GannetError {
  return refusal(
    `the copy of ${vm} on this host is outdated: the secondary has taken over, ` +
      'and the guest here is stopped',
    'The secondary has the VM. End the QEMU here. To protect the VM again, make this host its ' +
      `new secondary and run \`gannet reprotect ${vm}\` on the host that has taken over. ` +
      `Only if the copy there is lost for good: \`gannet failover ${vm} --force\` here.`,
  );
}

/** A forced step that would stop the guest of a secondary that has the VM and is well. */
export function wellSurvivor(
  vm: string,
  { host = 'its host', state, record }: PeerStatus,
): GannetError {
  return refusal(
    `the secondary of ${vm} has the VM and is well: its daemon on ${host} is heard, its QEMU ` +
      `responds, it is ${state} (term ${record.term}, ${record.word}). The copy here is outdated`,
    'If the copy here is to run all the same, add --overrule-peer: the guest on the secondary ' +
      'host is then stopped, and all that it did since it took over is lost.',
  );
}

/** Its QEMU is new, and the secondary may have taken over from the one before. */
export function held(vm: string): GannetError {
  return refusal(
    `the guest of ${vm} is held: its QEMU is new, and the secondary may have taken over`,
    'Start the daemon on the secondary host: it says whether the VM runs there. Only if it ' +
      `certainly does not, and is not to: \`gannet failover ${vm} --force\` here.`,
  );
}

/** Its guest is stopped, for the secondary to take over. */
export function yields(vm: string, reason: string): GannetError {
  return refusal(
    `the guest of ${vm} is stopped, and the secondary is to take over: ${reason}`,
    `Run \`gannet failover ${vm}\` on the secondary host. With --force the guest goes on here, ` +
      'on this disk: what only the replica has is lost.',
  );
}

/** Why a protection can't begin now. @param shown what the status calls the state */
export function whyNotProtect(
  vm: string,
  state: PrimaryRoleState,
  shown: string,
): GannetError | undefined {
  switch (state.phase) {
    case 'superseded':
      return secondCopy(vm);
    case 'held':
      return held(vm);
    case 'protected':
      return alreadyProtected(vm);
    case 'protecting':
    case 'letting-go':
      return busy(vm, shown);
    case 'yielding':
    case 'ended':
      return noGuest(vm, shown, state.reason);
    default:
      return undefined;
  }
}

/** There is no guest to protect: it was stopped for the secondary, or ended on purpose. */
function noGuest(vm: string, state: string, reason: string): GannetError {
  return refusal(
    `${vm} can't be protected: it is ${state} (${reason})`,
    `If it is yielding, run \`gannet failover ${vm}\` on the secondary host, or with --force ` +
      'here. If it has ended, start the VM again. Then protect it.',
  );
}

/** While the VM was not protected yet, or not any more. */
export function ownFailure(vm: string, reason: string): GannetError {
  return new GannetError(
    'GANNET_STAGE_FAILED',
    `${vm} cannot be protected as it is: ${reason}`,
    'If its disk failed, the guest is stopped: its disk may lack what it wrote last. Repair the ' +
      'storage and restart the VM. Then protect it again.',
  );
}

export function unfitToLetGo(vm: string, reason: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} is not let go: this host's own disk has failed (${reason}), and what ` +
      'it lacks may be there',
    `Run \`gannet failover ${vm} --force\` on the secondary host, to go on with its copy. Or go ` +
      `on with what this disk has: on the primary host, run \`gannet failover ${vm} --force\`.`,
    'refused',
  );
}

export function notTold(vm: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} cannot be notified that it is outdated`,
    'Make sure that it never takes over, then run the command again with --force.',
    'refused',
  );
}

export function stillProtected(vm: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} is alive and protects it`,
    `To give up the protection all the same, use \`gannet detach ${vm}\`, or add --force.`,
    'refused',
  );
}

/** COLO continues the primary's guest after each checkpoint, and nobody can prevent that. */
export function cannotMove(vm: string): GannetError {
  return refusal(
    `the engine of ${vm} cannot move it without loss: after each checkpoint, COLO continues the ` +
      'guest of the primary',
    'Protect it with `engine: vsmr`, which can. Or shut the guest down, end the protection with ' +
      `\`gannet detach ${vm}\`, and start the VM on the other host with a copy of its disks.`,
  );
}

/** Nobody could go on from a last checkpoint. */
export function nobodyToMoveTo(vm: string): GannetError {
  return refusal(
    `the secondary of ${vm} could not take over now, so it cannot be moved`,
    `\`gannet status ${vm}\` shows what is the matter. The guest runs on here.`,
  );
}

/** The guest runs here. */
export function notMoved(vm: string, why: string, cause?: unknown): GannetError {
  return new GannetError(
    'GANNET_STAGE_FAILED',
    `${vm} was not moved: ${why}`,
    `The guest runs on here. If \`gannet status ${vm}\` shows that it is protected, run ` +
      `\`gannet move ${vm}\` again; else do what it says first.`,
    'failed',
    { cause },
  );
}

/** The secondary may have taken over, and does not say so. */
export function stuck(vm: string, to: string, cause: unknown): GannetError {
  return new GannetError(
    'GANNET_TIMEOUT',
    `the guest of ${vm} is stopped, for ${to} to go on, and it is not known whether it does`,
    `See that the daemon on ${to} runs, and the network to it; then run \`gannet move ${vm}\` ` +
      'again, which does the rest. Only if the VM certainly does not run there, and is not to: ' +
      `\`gannet failover ${vm} --force\` here. Nothing is lost in either case.`,
    'timeout',
    { cause },
  );
}

/** The secondary has the VM, and its guest does not run yet. */
export function claimed(vm: string, to: string): GannetError {
  return new GannetError(
    'GANNET_TIMEOUT',
    `${to} has claimed ${vm}, and its guest does not run there yet`,
    `Run \`gannet status ${vm}\` on ${to}: it says why. Then run \`gannet failover ${vm}\` ` +
      'there, which carries on. Nothing is lost.',
    'timeout',
  );
}
