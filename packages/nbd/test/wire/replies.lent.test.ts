/** Long reads that are sent from where their bytes lie. */
import { describe, expect, it } from '@jest/globals';
import { MemoryExport, NbdCommandError } from '../../src/index.js';
import type { ExportSession, NbdExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { WirePeer, settle } from '../support/wire-peer.js';

const MIB = 1024 * 1024;
const SIZE = 32 * MIB;
const [READ, FLUSH] = [0, 3];

/**
 * An export that counts which of its views are out, each of two pieces, filled with the number of
 * the view.
 */
async function lender(structured: boolean, changes: Partial<ExportSession> = {}) {
  const lent = new Set<number>();
  const asked: number[] = [];
  const disk = new MemoryExport('disk', SIZE);
  const view = (_offset: number, length: number) => {
    const number = asked.push(length);
    lent.add(number);
    const all = Buffer.alloc(length, number);
    const pieces = [all.subarray(0, 5000), all.subarray(5000)];
    const release = (): void => {
      // Called once.
      expect(lent.delete(number)).toBe(true);
      all.fill(0xee);
    };
    return { pieces, release };
  };
  const session = { ...disk.open(), view, ...changes };
  const { name, sizeBytes, features, blockSize } = disk;
  const target: NbdExport = { name, sizeBytes, features, blockSize, open: () => session };
  const peer = new WirePeer({ exports: [target] });
  await peer.enter('disk', { structured });
  return { peer, lent, asked };
}

const reads = (count: number, length: number): Buffer[] =>
  Array.from({ length: count }, (_, at) => bytes.request(READ, `r${at}`, 0, length));

const lengthsOf = (count: number, length: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`r${at}`, length]));

describe.each([false, true])('long reads, structured %p', (structured) => {
  it('are sent without a copy, in order, and held until they are taken', async () => {
    const { peer, lent } = await lender(structured);
    peer.stuck = true;
    peer.send(...reads(3, MIB), bytes.request(FLUSH, 'f', 0, 0));
    await settle();
    expect([...lent]).toEqual([1, 2, 3]);
    peer.unstick();
    const sent = await peer.received();
    expect(lent.size).toBe(0);
    const replies = bytes.takeReplies(sent, lengthsOf(3, MIB));
    expect(replies.map(({ cookie }) => cookie)).toEqual(['r0', 'r1', 'r2', 'f']);
    for (const [at, { data }] of replies.slice(0, 3).entries()) {
      expect(data.subarray(structured ? 8 : 0).equals(Buffer.alloc(MIB, at + 1))).toBe(true);
    }
  });

  it('are let go when the connection breaks, whatever was taken', async () => {
    const { peer, lent } = await lender(structured);
    peer.stuck = true;
    peer.send(...reads(3, MIB));
    await settle();
    expect(lent.size).toBe(3);
    peer.stream.destroy(new Error('reset'));
    peer.unstick();
    await settle();
    expect(lent.size).toBe(0);
  });

  it('are released if the stream takes nothing any more', async () => {
    const { peer, lent } = await lender(structured);
    peer.stream.end();
    peer.send(...reads(1, MIB));
    await settle();
    expect(lent.size).toBe(0);
  });

  it('are copied if too much is lent already', async () => {
    const { peer, lent } = await lender(structured);
    peer.stuck = true;
    peer.send(...reads(12, MIB));
    await settle();
    expect(lent.size).toBe(8);
    peer.unstick();
    const replies = bytes.takeReplies(await peer.received(), lengthsOf(12, MIB));
    // What read() gives is zeros.
    const firsts = replies.map(({ data }) => data[data.length - 1]);
    expect(firsts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);
  });

  it('are answered with the error that the session throws', async () => {
    const { peer } = await lender(structured, {
      view: () => {
        throw new NbdCommandError('ESHUTDOWN', 'retired');
      },
    });
    peer.send(...reads(1, MIB));
    const [reply] = bytes.takeReplies(await peer.received(), {});
    expect(reply).toMatchObject({ cookie: 'r0', error: 108 });
  });

  it('are read if there is no view; short ones always', async () => {
    const { peer, asked } = await lender(structured);
    peer.send(...reads(1, 64 * 1024));
    await peer.received();
    expect(asked).toEqual([]);
    const none = await lender(structured, { view: () => undefined });
    none.peer.send(...reads(1, MIB));
    const [reply] = bytes.takeReplies(await none.peer.received(), lengthsOf(1, MIB));
    expect(reply?.data.subarray(structured ? 8 : 0).equals(Buffer.alloc(MIB))).toBe(true);
  });
});
