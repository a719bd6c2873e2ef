/** Extended headers (NBD_OPT_EXTENDED_HEADERS), byte by byte. */
import { describe, expect, it } from '@jest/globals';
import { MemoryExport } from '../../src/index.js';
import type { ExportSession, NbdExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { WirePeer, settle } from '../support/wire-peer.js';

const GIB = 1024 ** 3;
const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZERO, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7];
const [REQ_ONE, FAST_ZERO, PAYLOAD_LEN] = [8, 16, 32];

/** An export of 64 GiB of which only the first 64 KiB hold anything. */
function huge(changes: Partial<ExportSession> = {}): NbdExport {
  const disk = new MemoryExport('disk', 64 * 1024);
  const { features, blockSize } = disk;
  const open = (): ExportSession => ({ ...disk.open(), ...changes });
  return { name: 'disk', sizeBytes: 64 * GIB, features, blockSize, open };
}

async function entered(target = huge(), meta = false): Promise<WirePeer> {
  const peer = new WirePeer({ exports: [target] });
  await peer.enter('disk', { extended: true, meta });
  return peer;
}

const text = (value: string): string => Buffer.from(value).toString('hex');
const u64 = (value: number): string => value.toString(16).padStart(16, '0');

/** The header of a reply chunk. */
const chunk = (type: string, cookie: string, offset: string, length: number): string =>
  `6e8a278c0001${type}${text(cookie.padEnd(8, '.'))}${offset}${u64(length)}`;

describe('negotiation', () => {
  const talk = async (
    options: readonly Buffer[],
    offer?: boolean,
  ): Promise<{ peer: WirePeer; types: string[] }> => {
    const peer = new WirePeer({
      exports: [huge()],
      ...(offer === undefined ? {} : { extendedHeaders: offer }),
    });
    peer.send(bytes.clientFlags(), ...options);
    let rest = (await peer.received()).subarray(18);
    const types: string[] = [];
    while (rest.length > 0) {
      const taken = bytes.takeOptionReplies(rest);
      types.push(taken.replies.map(({ type }) => type.toString(16)).join('+'));
      rest = taken.rest;
    }
    return { peer, types };
  };

  it('acknowledges them, and then no structured replies', async () => {
    const { types } = await talk([bytes.option(11), bytes.option(8), bytes.option(11)]);
    expect(types).toEqual(['1', '8000000a', '1']);
  });

  it('may follow structured replies, and allows metadata contexts without them', async () => {
    const meta = bytes.option(10, bytes.metaData('disk', ['base:allocation']));
    expect((await talk([bytes.option(8), bytes.option(11)])).types).toEqual(['1', '1']);
    expect((await talk([bytes.option(11), meta])).types).toEqual(['1', '4+1']);
  });

  it('refuses them if they are not offered', async () => {
    expect((await talk([bytes.option(11), bytes.option(8)], false)).types).toEqual([
      '80000001',
      '1',
    ]);
  });
});

describe('requests and replies', () => {
  it('answers success with NONE, also to a READ of no bytes', async () => {
    const peer = await entered();
    peer.send(bytes.extended(FLUSH, 'a', 0, 0), bytes.extended(READ, 'b', 7, 0));
    expect((await peer.received()).toString('hex')).toBe(
      chunk('0000', 'a', u64(0), 0) + chunk('0000', 'b', u64(7), 0),
    );
  });

  it('writes with and without PAYLOAD_LEN, and reads', async () => {
    const peer = await entered();
    peer.send(
      bytes.extended(WRITE, 'a', 4, 2, PAYLOAD_LEN),
      Buffer.from('hi'),
      bytes.extended(WRITE, 'b', 6, 1),
      Buffer.from('!'),
      bytes.extended(READ, 'c', 4, 3),
    );
    expect((await peer.received()).toString('hex')).toBe(
      chunk('0000', 'a', u64(4), 0) +
        chunk('0000', 'b', u64(6), 0) +
        chunk('0001', 'c', u64(4), 11) +
        u64(4) +
        text('hi!'),
    );
  });

  it('answers errors with the offset of the request, also beyond 2^53', async () => {
    const peer = await entered();
    peer.send(bytes.extended(READ, 'a', 2n ** 64n - 1n, 1), bytes.extended(FLUSH, 'b', 0, 0));
    const replies = await peer.received();
    const [error, after] = bytes.takeReplies(replies);
    expect(replies.toString('hex', 0, 24)).toBe(
      `6e8a278c00018001${text('a.......')}${'f'.repeat(16)}`,
    );
    expect(error).toMatchObject({ error: 22, kind: 0x8001 });
    expect(error?.message).toMatch(/beyond the end/);
    expect(after).toMatchObject({ cookie: 'b', error: 0, kind: 0 });
  });

  it.each([TRIM, CACHE, ZERO, STATUS])(
    'drops the payload of command %p, which has none',
    async (type) => {
      const peer = await entered(huge(), true);
      peer.send(
        bytes.extended(type, 'a', 0, 12, PAYLOAD_LEN),
        Buffer.from('not a header'),
        bytes.extended(FLUSH, 'b', 0, 0),
      );
      const [refused, after] = bytes.takeReplies(await peer.received());
      expect(refused).toMatchObject({ cookie: 'a', error: 22 });
      expect(refused?.message).toMatch(/flags 0x20/);
      expect(after).toMatchObject({ cookie: 'b', error: 0 });
    },
  );

  it.each([
    ['a compact request', bytes.request(FLUSH, 'a', 0, 0), true],
    ['an extended request that was not negotiated', bytes.extended(FLUSH, 'a', 0, 0), false],
    ['a WRITE of 2^40 bytes', bytes.extended(WRITE, 'a', 0, 2 ** 40, PAYLOAD_LEN), true],
  ])('hangs up on %s', async (_name, sent, extended) => {
    const peer = new WirePeer({ exports: [huge()] });
    await peer.enter('disk', { extended });
    peer.send(sent, Buffer.alloc(4));
    await settle();
    expect(peer.closed).toBe(true);
  });

  it('disconnects', async () => {
    const peer = await entered();
    peer.send(bytes.extended(DISC, 'a', 0, 0));
    await settle();
    expect(peer.events.at(-1)).toMatchObject({ end: { kind: 'disconnect' } });
  });

  it('makes no difference where the bytes are split', async () => {
    const conversation = Buffer.concat([
      bytes.extended(WRITE, 'a', 10, 5, PAYLOAD_LEN),
      Buffer.from('hello'),
      bytes.extended(TRIM, 'b', 0, 12 * GIB),
      bytes.extended(READ, 'c', 8, 16),
    ]);
    const answers = new Set<string>();
    for (let cut = 1; cut < conversation.length; cut++) {
      const peer = await entered(huge({ trim: () => undefined }));
      peer.send(conversation.subarray(0, cut));
      await settle();
      peer.send(conversation.subarray(cut));
      answers.add((await peer.received()).toString('hex'));
    }
    expect(answers.size).toBe(1);
  });
});

