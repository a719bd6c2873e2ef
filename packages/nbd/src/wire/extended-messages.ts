/**
 * Messages with extended headers (NBD_OPT_EXTENDED_HEADERS). In requests and in reply chunks the
 * cookie is followed by the request's offset, so a reply copies 16 bytes of its request: what the
 * other messages call the cookie is both of them here.
 */

import {
  EXTENDED_CHUNK_HEADER_BYTES,
  EXTENDED_REQUEST_BYTES,
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_EXTENDED_REQUEST_MAGIC,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS_EXT,
  NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
} from '../constants.js';
import type { Extent } from '../export.js';
import {
  BASE_ALLOCATION_ID,
  COOKIE_BYTES,
  copyCookie,
  encodeError,
  readU64,
  stateFlags,
  writeU64,
} from './transmission-messages.js';
import type { RequestHeader } from './transmission-messages.js';

/** A cookie and the offset behind it. */
export const COOKIE_AND_OFFSET_BYTES = 16;

/** Decodes the 32 bytes at `at`. @returns false, with `into` unchanged, if the magic is wrong */
export function decodeExtendedRequest(from: Buffer, at: number, into: RequestHeader): boolean {
  if (from.readUInt32BE(at) !== NBD_EXTENDED_REQUEST_MAGIC) return false;
  into.flags = from.readUInt16BE(at + 4);
  into.type = from.readUInt16BE(at + 6);
  copyCookieAndOffset(into.cookie, 0, from, at + 8);
  into.offset = readU64(from, at + 16);
  into.length = readU64(from, at + 24);
  return true;
}

/** Encodes a request header of 32 bytes at the start of `to`. */
export function encodeExtendedRequest(to: Buffer, request: Readonly<RequestHeader>): void {
  to.writeUInt32BE(NBD_EXTENDED_REQUEST_MAGIC, 0);
  to.writeUInt16BE(request.flags, 4);
  to.writeUInt16BE(request.type, 6);
  copyCookie(to, 8, request.cookie, 0);
  writeU64(to, 8 + COOKIE_BYTES, request.offset);
  writeU64(to, EXTENDED_REQUEST_BYTES - 8, request.length);
}

function copyCookieAndOffset(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number): void {
  for (let i = 0; i < COOKIE_AND_OFFSET_BYTES; i++) to[toAt + i] = from[fromAt + i] ?? 0;
}

/** A chunk header, last of its reply: 32 bytes at `at`. */
function encodeHeader(
  to: Buffer,
  at: number,
  type: number,
  cookie: Uint8Array,
  payloadBytes: number,
): void {
  to.writeUInt32BE(NBD_EXTENDED_REPLY_MAGIC, at);
  to.writeUInt16BE(NBD_REPLY_FLAG_DONE, at + 4);
  to.writeUInt16BE(type, at + 6);
  copyCookieAndOffset(to, at + 8, cookie, 0);
  writeU64(to, at + 24, payloadBytes);
}

/** NBD_REPLY_TYPE_NONE: success without data, 32 bytes. */
export function encodeExtendedNone(to: Buffer, at: number, cookie: Uint8Array): void {
  encodeHeader(to, at, NBD_REPLY_TYPE_NONE, cookie, 0);
}

/** The 40 bytes before the data of NBD_REPLY_TYPE_OFFSET_DATA. */
export function encodeExtendedOffsetData(
  to: Buffer,
  at: number,
  cookie: Uint8Array,
  offset: number,
  length: number,
): void {
  encodeHeader(to, at, NBD_REPLY_TYPE_OFFSET_DATA, cookie, length + 8);
  writeU64(to, at + EXTENDED_CHUNK_HEADER_BYTES, offset);
}

/** A complete NBD_REPLY_TYPE_ERROR chunk. The message is cut to the longest string allowed. */
export function encodeExtendedErrorChunk(
  cookie: Uint8Array,
  error: number,
  message: string,
): Buffer {
  const payload = encodeError(error, message);
  const header = Buffer.alloc(EXTENDED_CHUNK_HEADER_BYTES);
  encodeHeader(header, 0, NBD_REPLY_TYPE_ERROR, cookie, payload.length);
  return Buffer.concat([header, payload]);
}

/** A complete NBD_REPLY_TYPE_BLOCK_STATUS_EXT chunk for base:allocation. */
export function encodeExtendedBlockStatus(cookie: Uint8Array, extents: readonly Extent[]): Buffer {
  const payloadBytes = 8 + 16 * extents.length;
  const chunk = Buffer.alloc(EXTENDED_CHUNK_HEADER_BYTES + payloadBytes);
  encodeHeader(chunk, 0, NBD_REPLY_TYPE_BLOCK_STATUS_EXT, cookie, payloadBytes);
  let at = EXTENDED_CHUNK_HEADER_BYTES;
  chunk.writeUInt32BE(BASE_ALLOCATION_ID, at);
  chunk.writeUInt32BE(extents.length, at + 4);
  at += 8;
  for (const extent of extents) {
    writeU64(chunk, at, extent.length);
    writeU64(chunk, at + 8, stateFlags(extent));
    at += 16;
  }
  return chunk;
}
