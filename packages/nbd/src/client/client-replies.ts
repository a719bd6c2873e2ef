/**
 * Parses the server's replies, without I/O. The data of a READ is copied once, from the receive
 * buffer to its target.
 */

import * as nbd from '../constants.js';
import { NbdCommandError, NbdProtocolError } from '../errors.js';
import type { CommandErrorName } from '../constants.js';
import type { Extent } from '../export.js';
import type { NegotiatedExport } from './client-handshake.js';
import { readU64 } from '../wire/transmission-messages.js';

/** A request that was sent and waits for its reply. */
export interface SentRequest {
  /** Where the data of a READ goes; empty for other requests. */
  readonly target: Uint8Array;
  readonly offset: number;
  /** Bytes of `target` that have been received. */
  filled: number;
  extents: Extent[];
  failure: NbdCommandError | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Longest chunk payload, other than data, that is accepted, in bytes. */
const PAYLOAD_MAX_BYTES = 8 + 16 * nbd.EXTENTS_MAX;
const HEADER_MAX_BYTES = nbd.EXTENDED_OFFSET_DATA_HEADER_BYTES;

/** Parses replies, and settles the requests that they answer. */
export class ReplyReader {
  readonly #pending: Map<number, SentRequest>;
  readonly #contextId: number | undefined;
  readonly #header = Buffer.alloc(HEADER_MAX_BYTES);
  #headerFill = 0;
  readonly #isExtended: boolean;
  readonly #chunkHeaderBytes: number;
  /** What is received before the kind of reply is known. */
  readonly #firstBytes: number;
  #headerWanted: number;
  /** The reply whose data or payload is being received. */
  #request: SentRequest | undefined;
  #cookie = 0;
  #dataLeft = 0;
  #dataAt = 0;
  #done = false;
  #payload: Buffer | undefined;
  #payloadFill = 0;

  /** @param pending requests by the low half of their cookie; answered ones are removed */
  constructor(
    pending: Map<number, SentRequest>,
    { contextId, headers }: Pick<NegotiatedExport, 'contextId' | 'headers'>,
  ) {
    this.#pending = pending;
    this.#contextId = contextId;
    this.#isExtended = headers === 'extended';
    this.#chunkHeaderBytes = this.#isExtended
      ? nbd.EXTENDED_CHUNK_HEADER_BYTES
      : nbd.CHUNK_HEADER_BYTES;
    this.#firstBytes = this.#isExtended ? this.#chunkHeaderBytes : nbd.SIMPLE_REPLY_BYTES;
    this.#headerWanted = this.#firstBytes;
  }

  /**
   * Parses what was received.
   *
   * @throws NbdProtocolError after which the connection must not be used
   */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#dataLeft > 0) at += this.#takeData(bytes, at);
      else if (this.#payload !== undefined) at += this.#takePayload(bytes, at, this.#payload);
      else at += this.#takeHeader(bytes, at);
    }
  }

  #takeHeader(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#headerWanted - this.#headerFill);
    const copied = bytes.copy(this.#header, this.#headerFill, at, end);
    this.#headerFill += copied;
    if (this.#headerFill < this.#headerWanted) return copied;
    const magic = this.#header.readUInt32BE(0);
    const chunkMagic = this.#isExtended
      ? nbd.NBD_EXTENDED_REPLY_MAGIC
      : nbd.NBD_STRUCTURED_REPLY_MAGIC;
    if (magic === nbd.NBD_SIMPLE_REPLY_MAGIC && !this.#isExtended) {
      this.#resetHeader();
      this.#simple();
    } else if (magic !== chunkMagic) {
      throw new NbdProtocolError('a reply does not begin with a reply magic');
    } else if (this.#headerWanted < this.#chunkHeaderBytes) {
      this.#headerWanted = this.#chunkHeaderBytes;
    } else {
      this.#chunk();
    }
    return copied;
  }

  #resetHeader(): void {
    this.#headerFill = 0;
    this.#headerWanted = this.#firstBytes;
  }

