import { describeError, GannetError } from '@gannet/contract';
import type { PeerTrouble } from './await-peer.js';

/**
 * A stage of `protect` that failed, as the operator is told.
 *
 * @param peer what is the matter with the other side
 */
export function stageFailed(stage: string, cause: unknown, peer?: PeerTrouble): GannetError {
  const { message, remedy } = describeError(cause);
  const isSaid = peer === undefined || message.includes(peer.says);
  const words = isSaid ? message : `${message}; the secondary says: ${peer.says}`;
  const hasRunOut = isTimeout(cause);
  const exit = hasRunOut ? 'timeout' : 'failed';
  // That its QEMU has ended is a consequence, where time ran out.
  const advice = hasRunOut ? remedy : (peer?.remedy ?? remedy);
  return new GannetError('GANNET_STAGE_FAILED', `stage ${stage}: ${words}`, advice, exit, {
    cause,
  });
}

/** Of what was asked, or of the whole stage. */
function isTimeout(cause: unknown): boolean {
  const { name } = ((cause as Error | undefined)?.cause ?? {}) as { name?: unknown };
  return describeError(cause).exit === 'timeout' || name === 'TimeoutError';
}
