import { CheckpointerError, type ExternalSource } from '@gannet/checkpointer';
import type { Replica } from '@gannet/replicator';
import { GannetError, type SecondaryConfig } from '@gannet/contract';
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
