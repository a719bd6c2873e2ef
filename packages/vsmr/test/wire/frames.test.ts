import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeFrame, encodeFrame, type Frame } from '../../src/wire/frames.js';

const RAM = { pageBytes: 8, pages: 1000 };
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const pages = fc.array(fc.nat(999), { maxLength: 20 }).map((list) => Uint32Array.from(list));
const number = fc.nat(2 ** 32 - 1);
const withPages = (perPage: number): fc.Arbitrary<[Uint32Array, Uint8Array]> =>
  pages.chain((list) => fc.tuple(fc.constant(list), bytes(list.length * perPage)));

const frames = fc.oneof<fc.Arbitrary<Frame>[]>(
  fc.record({
    kind: fc.constant('hello' as const),
    version: number,
    pageBytes: number,
    pages: number,
    key: bytes(32),
    resumes: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('copy', 'copied', 'stopped', 'cancel') }),
  fc.record({ kind: fc.constantFrom('prepare', 'committed', 'resumed'), number }),
  fc.record({ kind: fc.constantFrom('dirty', 'want'), pages }),
  withPages(16).map(([list, hashes]) => ({ kind: 'hashes', pages: list, hashes })),
  withPages(8).map(([list, data]) => ({ kind: 'pages', pages: list, data })),
  fc.tuple(fc.uint8Array(), fc.nat(100), fc.nat(100)).map(([data, offset, more]) => ({
    kind: 'devices' as const,
    ...{ bytes: offset + data.length + more, offset, data },
  })),
  fc.record({ kind: fc.constant('end' as const), digest: bytes(32) }),
  fc.record({
    kind: fc.constantFrom('aborted', 'spoilt'),
    reason: fc.string({ unit: 'grapheme' }),
  }),
);

test('what is encoded is decoded', () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const encoded = encodeFrame(frame);
      expect(encoded.readUInt32BE()).toBe(encoded.length - 4);
      expect(decodeFrame(encoded.subarray(4), RAM)).toEqual(frame);
    }),
  );
});

test('any bytes are a frame or an error of the protocol', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
      try {
        decodeFrame(Buffer.from(body), RAM);
      } catch (error) {
        expect(error).toMatchObject({ code: 'VSMR_PROTOCOL' });
      }
    }),
  );
});

describe('refused', () => {
  const refused: [name: string, body: Buffer, message: string][] = [
    ['an unknown kind', Buffer.from([99]), 'unknown kind'],
    ['nothing', Buffer.from([]), 'unknown kind'],
    ['fields that are cut off', body({ kind: 'prepare', number: 1 }).subarray(0, -1), 'shorter'],
    ['bytes too many', Buffer.concat([body({ kind: 'copy' }), Buffer.from([0])]), 'longer'],
    ['a page that there is not', body({ kind: 'want', pages: Uint32Array.of(1000) }), 'a page'],
  ];

  test.each(refused)('%s', (_, wrong, message) => {
    expect(() => decodeFrame(wrong, RAM)).toThrow(message);
  });
});

function body(frame: Frame): Buffer {
  return encodeFrame(frame).subarray(4);
}
