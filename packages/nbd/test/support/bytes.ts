// Wire bytes written a second time, from the protocol document alone: nothing here is shared with
// the sources.

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

const be = (bits: 16 | 32 | 64, value: number | bigint): string =>
  BigInt(value)
    .toString(16)
    .padStart(bits / 4, '0');

export const IHAVEOPT = '49484156454f5054';

export const clientFlags = (flags = 3): Buffer => hex(be(32, flags));

export const option = (number: number, data: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([hex(IHAVEOPT + be(32, number) + be(32, data.length)), data]);

const str32 = (text: string): Buffer =>
  Buffer.concat([hex(be(32, Buffer.byteLength(text))), Buffer.from(text)]);

export const goData = (name: string, infos: readonly number[] = [3]): Buffer =>
  Buffer.concat([
    str32(name),
    hex(be(16, infos.length)),
    ...infos.map((info) => hex(be(16, info))),
  ]);

export const go = (name: string, infos?: readonly number[]): Buffer =>
  option(7, goData(name, infos));

export const metaData = (name: string, queries: readonly string[]): Buffer =>
  Buffer.concat([str32(name), hex(be(32, queries.length)), ...queries.map(str32)]);

export const request = (
  type: number,
  cookie: string,
  offset: number | bigint,
  length: number,
  flags = 0,
): Buffer =>
  Buffer.concat([
    hex('25609513' + be(16, flags) + be(16, type)),
    Buffer.from(cookie.padEnd(8, '.'), 'latin1'),
    hex(be(64, offset) + be(32, length)),
  ]);

/** A request with extended headers. */
export const extended = (
  type: number,
  cookie: string,
  offset: number | bigint,
  length: number | bigint,
  flags = 0,
): Buffer =>
  Buffer.concat([
    hex('21e41c71' + be(16, flags) + be(16, type)),
    Buffer.from(cookie.padEnd(8, '.'), 'latin1'),
    hex(be(64, offset) + be(64, length)),
  ]);

export const write = (cookie: string, offset: number, data: Buffer, flags = 0): Buffer =>
  Buffer.concat([request(1, cookie, offset, data.length, flags), data]);

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** Takes option replies off `bytes` up to the first that is final: an ACK or an error. */
export function takeOptionReplies(bytes: Buffer): { replies: OptionReply[]; rest: Buffer } {
  const replies: OptionReply[] = [];
  for (let at = 0; ;) {
    if (bytes.readBigUInt64BE(at) !== 0x3e889045565a9n) throw new Error('no option reply');
    const type = bytes.readUInt32BE(at + 12);
    const end = at + 20 + bytes.readUInt32BE(at + 16);
    replies.push({ option: bytes.readUInt32BE(at + 8), type, data: bytes.subarray(at + 20, end) });
    at = end;
    if (type === 1 || type >= 0x80000000) return { replies, rest: bytes.subarray(at) };
  }
}

export interface Reply {
  readonly cookie: string;
  readonly error: number;
  readonly message: string;
  readonly data: Buffer;
  readonly kind: 'simple' | number;
}

/** Takes all replies apart; `readLengths` tells how many bytes follow a simple reply to a READ. */
export function takeReplies(
  bytes: Buffer,
  readLengths: Readonly<Record<string, number>> = {},
): Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at < bytes.length;) {
    const cookie = bytes.toString('latin1', at + 8, at + 16).replace(/\.+$/, '');
    if (bytes.readUInt32BE(at) === 0x67446698) {
      const error = bytes.readUInt32BE(at + 4);
      const end = at + 16 + (error === 0 ? (readLengths[cookie] ?? 0) : 0);
      const data = bytes.subarray(at + 16, end);
      replies.push({ cookie, error, message: '', data, kind: 'simple' });
      at = end;
    } else if ([0x668e33ef, 0x6e8a278c].includes(bytes.readUInt32BE(at))) {
      const kind = bytes.readUInt16BE(at + 6);
      const isExtended = bytes.readUInt32BE(at) === 0x6e8a278c;
      const from = at + (isExtended ? 32 : 20);
      const end = from + bytes.readUInt32BE(from - 4);
      const data = bytes.subarray(from, end);
      const failed = (kind & 0x8000) !== 0;
      const error = failed ? data.readUInt32BE(0) : 0;
      const message = failed ? data.toString('utf8', 6, 6 + data.readUInt16BE(4)) : '';
      replies.push({ cookie, error, message, data, kind });
      at = end;
    } else throw new Error(`no reply at ${at}`);
  }
  return replies;
}
