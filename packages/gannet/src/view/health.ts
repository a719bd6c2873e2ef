import type { PrimaryStatus, SecondaryStatus, Status } from '@gannet/contract';
import { hasTakenOver, isDown, replicaLinkOf } from '@gannet/contract/states';

/** The state of VM and protection in one line. `busy` and `idle`: no trouble, but no protection. */
export interface Health {
  readonly level: 'good' | 'busy' | 'idle' | 'warning' | 'bad';
  readonly headline: string;
  readonly remedy: string;
}

const health = (level: Health['level'], headline: string, remedy = ''): Health => ({
  ...{ level, headline, remedy },
});

/** Judges a daemon's status. */
export function healthOf(status: Status): Health {
  return status.role === 'primary' ? ofPrimary(status) : ofSecondary(status);
}

function ofPrimary(status: PrimaryStatus): Health {
  const { vm, state, stage, primaryVm, primaryVmTrouble, peer } = status;
  if (primaryVm === 'lost') {
    const remedy = `On the secondary host, run: gannet failover ${vm}`;
    return health('bad', 'The primary VM has ended', state === 'protected' ? remedy : '');
  }
  if (primaryVm === 'hung') {
    return health(
      'bad',
      'The primary VM does not respond',
      primaryVmTrouble ?? 'Check whether its QEMU process hangs or was stopped.',
    );
  }
  if (state === 'superseded') {
    const remedy = 'End the QEMU here: the secondary has the VM, and is not to be restarted.';
    const headline = 'An outdated copy: the secondary has taken over, this guest is stopped';
    return health('bad', headline, remedy);
  }
  if (state === 'held') {
    const remedy =
      'Start the daemon on the secondary host. Only if the VM certainly does not run there: ' +
      `gannet failover ${vm} --force`;
    return health('bad', 'Held: the QEMU is new, and the secondary may have taken over', remedy);
  }
  if (state === 'unknown') {
    const remedy = primaryVmTrouble ?? 'See the QEMU at the QMP socket of the configuration.';
    return health('bad', 'Its QEMU cannot be asked, so it may be protected or not', remedy);
  }
  if (state === 'alone') {
    const remedy = `Start a new secondary, then run: gannet reprotect ${vm}`;
    return health('bad', 'Unprotected: the VM runs alone', remedy);
  }
  if (primaryVm !== 'ready') {
    const remedy =
      primaryVmTrouble ?? 'Start QEMU with the QMP socket that the configuration names.';
    return health('idle', 'Waiting for QEMU', remedy);
  }
  if (state === 'protecting')
    return health('busy', `Setting up protection: ${stage || 'starting'}`);
  if (state === 'unprotected') {
    return health('idle', 'Not protected', `Run: gannet check ${vm}; then: gannet protect ${vm}`);
  }
  return peer.pulse === 'up' && peer.status?.state === 'protected'
    ? health('good', 'Protected')
    : silent(status, `The secondary is ${peer.status?.state ?? 'unknown'}`);
}

function ofSecondary(status: SecondaryStatus): Health {
  const { vm, state, record, needs, reason, secondaryVm, link, baseTrouble, peer } = status;
  const reprotect = `Start a new secondary, then run: gannet reprotect ${vm}`;
  if (record.word === 'outdated' && hasTakenOver(state)) {
    const remedy = 'End the QEMU here: the primary has the VM.';
    return health('bad', 'An outdated copy: the primary runs on, this guest is stopped', remedy);
  }
  if (state === 'diverged') return health('bad', `Diverged: ${reason}`, needs ?? '');
  if (state === 'retired')
    return health('warning', 'Has taken over, unprotected: runs on its local disks', reprotect);
  if (state === 'failed-over' && baseTrouble !== null)
    return health('bad', `Has taken over, but its storage does not take writes: ${baseTrouble}`);
  if (state === 'failed-over')
    return health('warning', 'Has taken over: moving to its local disks');
  if (isDown(secondaryVm)) {
    return health(
      'bad',
      `The secondary VM ${secondaryVm === 'lost' ? 'has ended' : 'does not respond'}`,
    );
  }
  if (state === 'seeding') {
    return replicaLinkOf(link) === 'whole'
      ? health('busy', 'Receiving the first copy of the disks')
      : health('idle', 'Waiting for the primary', `On the primary host, run: gannet protect ${vm}`);
  }
  if (replicaLinkOf(link) !== 'whole') {
    const remedy = `If the primary has failed, run here: gannet failover ${vm}`;
    return health('warning', `The primary’s link is lost: ${link}`, remedy);
  }
  if (baseTrouble !== null)
    return health('warning', `The base image does not take writes: ${baseTrouble}`);
  return peer.pulse === 'up' || peer.pulse === 'none'
    ? health('good', 'Protected: ready to take over')
    : silent(status, 'The primary has not been heard from yet');
}

function silent({ peer }: Status, otherwise: string): Health {
  const remedy = 'Check the other host, and the network or tunnel to it.';
  if (peer.pulse === 'late') return health('warning', 'The other daemon answers late', remedy);
  if (peer.pulse === 'lost') return health('bad', 'The other daemon does not answer', remedy);
  return health('warning', otherwise);
}
