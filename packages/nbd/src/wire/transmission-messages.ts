/**
 * Messages of the transmission phase, from and to bytes. Nothing here does I/O, and what every
 * request needs allocates nothing: headers are decoded into an object that the caller keeps, and
 * replies are encoded in place.
 */

import {
  CHUNK_HEADER_BYTES,
  NBD_BASE_ALLOCATION,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REQUEST_MAGIC,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  NBD_STRUCTURED_REPLY_MAGIC,
  REQUEST_BYTES,
  STRING_MAX_BYTES,
} from '../constants.js';
import type { Extent } from '../export.js';

/**
 * The headers that were negotiated for the transmission phase: none of NBD_OPT_STRUCTURED_REPLY and
 * NBD_OPT_EXTENDED_HEADERS, the first, or the second.
 */
export type HeaderStyle = 'simple' | 'structured' | 'extended';

const U32 = 2 ** 32;
/** Length of a cookie, which a reply copies from its request. */
export const COOKIE_BYTES = 8;
/** The id under which this server offers base:allocation. */
export const BASE_ALLOCATION_ID = 1;

/**
 * Reads 64 bits, big endian. Values of 2^53 and more are rounded. They lie beyond the end of any
 * export, so the range check refuses them.
 */
export function readU64(from: Buffer, at: number): number {
  return from.readUInt32BE(at) * U32 + from.readUInt32BE(at + 4);
}

/** Writes a safe integer as 64 bits, big endian. */
export function writeU64(to: Buffer, at: number, value: number): void {
  to.writeUInt32BE(Math.floor(value / U32), at);
  to.writeUInt32BE(value % U32, at + 4);
}

/** A request header ("Request message"), reused for all requests. Offset and length in bytes. */
export class RequestHeader {
  flags = 0;
  type = 0;
  /** Opaque: copied to the reply. With extended headers the offset follows it. */
  readonly cookie: Buffer;
  offset = 0;
  length = 0;

  constructor(cookieBytes = COOKIE_BYTES) {
    this.cookie = Buffer.alloc(cookieBytes);
  }
}

/** Decodes the 28 bytes at `at`. @returns false, with `into` unchanged, if the magic is wrong */
export function decodeRequest(from: Buffer, at: number, into: RequestHeader): boolean {
  if (from.readUInt32BE(at) !== NBD_REQUEST_MAGIC) return false;
  into.flags = from.readUInt16BE(at + 4);
  into.type = from.readUInt16BE(at + 6);
  copyCookie(into.cookie, 0, from, at + 8);
  into.offset = readU64(from, at + 16);
  into.length = from.readUInt32BE(at + 24);
  return true;
}

/** Encodes a request header of 28 bytes at the start of `to`. */
export function encodeRequest(to: Buffer, request: Readonly<RequestHeader>): void {
  to.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
  to.writeUInt16BE(request.flags, 4);
  to.writeUInt16BE(request.type, 6);
  copyCookie(to, 8, request.cookie, 0);
  writeU64(to, 16, request.offset);
  to.writeUInt32BE(request.length, REQUEST_BYTES - 4);
}

/** Copies the 8 bytes of a cookie. A loop is faster than a call into the runtime. */
export function copyCookie(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number): void {
  for (let i = 0; i < COOKIE_BYTES; i++) to[toAt + i] = from[fromAt + i] ?? 0;
}

/** "Simple reply message": 16 bytes at `at`; `error` is a number of section "Error values" or 0. */
export function encodeSimpleReply(to: Buffer, at: number, error: number, cookie: Uint8Array): void {
  to.writeUInt32BE(NBD_SIMPLE_REPLY_MAGIC, at);
  to.writeUInt32BE(error, at + 4);
  copyCookie(to, at + 8, cookie, 0);
}

/** "Structured reply chunk message", last of its reply: 20 bytes at `at`. */
function encodeChunkHeader(
  to: Buffer,
  at: number,
  type: number,
  cookie: Uint8Array,
  length: number,
): void {
  to.writeUInt32BE(NBD_STRUCTURED_REPLY_MAGIC, at);
  to.writeUInt16BE(NBD_REPLY_FLAG_DONE, at + 4);
  to.writeUInt16BE(type, at + 6);
  copyCookie(to, at + 8, cookie, 0);
  to.writeUInt32BE(length, at + 16);
}

/** NBD_REPLY_TYPE_NONE: success without data, 20 bytes. */
export function encodeNone(to: Buffer, at: number, cookie: Uint8Array): void {
  encodeChunkHeader(to, at, NBD_REPLY_TYPE_NONE, cookie, 0);
}

/** The 28 bytes before the data of NBD_REPLY_TYPE_OFFSET_DATA. */
export function encodeOffsetData(
  to: Buffer,
  at: number,
  cookie: Uint8Array,
  offset: number,
  length: number,
): void {
  encodeChunkHeader(to, at, NBD_REPLY_TYPE_OFFSET_DATA, cookie, length + 8);
  writeU64(to, at + CHUNK_HEADER_BYTES, offset);
}

/** A complete NBD_REPLY_TYPE_ERROR chunk. The message is cut to the longest string allowed. */
export function encodeErrorChunk(cookie: Uint8Array, error: number, message: string): Buffer {
  const payload = encodeError(error, message);
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  encodeChunkHeader(header, 0, NBD_REPLY_TYPE_ERROR, cookie, payload.length);
  return Buffer.concat([header, payload]);
}

/** The payload of an error chunk. */
export function encodeError(error: number, message: string): Buffer {
  const text = Buffer.from(message).subarray(0, STRING_MAX_BYTES);
  const payload = Buffer.alloc(6 + text.length);
  payload.writeUInt32BE(error, 0);
  payload.writeUInt16BE(text.length, 4);
  text.copy(payload, 6);
  return payload;
}

/** A complete NBD_REPLY_TYPE_BLOCK_STATUS chunk for base:allocation. */
export function encodeBlockStatus(cookie: Uint8Array, extents: readonly Extent[]): Buffer {
  const length = 4 + 8 * extents.length;
  const chunk = Buffer.alloc(CHUNK_HEADER_BYTES + length);
  encodeChunkHeader(chunk, 0, NBD_REPLY_TYPE_BLOCK_STATUS, cookie, length);
  chunk.writeUInt32BE(BASE_ALLOCATION_ID, CHUNK_HEADER_BYTES);
  let at = CHUNK_HEADER_BYTES + 4;
  for (const extent of extents) {
    chunk.writeUInt32BE(extent.length, at);
    chunk.writeUInt32BE(stateFlags(extent), at + 4);
    at += 8;
  }
  return chunk;
}

/** The status flags of an extent in the context base:allocation. */
export function stateFlags(extent: Extent): number {
  return (extent.hole ? NBD_STATE_HOLE : 0) | (extent.zero ? NBD_STATE_ZERO : 0);
}

/** The metadata contexts that the server knows. */
export const META_CONTEXTS = [{ id: BASE_ALLOCATION_ID, name: NBD_BASE_ALLOCATION }] as const;
