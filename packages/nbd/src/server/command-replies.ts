import {
  EXTENDED_OFFSET_DATA_HEADER_BYTES,
  OFFSET_DATA_HEADER_BYTES,
  SIMPLE_REPLY_BYTES,
} from '../constants.js';
import type { Extent } from '../export.js';
import {
  encodeExtendedBlockStatus,
  encodeExtendedErrorChunk,
  encodeExtendedOffsetData,
} from '../wire/extended-messages.js';
import type { ReplyWriter } from '../wire/replies.js';
import {
  encodeBlockStatus,
  encodeErrorChunk,
  encodeOffsetData,
  encodeSimpleReply,
} from '../wire/transmission-messages.js';
import type { HeaderStyle } from '../wire/transmission-messages.js';

const READ_HEADER_BYTES: Readonly<Record<HeaderStyle, number>> = {
  simple: SIMPLE_REPLY_BYTES,
  structured: OFFSET_DATA_HEADER_BYTES,
  extended: EXTENDED_OFFSET_DATA_HEADER_BYTES,
};

/**
 * The replies to commands in the header style that was negotiated.
 *
 *                simple         structured                  extended
 *     success    simple reply   simple reply                NONE
 *     error      simple reply   ERROR                       ERROR
 *     READ       simple reply   OFFSET_DATA, or NONE        OFFSET_DATA, or NONE
 *     status     (refused)      BLOCK_STATUS                BLOCK_STATUS_EXT
 */
export class CommandReplies {
  /** What precedes the data of a READ. */
  readonly readHeaderBytes: number;
  readonly #headers: HeaderStyle;
  readonly #writer: ReplyWriter;

  constructor(headers: HeaderStyle, writer: ReplyWriter) {
    this.#headers = headers;
    this.#writer = writer;
    this.readHeaderBytes = READ_HEADER_BYTES[headers];
  }

  /** A command without data in its reply has succeeded. */
  success(cookie: Uint8Array): void {
    if (this.#headers === 'extended') this.#writer.extendedNone(cookie);
    else this.#writer.simple(0, cookie);
  }

  /** A command has failed; `error` is a number of section "Error values". */
  error(cookie: Uint8Array, error: number, message: string): void {
    if (this.#headers === 'simple') this.#writer.simple(error, cookie);
    else if (this.#headers === 'structured') {
      this.#writer.push(encodeErrorChunk(cookie, error, message));
    } else this.#writer.push(encodeExtendedErrorChunk(cookie, error, message));
  }

  /** Writes the header of a READ's data to the start of its reply. */
  encodeReadHeader(reply: Buffer, cookie: Uint8Array, offset: number, length: number): void {
    if (this.#headers === 'structured') encodeOffsetData(reply, 0, cookie, offset, length);
    else if (this.#headers === 'extended') {
      encodeExtendedOffsetData(reply, 0, cookie, offset, length);
    } else encodeSimpleReply(reply, 0, 0, cookie);
  }

  /** A READ of no bytes. A content chunk must not be empty, so it is NBD_REPLY_TYPE_NONE. */
  readNothing(cookie: Uint8Array): void {
    if (this.#headers === 'structured') this.#writer.none(cookie);
    else this.success(cookie);
  }

  /** The answer to BLOCK_STATUS, which needs structured replies or extended headers. */
  blockStatus(cookie: Uint8Array, extents: readonly Extent[]): void {
    this.#writer.push(
      this.#headers === 'extended'
        ? encodeExtendedBlockStatus(cookie, extents)
        : encodeBlockStatus(cookie, extents),
    );
  }
}