  #find(): SentRequest {
    this.#cookie = this.#header.readUInt32BE(12);
    const request =
      this.#header.readUInt32BE(8) === 0 ? this.#pending.get(this.#cookie) : undefined;
    if (request === undefined) throw new NbdProtocolError('a reply to no request');
    this.#request = request;
    return request;
  }

  #simple(): void {
    const request = this.#find();
    this.#done = true;
    const error = this.#header.readUInt32BE(4);
    if (error !== 0) request.failure = commandError(error, '');
    else if (request.target.length > 0) {
      this.#dataAt = 0;
      this.#dataLeft = request.target.length;
      return;
    }
    this.#endChunk();
  }

  #chunk(): void {
    const request = this.#find();
    const type = this.#header.readUInt16BE(6);
    const length = this.#isExtended ? readU64(this.#header, 24) : this.#header.readUInt32BE(16);
    this.#done = (this.#header.readUInt16BE(4) & nbd.NBD_REPLY_FLAG_DONE) !== 0;
    if (type === nbd.NBD_REPLY_TYPE_OFFSET_DATA) {
      if (length < 9) throw new NbdProtocolError('an OFFSET_DATA chunk without data');
      if (this.#headerWanted === this.#chunkHeaderBytes) {
        this.#headerWanted += 8;
        return;
      }
      this.#dataLeft = length - 8;
      this.#dataAt = readU64(this.#header, this.#chunkHeaderBytes) - request.offset;
      checkWithin(request, this.#dataAt, this.#dataLeft);
    } else if (length > 0) {
      if (length > PAYLOAD_MAX_BYTES) throw new NbdProtocolError(`a chunk of ${length} bytes`);
      this.#payload = Buffer.alloc(length);
      this.#payloadFill = 0;
      // The chunk's type stays in the header until the payload is complete.
      this.#headerFill = 0;
      this.#headerWanted = this.#firstBytes;
      return;
    } else if (type !== nbd.NBD_REPLY_TYPE_NONE) {
      throw new NbdProtocolError(`a chunk of type ${type} without a payload`);
    }
    this.#resetHeader();
    if (this.#dataLeft === 0) this.#endChunk();
  }

  #takeData(bytes: Buffer, at: number): number {
    const here = Math.min(this.#dataLeft, bytes.length - at);
    const request = this.#request;
    if (request === undefined) return here;
    request.target.set(bytes.subarray(at, at + here), this.#dataAt);
    request.filled += here;
    this.#dataAt += here;
    this.#dataLeft -= here;
    if (this.#dataLeft === 0) this.#endChunk();
    return here;
  }

  #takePayload(bytes: Buffer, at: number, payload: Buffer): number {
    const copied = bytes.copy(payload, this.#payloadFill, at);
    this.#payloadFill += copied;
    if (this.#payloadFill === payload.length) {
      this.#payload = undefined;
      if (this.#request !== undefined) this.#interpret(this.#request, payload);
      this.#endChunk();
    }
    return copied;
  }

  #interpret(request: SentRequest, payload: Buffer): void {
    const type = this.#header.readUInt16BE(6);
    if ((type & nbd.NBD_REPLY_TYPE_FLAG_ERROR) !== 0) {
      request.failure ??= parseError(payload);
    } else if (type === nbd.NBD_REPLY_TYPE_OFFSET_HOLE && payload.length === 12) {
      const from = readU64(payload, 0) - request.offset;
      const length = payload.readUInt32BE(8);
      checkWithin(request, from, length);
      request.target.fill(0, from, from + length);
      request.filled += length;
    } else if (isBlockStatus(type, payload)) {
      if (payload.readUInt32BE(0) === this.#contextId)
        request.extents = parseExtents(type, payload);
    } else {
      throw new NbdProtocolError(`a chunk of type ${type} with ${payload.length} bytes`);
    }
  }

  #endChunk(): void {
    const request = this.#request;
    if (!this.#done || request === undefined) return;
    this.#pending.delete(this.#cookie);
    this.#request = undefined;
    if (request.failure !== undefined) request.reject(request.failure);
    else if (request.filled < request.target.length) {
      throw new NbdProtocolError(`${request.filled} of ${request.target.length} bytes read`);
    } else request.resolve();
  }
}

function checkWithin(request: SentRequest, from: number, length: number): void {
  if (from < 0 || length > request.target.length - from) {
    throw new NbdProtocolError('data that was not asked for');
  }
}

function parseError(payload: Buffer): NbdCommandError {
  if (payload.length < 6) throw new NbdProtocolError('a malformed error chunk');
  const end = 6 + payload.readUInt16BE(4);
  if (end > payload.length) throw new NbdProtocolError('a malformed error chunk');
  return commandError(payload.readUInt32BE(0), payload.toString('utf8', 6, end));
}

function commandError(error: number, message: string): NbdCommandError {
  // Unknown values count as EINVAL ("Error values").
  const name = ERROR_NAMES.get(error) ?? 'EINVAL';
  return new NbdCommandError(name, message === '' ? `the server answered ${name}` : message);
}

const ERROR_NAMES: ReadonlyMap<number, CommandErrorName> = new Map(
  (Object.keys(nbd.COMMAND_ERRORS) as CommandErrorName[]).map((name) => [
    nbd.COMMAND_ERRORS[name],
    name,
  ]),
);

function isBlockStatus(type: number, payload: Buffer): boolean {
  if (type === nbd.NBD_REPLY_TYPE_BLOCK_STATUS) return payload.length % 8 === 4;
  if (type !== nbd.NBD_REPLY_TYPE_BLOCK_STATUS_EXT || payload.length < 8) return false;
  return payload.length === 8 + 16 * payload.readUInt32BE(4);
}

function parseExtents(type: number, payload: Buffer): Extent[] {
  const isWide = type === nbd.NBD_REPLY_TYPE_BLOCK_STATUS_EXT;
  const extents: Extent[] = [];
  for (let at = isWide ? 8 : 4; at < payload.length; at += isWide ? 16 : 8) {
    // The upper half of a wide descriptor's flags is not used by base:allocation.
    const flags = payload.readUInt32BE(at + (isWide ? 12 : 4));
    extents.push({
      length: isWide ? readU64(payload, at) : payload.readUInt32BE(at),
      hole: (flags & nbd.NBD_STATE_HOLE) !== 0,
      zero: (flags & nbd.NBD_STATE_ZERO) !== 0,
    });
  }
  return extents;
}
