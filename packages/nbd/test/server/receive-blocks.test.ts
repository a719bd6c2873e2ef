import { describe, expect, it } from '@jest/globals';
import { ReceiveBlocks } from '../../src/server/receive-blocks.js';

/** Park and Miller's generator: the same sequence each time. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (state * 48271) % 0x7fffffff) % below;
}

describe('ReceiveBlocks', () => {
  it('leaves every batch as it was received until it is released', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const below = random(seed);
      const blocks = new ReceiveBlocks();
      const held: { readonly batch: Buffer; readonly mark: number }[] = [];
      for (let step = 0; step < 300; step++) {
        const room = blocks.room();
        expect(room.length).toBeGreaterThanOrEqual(64 * 1024);
        // Within a read the kernel may write all over the room.
        room.fill(0xee);
        const length = 1 + below(below(3) === 0 ? room.length : 5000);
        const mark = below(0xee);
        room.fill(mark, 0, length);
        held.push({ batch: blocks.take(length), mark });
        while (held.length > below(30)) {
          const { batch, mark: wanted } = held.shift()!;
          expect(batch.equals(Buffer.alloc(batch.length, wanted))).toBe(true);
          blocks.release();
        }
      }
    }
  });

  it('goes on with the same memory while batches are released', () => {
    const blocks = new ReceiveBlocks();
    const seen = new Set<ArrayBufferLike>();
    blocks.take(blocks.room().length);
    for (let step = 0; step < 100; step++) {
      const room = blocks.room();
      seen.add(room.buffer);
      blocks.take(room.length);
      blocks.release();
    }
    expect(seen.size).toBe(2);
  });
});
