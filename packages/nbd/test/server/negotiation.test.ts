import { describe, expect, it } from '@jest/globals';
import { MemoryExport, NbdRefusal } from '../../src/index.js';
import type { NbdExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { WirePeer, settle } from '../support/wire-peer.js';

const disk = (): MemoryExport => new MemoryExport('disk', 65536, { description: 'a disk' });

async function ask(
  options: readonly Buffer[],
  exports: readonly NbdExport[] = [disk()],
): Promise<{ peer: WirePeer; replies: bytes.OptionReply[] }> {
  const peer = new WirePeer({ exports });
  peer.send(bytes.clientFlags());
  await peer.received();
  let replies: bytes.OptionReply[] = [];
  for (const option of options) {
    peer.send(option);
    replies = bytes.takeOptionReplies(await peer.received()).replies;
  }
  return { peer, replies };
}

const types = (replies: readonly bytes.OptionReply[]): string[] =>
  replies.map(({ type }) => type.toString(16));

describe('greeting', () => {
  it('is NBDMAGIC, IHAVEOPT, fixed newstyle and no zeroes', async () => {
    const peer = new WirePeer({ exports: [] });
    expect((await peer.received()).toString('hex')).toBe(
      '4e42444d41474943' + bytes.IHAVEOPT + '0003',
    );
  });

  it('hangs up on unknown client flags', async () => {
    const peer = new WirePeer({ exports: [] });
    peer.send(bytes.clientFlags(7));
    await settle();
    expect(peer.closed).toBe(true);
    expect(peer.events.at(-1)).toMatchObject({
      kind: 'ended',
      end: { error: { code: 'NBD_PROTOCOL', message: 'unknown client flags 0x7' } },
    });
  });
});

describe('options', () => {
  it('answers GO with what was asked for', async () => {
    const { replies } = await ask([bytes.go('disk', [1, 2, 3, 99])]);
    expect(replies.map(({ data }) => data.toString('hex'))).toEqual([
      '0000' + '0000000000010000' + '0d6d',
      '0001' + Buffer.from('disk').toString('hex'),
      '0002' + Buffer.from('a disk').toString('hex'),
      '0003' + '00000001' + '00001000' + '02000000',
      '',
    ]);
  });

  it('sends no block size to a client that does not ask', async () => {
    const { replies } = await ask([bytes.go('disk', [])]);
    expect(replies.map(({ data }) => data.length)).toEqual([12, 0]);
  });

  it('offers DF only after structured replies', async () => {
    const { replies } = await ask([bytes.option(8), bytes.go('disk', [])]);
    expect(replies[0]!.data.readUInt16BE(10) & 0x80).toBe(0x80);
  });

  it('answers INFO and stays in the handshake', async () => {
    const info = bytes.option(6, bytes.goData('disk'));
    const { replies } = await ask([info, info]);
    expect(types(replies)).toEqual(['3', '3', '1']);
  });

  it('lists exports', async () => {
    const { replies } = await ask([bytes.option(3)], [disk(), new MemoryExport('b', 1)]);
    expect(replies.map(({ data }) => data.toString('latin1'))).toEqual([
      '\0\0\0\x04diska disk',
      '\0\0\0\x01b1 bytes of memory',
      '',
    ]);
  });

  it('takes the empty name for the only export, and for none of two', async () => {
    expect(types((await ask([bytes.go('')])).replies)).toEqual(['3', '3', '1']);
    const two = [disk(), new MemoryExport('b', 1)];
    expect(types((await ask([bytes.go('')], two)).replies)).toEqual(['80000006']);
  });

  it('lists and sets base:allocation', async () => {
    const list = (queries: readonly string[]): Buffer =>
      bytes.option(9, bytes.metaData('disk', queries));
    for (const queries of [[], ['base:'], ['base:allocation', 'x-foo:bar']]) {
      const { replies } = await ask([bytes.option(8), list(queries)]);
      expect(replies[0]!.data.toString('latin1')).toBe('\0\0\0\0base:allocation');
    }
    expect(types((await ask([bytes.option(8), list(['base:x'])])).replies)).toEqual(['1']);
    const set = bytes.option(10, bytes.metaData('disk', ['base:', 'base:allocation']));
    expect(types((await ask([bytes.option(8), set])).replies)).toEqual(['4', '1']);
    const none = bytes.option(10, bytes.metaData('disk', []));
    expect(types((await ask([bytes.option(8), none])).replies)).toEqual(['1']);
  });

  it.each<[string, Buffer, string, RegExp]>([
    ['STARTTLS', bytes.option(5), '80000001', /TLS/],
    ['STARTTLS with data', bytes.option(5, Buffer.alloc(1)), '80000003', /option 5/],
    ['EXTENDED_HEADERS with data', bytes.option(11, Buffer.alloc(1)), '80000003', /malformed/],
    ['PEEK_EXPORT', bytes.option(4), '80000001', /option 4/],
    ['an unknown option with data', bytes.option(77, Buffer.alloc(9)), '80000001', /option 77/],
    ['LIST with data', bytes.option(3, Buffer.alloc(1)), '80000003', /malformed/],
    ['STRUCTURED_REPLY with data', bytes.option(8, Buffer.alloc(1)), '80000003', /malformed/],
    ['GO without data', bytes.option(7), '80000003', /malformed/],
    ['GO with a name too long', bytes.option(7, bytes.hex('000000ff000000')), '80000003', /malfo/],
    ['GO, bytes left', bytes.option(7, bytes.hex('00000000000000')), '80000003', /malformed/],
    ['GO, infos missing', bytes.option(7, bytes.hex('000000000002 0003')), '80000003', /malformed/],
    ['GO for an unknown export', bytes.go('nope'), '80000006', /no export named "nope"/],
    [
      'SET_META before structured',
      bytes.option(10, bytes.metaData('disk', [])),
      '80000003',
      /first/,
    ],
    ['LIST_META, no count', bytes.option(9, bytes.hex('00000000')), '80000003', /malformed/],
    ['LIST_META, a huge count', bytes.option(9, bytes.hex('00000000ffffffff')), '80000003', /malf/],
    ['LIST_META, unknown', bytes.option(9, bytes.metaData('x', [])), '80000006', /no export/],
    ['data that is too long', bytes.option(3, Buffer.alloc(40000)), '80000009', /32768/],
  ])('refuses %s and goes on', async (_name, option, type, message) => {
    const { peer, replies } = await ask([option]);
    expect(types(replies)).toEqual([type]);
    expect(replies[0]!.data.toString()).toMatch(message);
    peer.send(bytes.go('disk'));
    expect(types(bytes.takeOptionReplies(await peer.received()).replies)).toEqual(['3', '3', '1']);
  });

  it('acknowledges ABORT and closes', async () => {
    const { peer, replies } = await ask([bytes.option(2, Buffer.from('bye'))]);
    expect(types(replies)).toEqual(['1']);
    expect(peer.closed).toBe(true);
  });

  it.each<[string, Buffer]>([
    ['a wrong option magic', Buffer.alloc(16)],
    ['EXPORT_NAME of an unknown export', bytes.option(1, Buffer.from('nope'))],
    ['a giant option', bytes.hex(bytes.IHAVEOPT + '00000003ffffffff')],
    ['too many options', Buffer.concat(Array.from({ length: 129 }, () => bytes.option(99)))],
  ])('hangs up on %s', async (_name, sent) => {
    const peer = new WirePeer({ exports: [disk()] });
    peer.send(bytes.clientFlags(), sent);
    await settle();
    expect(peer.closed).toBe(true);
  });

  it.each([
    [1, 134],
    [3, 10],
  ])('answers EXPORT_NAME, client flags %i, with %i bytes', async (flags, length) => {
    const peer = new WirePeer({ exports: [disk()] });
    peer.send(bytes.clientFlags(flags));
    await peer.received();
    peer.send(bytes.option(1, Buffer.from('disk')));
    const answer = await peer.received();
    expect(answer).toHaveLength(length);
    expect(answer.subarray(0, 10).toString('hex')).toBe('0000000000010000' + '0d6d');
  });
});

describe('opening an export', () => {
  it.each<['policy' | 'shutdown' | 'unknown', string]>([
    ['policy', '80000002'],
    ['shutdown', '80000007'],
    ['unknown', '80000006'],
  ])('passes a refusal for %s on', async (reason, type) => {
    const refusing = disk();
    refusing.open = () => {
      throw new NbdRefusal(reason, 'one client at a time');
    };
    const { peer, replies } = await ask([bytes.go('disk')], [refusing]);
    expect(types(replies)).toEqual([type]);
    expect(replies[0]!.data.toString()).toBe('one client at a time');
    expect(peer.closed).toBe(false);
    peer.send(bytes.option(1, Buffer.from('disk')));
    await settle();
    expect(peer.closed).toBe(true);
  });

  it('does not tell the client about an unexpected failure', async () => {
    const failing = disk();
    failing.open = () => {
      throw new Error('secret');
    };
    const { peer, replies } = await ask([bytes.go('disk')], [failing]);
    expect(types(replies)).toEqual(['80000002']);
    expect(replies[0]!.data.toString()).not.toContain('secret');
    expect(peer.events).toContainEqual(
      expect.objectContaining({ kind: 'failed', command: undefined }),
    );
  });

  it('holds back requests until a slow open is through', async () => {
    const slow = disk();
    let openNow: () => void = () => undefined;
    const session = slow.open();
    const opened = new Promise<void>((resolve) => (openNow = resolve)).then(() => session);
    const { name, sizeBytes, features, blockSize } = slow;
    const target: NbdExport = { name, sizeBytes, features, blockSize, open: () => opened };
    const peer = new WirePeer({ exports: [target] });
    peer.send(bytes.clientFlags(), bytes.go('disk', []));
    peer.send(bytes.write('w', 0, Buffer.from('abcd')), bytes.request(0, 'r', 0, 4));
    await peer.received();
    expect(slow.data.toString('latin1', 0, 4)).toBe('\0\0\0\0');
    openNow();
    const { rest } = bytes.takeOptionReplies(await peer.received());
    const replies = bytes.takeReplies(rest, { r: 4 });
    expect(replies.map(({ cookie, data }) => [cookie, data.toString()])).toEqual([
      ['w', ''],
      ['r', 'abcd'],
    ]);
  });
});