describe('long ranges', () => {
  it.each([false, true])('reach a session in pieces of at most 1 GiB, later %p', async (later) => {
    const seen: [string, number, number][] = [];
    const note = (name: string) => (offset: number, length: number) => {
      seen.push([name, offset, length]);
      return later ? Promise.resolve() : undefined;
    };
    const session = { trim: note('trim'), writeZeroes: note('zero'), cache: note('cache') };
    const peer = await entered(huge(session));
    peer.send(
      bytes.extended(TRIM, 'a', 512, (5 * GIB) / 2),
      bytes.extended(ZERO, 'b', 0, 5 * GIB),
      bytes.extended(CACHE, 'c', 0, GIB),
    );
    const replies = bytes.takeReplies(await peer.received());
    expect(replies.map(({ cookie, error }) => cookie + String(error)).sort()).toEqual([
      'a0',
      'b0',
      'c0',
    ]);
    expect(seen).toEqual([
      ['trim', 512, GIB],
      ['trim', 512 + GIB, GIB],
      ['trim', 512 + 2 * GIB, GIB / 2],
      ...[0, 1, 2, 3, 4].map((at) => ['zero', at * GIB, GIB]),
      ['cache', 0, GIB],
    ]);
  });

  it.each([false, true])('fail as a whole if one piece fails, later %p', async (later) => {
    let calls = 0;
    const writeZeroes = (): void | Promise<void> => {
      calls += 1;
      if (calls === 1) return later ? Promise.resolve() : undefined;
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const peer = await entered(huge({ writeZeroes }));
    peer.send(bytes.extended(ZERO, 'a', 0, 60 * GIB, FAST_ZERO));
    expect(bytes.takeReplies(await peer.received())).toMatchObject([{ cookie: 'a', error: 28 }]);
    expect(calls).toBe(2);
  });

  it('go beyond the end: refused before the session', async () => {
    const writeZeroes = (): never => {
      throw new Error('must not be called');
    };
    const peer = await entered(huge({ writeZeroes }));
    peer.send(bytes.extended(ZERO, 'a', 1, 64 * GIB), bytes.extended(ZERO, 'b', 0, 2n ** 64n - 1n));
    const replies = bytes.takeReplies(await peer.received());
    expect(replies.map(({ error }) => error)).toEqual([28, 28]);
  });

  it('have a block status of 64 bits', async () => {
    const asked: number[] = [];
    const blockStatus = (_offset: number, length: number) => {
      asked.push(length);
      return [
        { length: 6 * GIB, hole: true, zero: true },
        { length: 4096, hole: false, zero: false },
        { length: 90 * GIB, hole: false, zero: true },
      ];
    };
    const peer = await entered(huge({ blockStatus }), true);
    peer.send(bytes.extended(STATUS, 'a', 0, 64 * GIB));
    expect((await peer.received()).toString('hex')).toBe(
      chunk('0006', 'a', u64(0), 8 + 3 * 16) +
        '00000001' +
        '00000003' +
        (u64(6 * GIB) + u64(3)) +
        (u64(4096) + u64(0)) +
        (u64(58 * GIB - 4096) + u64(2)),
    );
    peer.send(bytes.extended(STATUS, 'b', 0, 5 * GIB, REQ_ONE));
    expect((await peer.received()).toString('hex')).toBe(
      chunk('0006', 'b', u64(0), 8 + 16) + '00000001' + '00000001' + u64(5 * GIB) + u64(3),
    );
    expect(asked).toEqual([2 ** 32 - 65536, 2 ** 32 - 65536]);
  });
});
