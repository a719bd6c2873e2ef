/**
 * The client's side of the handshake, over `send` and `take`. It does no I/O of its own.
 */

import * as nbd from '../constants.js';
import { NbdProtocolError, NbdRefusal } from '../errors.js';
import type { RefusalReason } from '../errors.js';
import type { BlockSize } from '../export.js';
import { REFUSALS } from '../wire/handshake-messages.js';
import { readU64 } from '../wire/transmission-messages.js';
import type { HeaderStyle } from '../wire/transmission-messages.js';

/** A byte stream that is read in exact lengths. */
export interface ByteStream {
  send(bytes: Buffer): void;
  /** Resolves when `length` bytes have been received. */
  take(length: number): Promise<Buffer>;
}

/** What the client asks the server for. */
export interface ClientHandshakeOptions {
  /** The name of the export. */
  readonly export: string;
  /** The most that is asked for; the server may offer less. */
  readonly headers: HeaderStyle;
  /** The metadata context that block status is of; undefined for none. */
  readonly context: string | undefined;
}

/** The export, and what was agreed on. Sizes in bytes, `flags` are transmission flags. */
export interface NegotiatedExport {
  readonly sizeBytes: number;
  readonly flags: number;
  readonly blockSize: BlockSize;
  readonly headers: HeaderStyle;
  /** The id of the metadata context, or undefined if it was not selected. */
  readonly contextId: number | undefined;
}

/** One export of NBD_OPT_LIST. */
export interface ListedExport {
  readonly name: string;
  readonly description: string;
}

interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

/** Most replies to one option, and the longest reply, that the client accepts. */
const REPLIES_MAX = 10_000;
const REPLY_MAX_BYTES = 64 * 1024;

/** The block size of a server that does not report one ("Size constraints"). */
const DEFAULT_BLOCK_SIZE: BlockSize = {
  minimum: 1,
  preferred: 4096,
  maximum: nbd.PAYLOAD_MAX_BYTES,
};

/**
 * Reads the greeting and answers with the client flags.
 *
 * @returns whether both sides agreed on NBD_FLAG_NO_ZEROES
 * @throws NbdProtocolError if the peer is not a fixed newstyle server
 */
export async function greet(stream: ByteStream): Promise<boolean> {
  const greeting = await stream.take(nbd.GREETING_BYTES);
  if (
    greeting.readBigUInt64BE(0) !== nbd.NBD_MAGIC ||
    greeting.readBigUInt64BE(8) !== nbd.NBD_OPTS_MAGIC
  ) {
    throw new NbdProtocolError('the peer is not a newstyle NBD server');
  }
  const flags = greeting.readUInt16BE(16);
  if ((flags & nbd.NBD_FLAG_FIXED_NEWSTYLE) === 0) {
    throw new NbdProtocolError('the server does not speak fixed newstyle');
  }
  const noZeroes = (flags & nbd.NBD_FLAG_NO_ZEROES) !== 0;
  const answer = Buffer.alloc(4);
  answer.writeUInt32BE(nbd.NBD_FLAG_C_FIXED_NEWSTYLE | (noZeroes ? nbd.NBD_FLAG_C_NO_ZEROES : 0));
  stream.send(answer);
  return noZeroes;
}

/**
 * Asks for TLS, whose handshake comes next.
 *
 * @throws NbdRefusal if the server does not offer TLS
 */
export async function startTls(stream: ByteStream): Promise<void> {
  sendOption(stream, nbd.NBD_OPT_STARTTLS, NO_DATA);
  await takeReplies(stream, nbd.NBD_OPT_STARTTLS);
}

/**
 * Negotiates up to the transmission phase.
 *
 * @param noZeroes what greet() returned
 * @throws NbdRefusal if the server refuses the export
 */
export async function negotiate(
  stream: ByteStream,
  noZeroes: boolean,
  options: ClientHandshakeOptions,
): Promise<NegotiatedExport> {
  const headers = await askHeaders(stream, options.headers);
  const contextId =
    headers !== 'simple' && options.context !== undefined
      ? await askContext(stream, options.export, options.context)
      : undefined;
  const agreed = await go(stream, options.export);
  const entered = agreed ?? (await exportName(stream, options.export, noZeroes));
  return { ...entered, headers, contextId };
}

/** Lists the server's exports (NBD_OPT_LIST). The connection stays in the handshake phase. */
export async function list(stream: ByteStream): Promise<ListedExport[]> {
  sendOption(stream, nbd.NBD_OPT_LIST, NO_DATA);
  const replies = await takeReplies(stream, nbd.NBD_OPT_LIST);
  return replies
    .filter(({ type }) => type === nbd.NBD_REP_SERVER)
    .map(({ data }) => {
      const end = 4 + (data.length < 4 ? data.length : data.readUInt32BE(0));
      if (end > data.length) throw new NbdProtocolError('malformed NBD_REP_SERVER');
      return { name: data.toString('utf8', 4, end), description: data.toString('utf8', end) };
    });
}

/** Ends the handshake (NBD_OPT_ABORT). */
export function abort(stream: ByteStream): void {
  sendOption(stream, nbd.NBD_OPT_ABORT, NO_DATA);
}

const NO_DATA = Buffer.alloc(0);

async function askHeaders(stream: ByteStream, most: HeaderStyle): Promise<HeaderStyle> {
  if (most === 'extended' && (await agrees(stream, nbd.NBD_OPT_EXTENDED_HEADERS))) return most;
  if (most !== 'simple' && (await agrees(stream, nbd.NBD_OPT_STRUCTURED_REPLY))) {
    return 'structured';
  }
  return 'simple';
}

