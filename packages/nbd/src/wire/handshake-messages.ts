/**
 * Messages of the handshake phase, from and to bytes. Parsers return undefined for malformed data.
 */

import {
  EXPORT_NAME_REPLY_BYTES,
  EXPORT_NAME_ZEROES,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_NO_ZEROES,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_EXPORT,
  NBD_MAGIC,
  NBD_OPTS_MAGIC,
  NBD_REP_ERR_BLOCK_SIZE_REQD,
  NBD_REP_ERR_EXT_HEADER_REQD,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_PLATFORM,
  NBD_REP_ERR_POLICY,
  NBD_REP_ERR_SHUTDOWN,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
  NBD_REP_INFO,
  NBD_REP_MAGIC,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
  OPTION_REPLY_HEADER_BYTES,
  STRING_MAX_BYTES,
} from '../constants.js';
import type { RefusalReason } from '../errors.js';
import type { BlockSize, ExportFeatures } from '../export.js';
import { writeU64 } from './transmission-messages.js';

/** The option reply type of each refusal ("Option reply types"). */
export const REFUSALS: Readonly<Record<RefusalReason, number>> = {
  unsupported: NBD_REP_ERR_UNSUP,
  policy: NBD_REP_ERR_POLICY,
  invalid: NBD_REP_ERR_INVALID,
  platform: NBD_REP_ERR_PLATFORM,
  'tls-required': NBD_REP_ERR_TLS_REQD,
  unknown: NBD_REP_ERR_UNKNOWN,
  shutdown: NBD_REP_ERR_SHUTDOWN,
  'block-size-required': NBD_REP_ERR_BLOCK_SIZE_REQD,
  'too-big': NBD_REP_ERR_TOO_BIG,
  'extended-headers-required': NBD_REP_ERR_EXT_HEADER_REQD,
};

/** The server's first message ("Newstyle negotiation"), 18 bytes. */
export function encodeGreeting(): Buffer {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(NBD_MAGIC, 0);
  greeting.writeBigUInt64BE(NBD_OPTS_MAGIC, 8);
  greeting.writeUInt16BE(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES, 16);
  return greeting;
}

/** One reply to an option ("Fixed newstyle negotiation"). */
export function encodeOptionReply(
  option: number,
  type: number,
  data: Uint8Array = NO_DATA,
): Buffer {
  const reply = Buffer.alloc(OPTION_REPLY_HEADER_BYTES + data.length);
  reply.writeBigUInt64BE(NBD_REP_MAGIC, 0);
  reply.writeUInt32BE(option, 8);
  reply.writeUInt32BE(type, 12);
  reply.writeUInt32BE(data.length, 16);
  reply.set(data, OPTION_REPLY_HEADER_BYTES);
  return reply;
}

const NO_DATA = new Uint8Array(0);

/** An error reply with a message for people. */
export function encodeOptionError(option: number, reason: RefusalReason, message: string): Buffer {
  const text = Buffer.from(message).subarray(0, STRING_MAX_BYTES);
  return encodeOptionReply(option, REFUSALS[reason], text);
}

/** NBD_REP_SERVER: one export of a list. */
export function encodeServerReply(option: number, name: string, description = ''): Buffer {
  const nameBytes = Buffer.from(name);
  return encodeOptionReply(
    option,
    NBD_REP_SERVER,
    Buffer.concat([u32(nameBytes.length), nameBytes, Buffer.from(description)]),
  );
}

/** NBD_REP_META_CONTEXT. */
export function encodeMetaContext(option: number, id: number, name: string): Buffer {
  return encodeOptionReply(
    option,
    NBD_REP_META_CONTEXT,
    Buffer.concat([u32(id), Buffer.from(name)]),
  );
}

/** NBD_REP_INFO with NBD_INFO_EXPORT; `flags` are transmission flags. */
export function encodeInfoExport(option: number, sizeBytes: number, flags: number): Buffer {
  const info = Buffer.alloc(12);
  info.writeUInt16BE(NBD_INFO_EXPORT, 0);
  writeU64(info, 2, sizeBytes);
  info.writeUInt16BE(flags, 10);
  return encodeOptionReply(option, NBD_REP_INFO, info);
}

