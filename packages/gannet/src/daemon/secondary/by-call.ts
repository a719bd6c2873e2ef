import { CheckpointerError, type ExternalSource } from '@gannet/checkpointer';
import { type Replica, ReplicaStateError, snapshotExportName } from '@gannet/replicator';
import { GannetError, type SecondaryConfig, type SnapshotReport } from '@gannet/contract';
import { seedAgain } from '../arbitration/may-take-over.js';

/**
 * A step of a checkpoint that a program makes.
 *
 * @throws GannetError GANNET_REFUSED where an engine makes them, or in the wrong order;
 *   GANNET_STAGE_FAILED if the replica has diverged
 */
export function checkpointByCall(
  { vm, engine, secondary }: SecondaryConfig,
  source: ExternalSource,
  replica: Pick<Replica, 'state' | 'reason'>,
  step: (source: ExternalSource) => void,
): void {
  if (secondary.source !== 'external') {
    const name = engine === 'colo' ? 'COLO' : 'the engine vsmr';
    throw new GannetError(
      'GANNET_REFUSED',
      `checkpoints of this VM come from ${name}`,
      'Set `secondary.source: external` to drive them by call.',
      'refused',
    );
  }
  try {
    step(source);
  } catch (cause) {
    if (!(cause instanceof CheckpointerError)) throw cause;
    const remedy = 'The order is seal, then commit or abort; nothing follows a failover.';
    throw new GannetError('GANNET_REFUSED', cause.message, remedy, 'refused', { cause });
  }
  if (replica.state !== 'diverged') return;
  const message = `the replica of ${vm} has diverged: ${replica.reason}`;
  throw new GannetError('GANNET_STAGE_FAILED', message, seedAgain(vm));
}

/**
 * Holds a snapshot of the last commit until it is dropped.
 *
 * @throws GannetError GANNET_REFUSED if there is nothing to take, to hold again, or to drop
 */
export function snapshotByCall(
  { vm, secondary }: SecondaryConfig,
  { snapshots, disks }: Pick<Replica, 'snapshots' | 'disks'>,
  drop = false,
): SnapshotReport {
  const refuse = (message: string, remedy: string): never => {
    throw new GannetError('GANNET_REFUSED', message, remedy, 'refused');
  };
  if (drop) {
    if (!snapshots.drop()) refuse(`${vm} has no snapshot`, `\`gannet snapshot ${vm}\` takes one.`);
    return { snapshot: null, disks: [] };
  }
  try {
    const snapshot = snapshots.hold();
    const at = encodeURI(secondary.svm).replaceAll('?', '%3F').replaceAll('&', '%26');
    return {
      snapshot,
      disks: disks.map(({ name }) => {
        const uri = `nbd+unix:///${snapshotExportName(disks, name)}?socket=${at}`;
        return { disk: name, uri };
      }),
    };
  } catch (error) {
    if (!(error instanceof ReplicaStateError)) throw error;
    const isHeld = snapshots.view?.isHeld === true;
    return refuse(
      error.message,
      isHeld
        ? `\`gannet status ${vm} --json\` shows it; \`gannet snapshot ${vm} --drop\` drops it.`
        : `Snapshots are taken of a protected VM: \`gannet status ${vm}\` says what is missing.`,
    );
  }
}
