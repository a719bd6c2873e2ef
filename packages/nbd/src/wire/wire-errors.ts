/**
 * Turns what a session has thrown into an error on the wire.
 */

import {
  COMMAND_ERRORS,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_READ,
} from '../constants.js';
import type { CommandErrorName } from '../constants.js';
import { NbdCommandError } from '../errors.js';
import type { RequestHeader } from './transmission-messages.js';

/**
 * The error as an `NbdCommandError`, also if it was made by another copy of this package; undefined
 * for any other error.
 */
export function asCommandError(thrown: unknown): NbdCommandError | undefined {
  if (thrown instanceof NbdCommandError) return thrown;
  if (!(thrown instanceof Error) || !('wireError' in thrown)) return undefined;
  const { wireError } = thrown;
  if (typeof wireError !== 'string' || !isCommandErrorName(wireError)) return undefined;
  return new NbdCommandError(wireError, thrown.message, { cause: thrown });
}

function isCommandErrorName(name: string): name is CommandErrorName {
  return Object.hasOwn(COMMAND_ERRORS, name);
}

/** System errors that mean that there is no space ("Error values"). */
const NO_SPACE: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * What the client gets for an error that was not meant for it. Its message may hold secrets, so it
 * is not sent.
 */
export function unexpectedError(cause: unknown): NbdCommandError {
  const isNoSpace = cause instanceof Error && 'code' in cause && NO_SPACE.has(cause.code);
  return isNoSpace
    ? new NbdCommandError('ENOSPC', 'no space left', { cause })
    : new NbdCommandError('EIO', 'input/output error', { cause });
}

/**
 * Replaces an error that the command may not be answered with (section "Error values"): ENOTSUP is
 * only for fast zeroes, EOVERFLOW only for a READ that must not be fragmented.
 */
export function allowedWireError(
  wireError: CommandErrorName,
  request: Pick<RequestHeader, 'type' | 'flags'>,
): CommandErrorName {
  if (wireError === 'ENOTSUP' && (request.flags & NBD_CMD_FLAG_FAST_ZERO) === 0) return 'EINVAL';
  const unfragmented = request.type === NBD_CMD_READ && (request.flags & NBD_CMD_FLAG_DF) !== 0;
  if (wireError === 'EOVERFLOW' && !unfragmented) return 'EINVAL';
  return wireError;
}