async function agrees(stream: ByteStream, option: number): Promise<boolean> {
  sendOption(stream, option, NO_DATA);
  return (await takeRepliesOr(stream, option)) !== undefined;
}

async function askContext(
  stream: ByteStream,
  name: string,
  wanted: string,
): Promise<number | undefined> {
  const query = lengthPrefixed(wanted);
  const data = Buffer.concat([lengthPrefixed(name), u32(1), query]);
  sendOption(stream, nbd.NBD_OPT_SET_META_CONTEXT, data);
  const replies = await takeRepliesOr(stream, nbd.NBD_OPT_SET_META_CONTEXT);
  const context = replies?.find(({ type }) => type === nbd.NBD_REP_META_CONTEXT);
  return context === undefined || context.data.length < 4
    ? undefined
    : context.data.readUInt32BE(0);
}

type ExportInfo = Pick<NegotiatedExport, 'sizeBytes' | 'flags' | 'blockSize'>;

/** NBD_OPT_GO; undefined if the server does not know it. */
async function go(stream: ByteStream, name: string): Promise<ExportInfo | undefined> {
  const wanted = Buffer.from([0, 1, 0, nbd.NBD_INFO_BLOCK_SIZE]);
  sendOption(stream, nbd.NBD_OPT_GO, Buffer.concat([lengthPrefixed(name), wanted]));
  const replies = await takeRepliesOr(stream, nbd.NBD_OPT_GO);
  if (replies === undefined) return undefined;
  let entered: { sizeBytes: number; flags: number } | undefined;
  let blockSize = DEFAULT_BLOCK_SIZE;
  for (const { type, data } of replies) {
    if (type !== nbd.NBD_REP_INFO || data.length < 2) continue;
    const info = data.readUInt16BE(0);
    if (info === nbd.NBD_INFO_EXPORT && data.length === 12) {
      entered = { sizeBytes: checkedSize(data, 2), flags: data.readUInt16BE(10) };
    } else if (info === nbd.NBD_INFO_BLOCK_SIZE && data.length === 14) {
      blockSize = {
        minimum: data.readUInt32BE(2),
        preferred: data.readUInt32BE(6),
        maximum: data.readUInt32BE(10),
      };
    }
  }
  if (entered === undefined) throw new NbdProtocolError('the server did not send NBD_INFO_EXPORT');
  return { ...entered, blockSize };
}

async function exportName(
  stream: ByteStream,
  name: string,
  noZeroes: boolean,
): Promise<ExportInfo> {
  sendOption(stream, nbd.NBD_OPT_EXPORT_NAME, Buffer.from(name));
  const zeroes = noZeroes ? 0 : nbd.EXPORT_NAME_ZEROES;
  const data = await stream.take(nbd.EXPORT_NAME_REPLY_BYTES + zeroes);
  return {
    sizeBytes: checkedSize(data, 0),
    flags: data.readUInt16BE(8),
    blockSize: DEFAULT_BLOCK_SIZE,
  };
}

function checkedSize(data: Buffer, at: number): number {
  const sizeBytes = readU64(data, at);
  if (!Number.isSafeInteger(sizeBytes))
    throw new NbdProtocolError('the export has 2^53 bytes or more');
  return sizeBytes;
}

function sendOption(stream: ByteStream, option: number, data: Buffer): void {
  const header = Buffer.alloc(nbd.OPTION_HEADER_BYTES);
  header.writeBigUInt64BE(nbd.NBD_OPTS_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(data.length, 12);
  stream.send(Buffer.concat([header, data]));
}

/**
 * Takes all replies up to the ACK.
 *
 * @throws NbdRefusal for an error reply
 */
async function takeReplies(stream: ByteStream, option: number): Promise<OptionReply[]> {
  const replies: OptionReply[] = [];
  while (replies.length < REPLIES_MAX) {
    const reply = await takeReply(stream, option);
    if (reply.type === nbd.NBD_REP_ACK) return replies;
    if (reply.type >= nbd.NBD_REP_FLAG_ERROR) {
      const text = reply.data.toString('utf8');
      throw new NbdRefusal(refusalReason(reply.type), text === '' ? undefined : text);
    }
    replies.push(reply);
  }
  throw new NbdProtocolError(`more than ${REPLIES_MAX} replies to option ${option}`);
}

/** The same, but undefined if the server does not support the option. */
async function takeRepliesOr(
  stream: ByteStream,
  option: number,
): Promise<OptionReply[] | undefined> {
  try {
    return await takeReplies(stream, option);
  } catch (error) {
    if (error instanceof NbdRefusal && error.reason === 'unsupported') return undefined;
    throw error;
  }
}

async function takeReply(stream: ByteStream, option: number): Promise<OptionReply> {
  const header = await stream.take(nbd.OPTION_REPLY_HEADER_BYTES);
  const length = header.readUInt32BE(16);
  if (header.readBigUInt64BE(0) !== nbd.NBD_REP_MAGIC || header.readUInt32BE(8) !== option) {
    throw new NbdProtocolError(`expected a reply to option ${option}`);
  }
  if (length > REPLY_MAX_BYTES) throw new NbdProtocolError(`an option reply of ${length} bytes`);
  return { type: header.readUInt32BE(12), data: await stream.take(length) };
}

function refusalReason(type: number): RefusalReason {
  for (const reason of Object.keys(REFUSALS) as RefusalReason[]) {
    if (REFUSALS[reason] === type) return reason;
  }
  return 'unsupported';
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
