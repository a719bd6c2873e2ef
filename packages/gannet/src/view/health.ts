import type { PrimaryStatus, SecondaryStatus, Status } from '@gannet/contract';

/** The whole, in one line. `busy` and `idle` are no trouble, and no protection either. */
export interface Health {
  readonly level: 'good' | 'busy' | 'idle' | 'warning' | 'bad';
  readonly headline: string;
  readonly remedy: string;
}

const health = (level: Health['level'], headline: string, remedy = ''): Health => ({
  ...{ level, headline, remedy },
});

export function healthOf(status: Status): Health {
  return status.role === 'primary' ? ofPrimary(status) : ofSecondary(status);
}

function ofPrimary(status: PrimaryStatus): Health {
  const { vm, state, stage, primaryVm, primaryVmTrouble, peer } = status;
  if (primaryVm === 'lost') {
    const remedy = `On the secondary host: gannet failover ${vm}.`;
    return health('bad', 'The primary VM has ended', state === 'protected' ? remedy : '');
  }
  if (primaryVm === 'hung') {
    return health(
      'bad',
      'The primary VM hangs',
      primaryVmTrouble ?? 'See what its process waits for.',
    );
  }
  if (state === 'superseded') {
    const remedy = 'End the QEMU here: the secondary has the VM, and is not to be restarted.';
    return health(
      'bad',
      'A second copy: the secondary has taken over, this guest is stopped',
      remedy,
    );
  }
  if (state === 'unknown') {
    const remedy = primaryVmTrouble ?? 'See the QEMU at the QMP socket of the configuration.';
    return health('bad', 'Its QEMU cannot be asked, so it may be protected or not', remedy);
  }
  if (state === 'alone') {
    const remedy = `Start a new secondary, then: gannet reprotect ${vm}.`;
    return health('bad', 'Runs alone: nothing protects it', remedy);
  }
  if (primaryVm !== 'ready') {
    const remedy = primaryVmTrouble ?? 'Start QEMU with the QMP socket of the configuration.';
    return health('idle', 'Waits for its QEMU', remedy);
  }
  if (state === 'protecting') return health('busy', `Is being protected: ${stage || 'begins'}`);
  if (state === 'unprotected') {
    return health('idle', 'Not protected', `gannet check ${vm}, then gannet protect ${vm}.`);
  }
  return peer.pulse === 'up' && peer.status?.state === 'protected'
    ? health('good', 'Protected')
    : silent(status, `The secondary is ${peer.status?.state ?? 'unknown'}`);
}

function ofSecondary(status: SecondaryStatus): Health {
  const { vm, state, needs, reason, secondaryVm, link, baseTrouble, peer } = status;
  const reprotect = `Nothing protects it now. Start a new secondary, then: gannet reprotect ${vm}.`;
  if (state === 'diverged') return health('bad', `Diverged: ${reason}`, needs ?? '');
  if (state === 'retired')
    return health('warning', 'Has taken over: runs on its local disks', reprotect);
  if (state === 'failed-over' && baseTrouble !== null)
    return health('bad', `Has taken over, and waits for its storage: ${baseTrouble}`);
  if (state === 'failed-over') return health('warning', 'Has taken over: moves to its local disks');
  if (secondaryVm === 'lost' || secondaryVm === 'hung') {
    return health('bad', `The secondary VM ${secondaryVm === 'lost' ? 'has ended' : 'hangs'}`);
  }
  if (state === 'seeding') {
    return link === 'connected'
      ? health('busy', 'Receives the first copy')
      : health('idle', 'Waits for its primary', `On the primary host: gannet protect ${vm}.`);
  }
  if (link !== 'connected') {
    const remedy = `If the primary is dead: gannet failover ${vm}.`;
    return health('warning', `The primary’s link is lost: ${link}`, remedy);
  }
  if (baseTrouble !== null)
    return health('warning', `The base does not take writes: ${baseTrouble}`);
  return peer.pulse === 'up' || peer.pulse === 'none'
    ? health('good', 'Protected: ready to take over')
    : silent(status, 'The primary is unknown');
}

function silent({ peer }: Status, otherwise: string): Health {
  const remedy = 'See the other host, and the tunnel or network between them.';
  if (peer.pulse === 'late') return health('warning', 'The other daemon is late', remedy);
  if (peer.pulse === 'lost') return health('bad', 'The other daemon is silent', remedy);
  return health('warning', otherwise);
}
