import { describeError, GannetError } from '@gannet/contract';

/**
 * A stage of `protect` that failed, as the operator is told.
 *
 * @param peerSays what the other side says is the matter with it
 */
export function stageFailed(stage: string, cause: unknown, peerSays?: string): GannetError {
  const { message, remedy } = describeError(cause);
  const isSaid = peerSays === undefined || message.includes(peerSays);
  const words = isSaid ? message : `${message}; the secondary says: ${peerSays}`;
  const exit = isTimeout(cause) ? 'timeout' : 'failed';
  return new GannetError('GANNET_STAGE_FAILED', `stage ${stage}: ${words}`, remedy, exit, {
    cause,
  });
}

/** Of what was asked, or of the whole stage. */
function isTimeout(cause: unknown): boolean {
  const { name } = ((cause as Error | undefined)?.cause ?? {}) as { name?: unknown };
  return describeError(cause).exit === 'timeout' || name === 'TimeoutError';
}
