/**
 * What the two sides say to each other. A frame is the length of what follows (u32), a byte for its
 * kind, and its fields; all numbers are big-endian. Lists of pages are a count and page numbers
 * (u32 each).
 *
 *     primary                                     secondary
 *     hello       version, RAM, key of hashes; whether it goes on where an earlier one has ended
 *                                                 resumed    if it does: the last checkpoint
 *     prepare     number of the checkpoint
 *     (or copy)                                   dirty*     pages that it has changed
 *                                                 stopped
 *     hashes      of pages that either changed
 *                                                 want       those that differ, one answer each
 *     pages       contents of these
 *     devices+    state of processors and devices: its size, and parts that differ from that of the
 *                 last checkpoint, each with its offset
 *     end         digest of all pages and devices
 *     (or cancel)                                 committed  or aborted, or copied after a copy
 *     spoilt      what was committed never was: the secondary is not to take over from it
 */
import { protocolError } from '../errors.js';
import { HASH_BYTES, KEY_BYTES } from '../page-hashes.js';

export const PROTOCOL_VERSION = 3;
/** The most that a frame holds after its length. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;
const DIGEST_BYTES = 32;
/** Of the state of processors and devices. */
const DEVICES_BYTES_MAX = 1024 * 1024 * 1024;

/** A part of the state of processors and devices. */
export interface DevicesPart {
  /** Of the whole state. */
  readonly bytes: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** One message of either side. */
export type Frame =
  | {
      readonly kind: 'hello';
      readonly version: number;
      readonly pageBytes: number;
      readonly pages: number;
      readonly key: Uint8Array;
      /** The secondary has a checkpoint already, of a primary's engine that has ended. */
      readonly resumes: boolean;
    }
  | { readonly kind: 'copy' | 'copied' | 'stopped' | 'cancel' }
  | { readonly kind: 'prepare' | 'committed' | 'resumed'; readonly number: number }
  | { readonly kind: 'dirty' | 'want'; readonly pages: Uint32Array }
  | { readonly kind: 'hashes'; readonly pages: Uint32Array; readonly hashes: Uint8Array }
  | { readonly kind: 'pages'; readonly pages: Uint32Array; readonly data: Uint8Array }
  | ({ readonly kind: 'devices' } & DevicesPart)
  | { readonly kind: 'end'; readonly digest: Uint8Array }
  | { readonly kind: 'aborted' | 'spoilt'; readonly reason: string };

/** The kinds by their numbers on the wire, from 1. */
const KINDS = [
  ...['hello', 'copy', 'copied', 'prepare', 'stopped', 'cancel', 'committed', 'dirty'],
  ...['want', 'hashes', 'pages', 'devices', 'end', 'aborted', 'resumed', 'spoilt'],
] as readonly Frame['kind'][];

export function encodeFrame(frame: Frame): Buffer {
  const fields = fieldsOf(frame);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + fields.reduce((sum, { length }) => sum + length, 0));
  head.writeUInt8(KINDS.indexOf(frame.kind) + 1, 4);
  return Buffer.concat([head, ...fields]);
}

function fieldsOf(frame: Frame): Uint8Array[] {
  switch (frame.kind) {
    case 'hello':
      return [
        numbers(frame.version, frame.pageBytes, frame.pages),
        frame.key,
        numbers(Number(frame.resumes)),
      ];
    case 'copy':
    case 'copied':
    case 'stopped':
    case 'cancel':
      return [];
    case 'prepare':
    case 'committed':
    case 'resumed':
      return [numbers(frame.number)];
    case 'dirty':
    case 'want':
      return [pageList(frame.pages)];
    case 'hashes':
      return [pageList(frame.pages), frame.hashes];
    case 'pages':
      return [pageList(frame.pages), frame.data];
    case 'devices':
      return [numbers(frame.bytes, frame.offset), frame.data];
    case 'end':
      return [frame.digest];
    case 'aborted':
    case 'spoilt':
      return [Buffer.from(frame.reason)];
  }
}

