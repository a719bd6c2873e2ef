/** Requests in pieces: where the stream is cut changes nothing. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MemoryExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import {
  SIZE,
  READ,
  DISC,
  FLUSH,
  TRIM,
  ZERO,
  STATUS,
  altered,
  entered,
} from '../support/transmission.js';
import { WirePeer } from '../support/wire-peer.js';

describe('splitting', () => {
  const page = Buffer.from(Array.from({ length: 9000 }, (_, i) => i % 251));
  const conversation = Buffer.concat([
    ...[bytes.clientFlags(), bytes.option(8), bytes.option(3)],
    ...[bytes.option(10, bytes.metaData('disk', ['base:allocation'])), bytes.go('disk')],
    bytes.write('aligned', 4096, page),
    bytes.write('short', 4095, page.subarray(0, 10)),
    bytes.request(READ, 'read', 4000, 9200),
    bytes.request(ZERO, 'zero', 5000, 10),
    bytes.write('bad', SIZE, page.subarray(0, 40)),
    bytes.request(READ, 'again', 4990, 30),
    bytes.request(STATUS, 'status', 0, SIZE),
    bytes.request(DISC, 'bye', 0, 0),
  ]);

  const talk = async (
    cuts: readonly number[],
  ): Promise<{ answers: string; data: Buffer; unaligned: number }> => {
    const disk = new MemoryExport('disk', SIZE);
    const inner = disk.open();
    let unaligned = 0;
    let last = 0;
    const write = (offset: number, data: Uint8Array, fua: boolean): void | Promise<void> => {
      // A piece that continues a request begins on a page.
      if (offset === last && offset % 4096 !== 0) unaligned += 1;
      last = offset + data.length;
      return inner.write(offset, data, fua);
    };
    const peer = new WirePeer({ exports: [altered({ write }, disk)] });
    let from = 0;
    for (const cut of [...cuts, conversation.length]) {
      peer.send(conversation.subarray(from, cut));
      from = cut;
    }
    const answers = (await peer.received()).toString('hex');
    expect(peer.closed).toBe(true);
    return { answers, data: disk.data, unaligned };
  };

  it('makes no difference at any byte', async () => {
    const whole = await talk([]);
    expect(whole.data.subarray(4105, 5000)).toEqual(page.subarray(9, 904));
    for (let cut = 1; cut < conversation.length; cut++) {
      const split = await talk([cut]);
      if (split.answers !== whole.answers) throw new Error(`other answers when split at ${cut}`);
      if (!split.data.equals(whole.data)) throw new Error(`other data when split at ${cut}`);
      if (split.unaligned > 0) throw new Error(`an unaligned piece when split at ${cut}`);
    }
  });

  it('makes no difference byte by byte', async () => {
    const single = Array.from({ length: conversation.length - 1 }, (_, i) => i + 1);
    const [whole, split] = [await talk([]), await talk(single)];
    expect(split.answers).toBe(whole.answers);
    expect(split.data.equals(whole.data)).toBe(true);
    expect(split.unaligned).toBe(0);
  });
});

describe('against a plain buffer', () => {
  const range = fc
    .tuple(fc.nat(SIZE), fc.oneof(fc.nat(64), fc.nat(20000)))
    .map(([offset, length]) => ({ offset, length: Math.min(length, SIZE - offset) }));
  const op = fc.record({
    kind: fc.constantFrom('read', 'write', 'zero', 'trim', 'flush'),
    range,
    fill: fc.integer({ min: 1, max: 255 }),
  });
  const cuts = fc.array(fc.nat({ max: 200_000 }), { maxLength: 30 });

  it.each([
    ['simple', false, false],
    ['structured', true, false],
    ['simple, answered later', false, true],
    ['structured, answered later', true, true],
  ])('reads what was written: %s', async (_name, structured, later) => {
    const run = async (ops: readonly OpOf<typeof op>[], at: readonly number[]): Promise<void> => {
      const model = Buffer.alloc(SIZE);
      const disk = new MemoryExport('disk', SIZE);
      const inner = disk.open();
      // Works at once and answers later, so that the order of effects is that of arrival.
      const read = (offset: number, target: Uint8Array): void | Promise<void> => {
        void inner.read(offset, target);
        return later ? Promise.resolve() : undefined;
      };
      const write = (offset: number, data: Uint8Array): void | Promise<void> => {
        void inner.write(offset, data, false);
        return later ? Promise.resolve() : undefined;
      };
      const sent: Buffer[] = [];
      const lengths: Record<string, number> = {};
      const expected: Record<string, string> = {};
      ops.forEach(({ kind, range: { offset, length }, fill }, i) => {
        const cookie = `c${i}`;
        expected[cookie] = '';
        if (kind === 'read') {
          sent.push(bytes.request(READ, cookie, offset, length));
          lengths[cookie] = length;
          expected[cookie] = model.toString('hex', offset, offset + length);
        } else if (kind === 'write') {
          sent.push(bytes.write(cookie, offset, Buffer.alloc(length, fill)));
          model.fill(fill, offset, offset + length);
        } else if (kind === 'flush') {
          sent.push(bytes.request(FLUSH, cookie, 0, 0));
        } else {
          sent.push(bytes.request(kind === 'zero' ? ZERO : TRIM, cookie, offset, length));
          model.fill(0, offset, offset + length);
        }
      });
      const peer = await entered(altered({ read, write }, disk), { structured });
      const whole = Buffer.concat(sent);
      const sorted = at.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b);
      let from = 0;
      for (const cut of [...sorted, whole.length]) {
        if (cut > from) peer.send(whole.subarray(from, cut));
        from = cut;
      }
      const replies = bytes.takeReplies(await peer.received(), lengths);
      const seen: Record<string, string> = {};
      for (const { cookie, error, data, kind } of replies) {
        expect(error).toBe(0);
        seen[cookie] = data.toString('hex', kind === 1 ? 8 : 0);
      }
      expect(seen).toEqual(expected);
      expect(replies).toHaveLength(ops.length);
      expect(disk.data.equals(model)).toBe(true);
    };
    await fc.assert(fc.asyncProperty(fc.array(op, { minLength: 1, maxLength: 40 }), cuts, run), {
      numRuns: 60,
    });
  });
});

type OpOf<T> = T extends fc.Arbitrary<infer U> ? U : never;
