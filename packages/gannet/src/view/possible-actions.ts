/** What a person may do on the page of a daemon, by the state of its side, and what it costs. */
import type { PrimaryStatus, SecondaryStatus, Status } from '@gannet/contract';
import { formatAge, formatBytes, formatMs } from '@gannet/contract/format';

export interface Action {
  readonly method: 'protect' | 'reprotect' | 'checkpoint' | 'move' | 'failover' | 'detach';
  readonly label: string;
  readonly question: string;
  /** What it will cost. */
  readonly cost: string;
  /** It ends a protection, or stops a guest. */
  readonly isGrave: boolean;
}

export function actionsOf(status: Status): readonly Action[] {
  return status.role === 'primary' ? onPrimary(status) : onSecondary(status);
}

function onPrimary(status: PrimaryStatus): readonly Action[] {
  // A guest that stands still runs again when it is started again: nothing here does that.
  if (status.primaryVm !== 'ready' || status.standstill !== undefined) return [];
  switch (status.state) {
    case 'unprotected':
    case 'alone':
      return [protect(status)];
    case 'protecting':
      return [CANCEL];
    case 'protected':
      return status.health.level === 'good'
        ? [checkpoint(status), ...move(status), DETACH]
        : [checkpoint(status), RUN_ALONE, DETACH];
    case 'unknown':
    case 'held':
    case 'yielding':
    case 'ended':
    case 'superseded':
      return [];
  }
}

function onSecondary(status: SecondaryStatus): readonly Action[] {
  switch (status.state) {
    case 'protected':
      return [takeOver(status)];
    case 'failed-over':
      return status.failover ? [] : [FINISH];
    case 'retired':
      // Not where its copy has to yield, nor where the primary runs too.
      return status.health.code === 'survivor' ? [reprotect(status)] : [];
    case 'seeding':
    case 'diverged':
      return [];
  }
}

function protect({ peer, checkpointPeriodMs }: PrimaryStatus): Action {
  const host = peer.status?.host ?? 'the secondary host';
  return {
    method: 'protect',
    label: 'Protect',
    question: `Protect this VM with ${host}?`,
    cost:
      `Copies all disks, then the memory, to ${host} while the guest runs; ${host} needs twice ` +
      'the memory of the VM. From then on the guest is paused for some milliseconds at each ' +
      `checkpoint, every ${formatAge(checkpointPeriodMs)} or sooner.`,
    isGrave: false,
  };
}

function reprotect({ disks, vm }: SecondaryStatus): Action {
  const bytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    method: 'reprotect',
    label: 'Reprotect',
    question: `Protect ${vm} again, with a new secondary?`,
    cost:
      'This daemon becomes the primary. It copies the disks ' +
      `(${formatBytes(bytes)}) and the memory to the host in \`primary\` of its configuration ` +
      'while the guest runs. From then on the guest is paused for some milliseconds at each ' +
      'checkpoint.',
    isGrave: false,
  };
}

function checkpoint({ lastCheckpoint }: PrimaryStatus): Action {
  const pausedMs = lastCheckpoint?.pausedMs ?? undefined;
  const last = pausedMs === undefined ? '' : ` The last pause took ${formatMs(pausedMs)}.`;
  return {
    method: 'checkpoint',
    label: 'Checkpoint now',
    question: 'Make a checkpoint now?',
    cost: `The guest is paused for some milliseconds, as at every checkpoint.${last}`,
    isGrave: false,
  };
}

/** COLO can't. */
function move({ vm, about, peer, lastCheckpoint }: PrimaryStatus): readonly Action[] {
  if (about?.engine !== 'vsmr') return [];
  const host = peer.status?.host ?? 'the secondary host';
  const pausedMs = lastCheckpoint?.pausedMs ?? undefined;
  const last =
    pausedMs === undefined ? '' : ` The last checkpoint alone took ${formatMs(pausedMs)}.`;
  return [
    {
      method: 'move',
      label: 'Move',
      question: `Move ${vm} to ${host}?`,
      cost:
        `The guest stands still for a checkpoint and a takeover, and goes on at ${host}; nothing ` +
        `that it did is lost.${last} It is not protected there until \`reprotect\` has copied ` +
        'all disks to a new secondary.',
      isGrave: true,
    },
  ];
}

function takeOver({ vm, commitAgeMs, about }: SecondaryStatus): Action {
  const age = commitAgeMs === undefined ? '' : `, ${formatAge(commitAgeMs)} ago`;
  const proof = about?.hasFence
    ? 'Without proof that the primary VM has stopped, the fence is run if the primary does not ' +
      'answer: it may switch off that host.'
    : 'This is refused without proof that the primary VM has stopped.';
  return {
    method: 'failover',
    label: 'Fail over',
    question: `Let this secondary take over ${vm}?`,
    cost:
      `Undoes all that the VM did since the last checkpoint${age}. Its guest continues here and ` +
      `moves to the local disks. ${proof}`,
    isGrave: true,
  };
}

const FINISH: Action = {
  method: 'failover',
  label: 'Finish the failover',
  question: 'Go on with the failover?',
  cost: 'Tries the step that failed again. The guest runs here already.',
  isGrave: false,
};

const RUN_ALONE: Action = {
  method: 'failover',
  label: 'Run alone',
  question: 'Run on without the secondary?',
  cost:
    'The guest runs on, and nothing protects it until `protect` has copied all disks again. ' +
    'This is refused while the secondary is well.',
  isGrave: true,
};

const DETACH: Action = {
  method: 'detach',
  label: 'Detach',
  question: 'End the protection?',
  cost:
    'The guest continues without interruption, and is no longer protected: the secondary will ' +
    'not take over. To protect it again, all disks are copied again.',
  isGrave: true,
};

const CANCEL: Action = {
  method: 'detach',
  label: 'Cancel the protection',
  question: 'Stop setting up the protection?',
  cost: 'The guest continues without interruption. What was copied so far is of no use.',
  isGrave: true,
};
