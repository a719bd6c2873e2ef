/**
 * Every request is validated here, once: after that it is known to be within the export, offered
 * and well-formed. The errors follow section "Error values" and the sections of the commands.
 */

import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from '../constants.js';
import type { CommandErrorName } from '../constants.js';
import type { ExportFeatures } from '../export.js';
import type { HeaderStyle, RequestHeader } from './transmission-messages.js';

/** What decides which requests are valid on a connection. Sizes in bytes. */
export interface RequestRules {
  readonly sizeBytes: number;
  readonly features: ExportFeatures;
  readonly minimumBlock: number;
  readonly payloadMax: number;
  readonly headers: HeaderStyle;
  readonly baseAllocation: boolean;
}

/** Why a request is refused: the error on the wire, and a message for people. */
export interface Rejection {
  readonly wireError: CommandErrorName;
  readonly message: string;
}

/** @returns why the request must be refused, or undefined. NBD_CMD_DISC is always valid. */
export function validate(
  request: Readonly<RequestHeader>,
  rules: RequestRules,
): Rejection | undefined {
  const { type } = request;
  if (type === NBD_CMD_DISC) return undefined;
  return (
    checkOffered(type, rules) ??
    checkFlags(request, rules) ??
    (type === NBD_CMD_FLUSH ? checkFlush(request) : checkRange(request, rules))
  );
}

function invalid(message: string): Rejection {
  return { wireError: 'EINVAL', message };
}

function checkOffered(type: number, rules: RequestRules): Rejection | undefined {
  const { features } = rules;
  switch (type) {
    case NBD_CMD_READ:
      return undefined;
    case NBD_CMD_WRITE:
      return features.readOnly ? READ_ONLY : undefined;
    case NBD_CMD_FLUSH:
      return features.flush ? undefined : invalid('flush was not offered');
    case NBD_CMD_TRIM:
      if (features.readOnly) return READ_ONLY;
      return features.trim ? undefined : invalid('trim was not offered');
    case NBD_CMD_CACHE:
      return features.cache ? undefined : invalid('cache was not offered');
    case NBD_CMD_WRITE_ZEROES:
      if (features.readOnly) return READ_ONLY;
      return features.writeZeroes ? undefined : invalid('write zeroes was not offered');
    case NBD_CMD_BLOCK_STATUS:
      return rules.baseAllocation ? undefined : invalid('no metadata context was negotiated');
    default:
      return invalid(`unknown command ${type}`);
  }
}

const READ_ONLY: Rejection = { wireError: 'EPERM', message: 'the export is read-only' };

function checkFlags(request: Readonly<RequestHeader>, rules: RequestRules): Rejection | undefined {
  if (request.flags === 0) return undefined;
  const unknown = request.flags & ~allowedFlags(request.type, rules);
  return unknown === 0
    ? undefined
    : invalid(`flags 0x${unknown.toString(16)} are not valid for command ${request.type}`);
}

function allowedFlags(type: number, rules: RequestRules): number {
  // FUA, once offered, must be accepted with every command ("Command flags").
  const fua = rules.features.fua ? NBD_CMD_FLAG_FUA : 0;
  switch (type) {
    case NBD_CMD_READ:
      return rules.headers === 'simple' ? fua : fua | NBD_CMD_FLAG_DF;
    case NBD_CMD_WRITE:
      // Required with extended headers; we accept a WRITE without it, as QEMU does.
      return rules.headers === 'extended' ? fua | NBD_CMD_FLAG_PAYLOAD_LEN : fua;
    case NBD_CMD_WRITE_ZEROES:
      return fua | NBD_CMD_FLAG_NO_HOLE | (rules.features.fastZero ? NBD_CMD_FLAG_FAST_ZERO : 0);
    case NBD_CMD_BLOCK_STATUS:
      return fua | NBD_CMD_FLAG_REQ_ONE;
    default:
      return fua;
  }
}

function checkFlush(request: Readonly<RequestHeader>): Rejection | undefined {
  return request.offset === 0 && request.length === 0
    ? undefined
    : invalid('flush takes neither offset nor length');
}

function checkRange(request: Readonly<RequestHeader>, rules: RequestRules): Rejection | undefined {
  const { type, offset, length } = request;
  const hasPayload = type === NBD_CMD_READ || type === NBD_CMD_WRITE;
  if (hasPayload && length > rules.payloadMax) {
    const message = `${length} bytes are more than the maximum payload of ${rules.payloadMax}`;
    // EOVERFLOW is only for reads, and only if DF is supported ("Error values").
    if (type === NBD_CMD_READ && rules.headers !== 'simple')
      return { wireError: 'EOVERFLOW', message };
    return invalid(message);
  }
  // `offset + length` would lose bits for offsets near 2^64.
  if (length > rules.sizeBytes || offset > rules.sizeBytes - length) {
    const message = `${length} bytes at ${offset} go beyond the end at ${rules.sizeBytes}`;
    const writes = type === NBD_CMD_WRITE || type === NBD_CMD_WRITE_ZEROES;
    return { wireError: writes ? 'ENOSPC' : 'EINVAL', message };
  }
  if (
    rules.minimumBlock > 1 &&
    (offset % rules.minimumBlock !== 0 || length % rules.minimumBlock !== 0)
  ) {
    return invalid(`offset and length must be multiples of ${rules.minimumBlock}`);
  }
  // A descriptor covers at least one byte, so there would be no valid reply.
  if (type === NBD_CMD_BLOCK_STATUS && length === 0) return invalid('block status of no bytes');
  return undefined;
}
