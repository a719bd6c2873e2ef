// Where what a session threw becomes an error on the wire: one place, passed last.

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
 * What a session meant to say, also where it was made by another copy of this package; undefined
 * for all else.
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

/**
 * Keeps to what a command may be answered with (section "Error values"): ENOTSUP only to a fast
 * zero, EOVERFLOW only to a READ that must not be fragmented.
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