/** The size of the RAM that frames are about. */
export interface RamShape {
  readonly pageBytes: number;
  readonly pages: number;
}

/**
 * @param body what follows the length
 * @throws VsmrError VSMR_PROTOCOL
 */
export function decodeFrame(body: Buffer, ram: RamShape): Frame {
  const kind = KINDS[(body[0] ?? 0) - 1];
  const fields = new Fields(body.subarray(1), ram.pages);
  const frame = frameOf(kind, fields, ram.pageBytes);
  fields.expectEnd();
  return frame;
}

function frameOf(kind: Frame['kind'] | undefined, fields: Fields, pageBytes: number): Frame {
  switch (kind) {
    case 'hello': {
      const [version, pageSize, pages] = [fields.number(), fields.number(), fields.number()];
      const key = fields.bytes(KEY_BYTES);
      return { kind, version, pageBytes: pageSize, pages, key, resumes: fields.number() !== 0 };
    }
    case 'copy':
    case 'copied':
    case 'stopped':
    case 'cancel':
      return { kind };
    case 'prepare':
    case 'committed':
    case 'resumed':
      return { kind, number: fields.number() };
    case 'dirty':
    case 'want':
      return { kind, pages: fields.pages() };
    case 'hashes': {
      const pages = fields.pages();
      return { kind, pages, hashes: fields.bytes(pages.length * HASH_BYTES) };
    }
    case 'pages': {
      const pages = fields.pages();
      return { kind, pages, data: fields.bytes(pages.length * pageBytes) };
    }
    case 'devices': {
      const [bytes, offset, data] = [fields.number(), fields.number(), fields.rest()];
      if (bytes <= DEVICES_BYTES_MAX && offset + data.length <= bytes) {
        return { kind, bytes, offset, data };
      }
      throw protocolError('a frame is beyond the end of the state of the devices');
    }
    case 'end':
      return { kind, digest: fields.bytes(DIGEST_BYTES) };
    case 'aborted':
    case 'spoilt':
      return { kind, reason: Buffer.from(fields.rest()).toString() };
    case undefined:
      throw protocolError('a frame of an unknown kind');
  }
}

/** Reads the fields of one frame, in order. */
class Fields {
  #at = 0;

  constructor(
    private readonly body: Buffer,
    private readonly pagesMax: number,
  ) {}

  number(): number {
    return new DataView(this.bytes(4).buffer).getUint32(0);
  }

  /** A copy: the body belongs to the buffer of the reader. */
  bytes(length: number): Uint8Array {
    if (this.#at + length > this.body.length) {
      throw protocolError('a frame is shorter than its fields');
    }
    this.#at += length;
    return Uint8Array.from(this.body.subarray(this.#at - length, this.#at));
  }

  rest(): Uint8Array {
    return this.bytes(this.body.length - this.#at);
  }

  pages(): Uint32Array {
    const count = this.number();
    const view = new DataView(this.bytes(count * 4).buffer);
    const pages = Uint32Array.from({ length: count }, (_, at) => view.getUint32(at * 4));
    if (pages.every((page) => page < this.pagesMax)) return pages;
    throw protocolError('a frame names a page that there is not');
  }

  expectEnd(): void {
    if (this.#at === this.body.length) return;
    throw protocolError('a frame is longer than its fields');
  }
}

function numbers(...values: readonly number[]): Uint8Array {
  return pageNumbers(Uint32Array.from(values));
}

function pageList(pages: Uint32Array): Uint8Array {
  return Buffer.concat([numbers(pages.length), pageNumbers(pages)]);
}

function pageNumbers(pages: Uint32Array): Uint8Array {
  const bytes = Buffer.alloc(pages.length * 4);
  pages.forEach((page, at) => bytes.writeUInt32BE(page, at * 4));
  return bytes;
}