/** NBD_REP_INFO with NBD_INFO_BLOCK_SIZE. */
export function encodeInfoBlockSize(option: number, blockSize: BlockSize): Buffer {
  const info = Buffer.alloc(14);
  info.writeUInt16BE(NBD_INFO_BLOCK_SIZE, 0);
  info.writeUInt32BE(blockSize.minimum, 2);
  info.writeUInt32BE(blockSize.preferred, 6);
  info.writeUInt32BE(blockSize.maximum, 10);
  return encodeOptionReply(option, NBD_REP_INFO, info);
}

/** NBD_REP_INFO with NBD_INFO_NAME or NBD_INFO_DESCRIPTION. */
export function encodeInfoText(option: number, type: number, text: string): Buffer {
  const info = Buffer.alloc(2);
  info.writeUInt16BE(type, 0);
  return encodeOptionReply(option, NBD_REP_INFO, Buffer.concat([info, Buffer.from(text)]));
}

/** The reply to NBD_OPT_EXPORT_NAME. */
export function encodeExportNameReply(sizeBytes: number, flags: number, zeroes: boolean): Buffer {
  const reply = Buffer.alloc(EXPORT_NAME_REPLY_BYTES + (zeroes ? EXPORT_NAME_ZEROES : 0));
  writeU64(reply, 0, sizeBytes);
  reply.writeUInt16BE(flags, 8);
  return reply;
}

/** The transmission flags of an export. NBD_FLAG_SEND_DF needs structured replies. */
export function transmissionFlags(features: ExportFeatures, structured: boolean): number {
  const writable = !features.readOnly;
  let flags = NBD_FLAG_HAS_FLAGS;
  if (features.readOnly) flags |= NBD_FLAG_READ_ONLY;
  if (features.flush) flags |= NBD_FLAG_SEND_FLUSH;
  if (features.fua) flags |= NBD_FLAG_SEND_FUA;
  if (writable && features.trim) flags |= NBD_FLAG_SEND_TRIM;
  if (writable && features.writeZeroes) {
    flags |= NBD_FLAG_SEND_WRITE_ZEROES;
    if (features.fastZero) flags |= NBD_FLAG_SEND_FAST_ZERO;
  }
  if (structured) flags |= NBD_FLAG_SEND_DF;
  if (features.multiConn) flags |= NBD_FLAG_CAN_MULTI_CONN;
  if (features.cache) flags |= NBD_FLAG_SEND_CACHE;
  return flags;
}

/** Data of NBD_OPT_INFO and NBD_OPT_GO: the export's name and the NBD_INFO types asked for. */
export interface InfoRequest {
  readonly name: string;
  readonly wanted: ReadonlySet<number>;
}

/** Undefined if the lengths in it do not add up. */
export function parseInfoRequest(data: Buffer): InfoRequest | undefined {
  const name = parseString(data, 0);
  if (name === undefined || data.length < name.end + 2) return undefined;
  const count = data.readUInt16BE(name.end);
  if (data.length !== name.end + 2 + 2 * count) return undefined;
  const wanted = new Set<number>();
  for (let i = 0; i < count; i++) wanted.add(data.readUInt16BE(name.end + 2 + 2 * i));
  return { name: name.text, wanted };
}

/** Data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

/** Undefined if the lengths in it do not add up. */
export function parseMetaContextRequest(data: Buffer): MetaContextRequest | undefined {
  const name = parseString(data, 0);
  if (name === undefined || data.length < name.end + 4) return undefined;
  const count = data.readUInt32BE(name.end);
  let at = name.end + 4;
  const queries: string[] = [];
  // Each query takes at least the 4 bytes of its length, so a false count fails early.
  for (let i = 0; i < count; i++) {
    const query = parseString(data, at);
    if (query === undefined) return undefined;
    queries.push(query.text);
    at = query.end;
  }
  return at === data.length ? { name: name.text, queries } : undefined;
}

/** A string that is preceded by its length in 32 bits. */
function parseString(data: Buffer, at: number): { text: string; end: number } | undefined {
  if (data.length < at + 4) return undefined;
  const length = data.readUInt32BE(at);
  const end = at + 4 + length;
  if (length > STRING_MAX_BYTES || end > data.length) return undefined;
  return { text: data.toString('utf8', at + 4, end), end };
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
