/**
 * What a cluster manager has to know of one instance of a VM, by the verdict of its daemon: the
 * agent `ocf:gannet:vm` passes it on. Pure.
 */
import {
  hasTakenOver,
  type SecondaryStatus,
  type Status,
  type VerdictCode,
} from '@gannet/contract';

/**
 * - `running`: all is well
 * - `degraded`: it runs, and lacks something
 * - `failed`: it does not do what it is for, and the cluster has to recover it
 */
export type ClusterHealth = 'running' | 'degraded' | 'failed';

/**
 * - `ready`: it may be asked for
 * - `unfit`: this copy may not take over
 * - `under-way`: begun; a crash of this host would lose it
 * - `durable`: done, and a crash of this host loses nothing that the guest has flushed
 */
export type Takeover = 'ready' | 'unfit' | 'under-way' | 'durable';

export interface ClusterReport {
  /** What the QEMU of this side is: the VM, or its replica. */
  readonly copy: 'vm' | 'replica';
  readonly health: ClusterHealth;
  readonly takeover: Takeover;
}

/** `persists`: failed, once it has been so for PATIENCE_MS. */
type Cell = ClusterHealth | 'persists';

/** A guest that stands still this long does not go on by itself. */
export const PATIENCE_MS = 20_000;

/** Of the instance that runs the VM. First from the primary's daemon, then from a survivor's. */
export const OF_VM: Readonly<Record<VerdictCode, readonly [primary: Cell, survivor: Cell]>> = {
  // An operator let the primary run: the other one was stopped for that.
  'survivor-yields': ['degraded', 'failed'],
  'two-copies': ['failed', 'degraded'],
  // That its QEMU has ended, the agent sees itself.
  'survivor-down': ['failed', 'persists'],
  'survivor-storage': ['failed', 'degraded'],
  moved: ['failed', 'degraded'],
  moving: ['failed', 'degraded'],
  survivor: ['failed', 'degraded'],
  superseded: both('failed'),
  held: both('persists'),
  ended: both('failed'),
  'handing-over': both('persists'),
  yielding: both('failed'),
  'stands-still': both('persists'),
  'down-take-over': both('failed'),
  'down-replica-unknown': both('failed'),
  'down-no-replica': both('failed'),
  down: both('failed'),
  hung: both('persists'),
  // Somebody else may have its monitor: its guest runs, as far as is known.
  'cannot-ask': both('degraded'),
  alone: both('degraded'),
  diverged: both('degraded'),
  'secondary-down': both('degraded'),
  protecting: both('degraded'),
  'awaits-qemu': both('persists'),
  unprotected: both('degraded'),
  'replica-late': both('degraded'),
  'link-lost': both('degraded'),
  'not-connected': both('degraded'),
  'peer-silent': both('degraded'),
  'peer-late': both('degraded'),
  'peer-unheard': both('degraded'),
  'base-trouble': both('degraded'),
  unfit: both('degraded'),
  'term-file': both('degraded'),
  protected: both('running'),
  disagreement: both('degraded'),
};

function both(cell: Cell): readonly [Cell, Cell] {
  return [cell, cell];
}

/** @param nowMs the time of day, as that of the verdict's `since` */
export function clusterReport(status: Status, nowMs: number): ClusterReport {
  const isStill = nowMs - Date.parse(status.health.since) >= PATIENCE_MS;
  const judge = (cell: Cell): ClusterHealth =>
    cell === 'persists' ? (isStill ? 'failed' : 'degraded') : cell;
  const [asPrimary, asSurvivor] = OF_VM[status.health.code];
  if (status.role === 'primary') {
    return { copy: 'vm', health: judge(asPrimary), takeover: 'unfit' };
  }
  const takeover = takeoverOf(status);
  if (hasTakenOver(status.state)) return { copy: 'vm', health: judge(asSurvivor), takeover };
  return { copy: 'replica', health: judge(replicaCell(status, takeover)), takeover };
}

function takeoverOf(status: SecondaryStatus): Takeover {
  const { state, record, mayFailOver, isDurable = false, failover } = status;
  if (hasTakenOver(state)) return isDurable ? 'durable' : 'under-way';
  if (record.word === 'taken-over') return state === 'diverged' ? 'unfit' : 'under-way';
  if (failover) return 'under-way';
  const isValid = state === 'protected' && mayFailOver && record.word === 'protected';
  return isValid ? 'ready' : 'unfit';
}

/** A replica that no copy can follow has to be started again. */
function replicaCell(status: SecondaryStatus, takeover: Takeover): Cell {
  const { state, record, secondaryVm } = status;
  if (takeover === 'under-way') return 'degraded';
  if (state === 'diverged' || record.word === 'outdated') return 'failed';
  if (secondaryVm === 'lost' || secondaryVm === 'unusable') return 'failed';
  if (secondaryVm === 'hung') return 'persists';
  return takeover === 'ready' ? 'running' : 'degraded';
}
