import { describe, expect, it } from '@jest/globals';
import { MemoryExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { SIZE, STATUS, REQ_ONE, altered, entered, exchange } from '../support/transmission.js';
import { WirePeer } from '../support/wire-peer.js';

describe('block status', () => {
  const extents = [
    { length: 4096, hole: false, zero: false },
    { length: 4096, hole: false, zero: false },
    { length: 4096, hole: true, zero: true },
    { length: 2 ** 33, hole: true, zero: false },
  ];
  const ask = async (offset: number, length: number, flags = 0): Promise<number[]> => {
    const target = altered({ blockStatus: () => extents });
    const peer = await entered(target, { structured: true, meta: true });
    const [reply] = await exchange(peer, [bytes.request(STATUS, 's', offset, length, flags)]);
    expect(reply).toMatchObject({ kind: 5, error: 0 });
    const words: number[] = [];
    for (let at = 0; at < reply!.data.length; at += 4) words.push(reply!.data.readUInt32BE(at));
    return words;
  };

  it('merges equal neighbours and stops at the end of the export', async () => {
    expect(await ask(0, SIZE)).toEqual([1, 8192, 0, 4096, 3, SIZE - 12288, 1]);
  });

  it('lets only the last extent reach beyond the request', async () => {
    expect(await ask(0, 1000)).toEqual([1, 8192, 0]);
    expect(await ask(0, 8192)).toEqual([1, 8192, 0]);
    expect(await ask(0, 8193)).toEqual([1, 8192, 0, 4096, 3]);
  });

  it('gives one extent, within the request, with REQ_ONE', async () => {
    expect(await ask(0, 1000, REQ_ONE)).toEqual([1, 1000, 0]);
    expect(await ask(0, SIZE, REQ_ONE)).toEqual([1, 8192, 0]);
  });

  it('answers EIO if a session reports nothing, EINVAL for no bytes', async () => {
    const none = altered({ blockStatus: () => Promise.resolve([]) });
    const peer = await entered(none, { structured: true, meta: true });
    const replies = await exchange(peer, [
      bytes.request(STATUS, 'a', 0, 10),
      bytes.request(STATUS, 'b', 0, 0),
    ]);
    expect(replies.map(({ cookie, error }) => [cookie, error]).sort()).toEqual([
      ['a', 5],
      ['b', 22],
    ]);
  });

  it('is refused after a later SET_META_CONTEXT that failed', async () => {
    const peer = new WirePeer({ exports: [new MemoryExport('disk', SIZE)] });
    peer.send(bytes.clientFlags(), bytes.option(8));
    peer.send(bytes.option(10, bytes.metaData('disk', ['base:allocation'])), bytes.option(10));
    peer.send(bytes.go('disk'));
    await peer.received();
    const [reply] = await exchange(peer, [bytes.request(STATUS, 's', 0, 10)]);
    expect(reply!.error).toBe(22);
  });

  it('is refused for an export other than the one that the context was set for', async () => {
    const other = new MemoryExport('other', SIZE);
    const peer = new WirePeer({ exports: [new MemoryExport('disk', SIZE), other] });
    peer.send(bytes.clientFlags(), bytes.option(8));
    peer.send(bytes.option(10, bytes.metaData('other', ['base:allocation'])), bytes.go('disk'));
    await peer.received();
    const [reply] = await exchange(peer, [bytes.request(STATUS, 's', 0, 10)]);
    expect(reply!.error).toBe(22);
  });
});
