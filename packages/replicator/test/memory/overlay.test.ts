import { describe, expect, test } from '@jest/globals';
import { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, SlabPool } from '../../src/memory/slab-pool.js';
import { forSeeds, type Random } from '@gannet/test-support/random.js';

const SIZE = 40 * PAGE_BYTES + 700;

/** What the layer holds, byte by byte: -1 where it holds nothing. */
type Model = Int16Array;

describe('Overlay', () => {
  test('holds what was written and zeroed, byte for byte', async () => {
    await forSeeds(20, (random) => {
      const pool = new SlabPool();
      const overlay = new Overlay(pool);
      const model: Model = new Int16Array(SIZE).fill(-1);
      for (let step = 0; step < 20; step++) {
        change(overlay, model, random);
        expectHeld(overlay, model);
      }
      overlay.release();
      expect(pool.usedBytes).toBe(0);
    });
  });

  test('takes over what a newer layer holds, byte for byte', async () => {
    await forSeeds(20, (random) => {
      const pool = new SlabPool();
      const model: Model = new Int16Array(SIZE).fill(-1);
      const older = new Overlay(pool);
      for (let step = 0; step < 10; step++) change(older, model, random);
      for (let round = 0; round < 3; round++) {
        const newer = new Overlay(pool);
        for (let step = 0; step < 8; step++) change(newer, model, random);
        older.absorb(newer);
        newer.release();
        expectHeld(older, model);
      }
      older.release();
      expect(pool.usedBytes).toBe(0);
    });
  });

  test('when memory runs out in the middle of a write, what it covers by then was written', () => {
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    overlay.write(0, Buffer.alloc(62 * PAGE_BYTES, 1));
    const take = pool.take.bind(pool);
    pool.take = () => {
      throw new RangeError('no memory');
    };
    expect(() => overlay.write(62 * PAGE_BYTES, Buffer.alloc(4 * PAGE_BYTES, 2))).toThrow();
    expect([62, 63, 64].map((page) => overlay.touches(page))).toEqual([true, true, false]);
    const found = Buffer.alloc(PAGE_BYTES);
    overlay.applyTo(63, 0, PAGE_BYTES, found, 0);
    expect(found.equals(Buffer.alloc(PAGE_BYTES, 2))).toBe(true);
    pool.take = take;
    overlay.write(64 * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, 3));
    overlay.applyTo(64, 0, PAGE_BYTES, found, 0);
    expect(found.equals(Buffer.alloc(PAGE_BYTES, 3))).toBe(true);
  });

  test('copies any part of a page over a target, and leaves what it does not hold', async () => {
    await forSeeds(20, (random) => {
      const overlay = new Overlay(new SlabPool());
      const model: Model = new Int16Array(SIZE).fill(-1);
      for (let step = 0; step < 12; step++) change(overlay, model, random);
      for (let look = 0; look < 30; look++) {
        const page = random.below(40);
        const from = random.below(PAGE_BYTES);
        const to = from + 1 + random.below(PAGE_BYTES - from);
        const at = random.below(100);
        const target = Buffer.alloc(at + to - from + 10, 0xee);
        const expected = Buffer.from(target);
        for (let byte = from; byte < to; byte++) {
          const held = model[page * PAGE_BYTES + byte] as number;
          if (held >= 0) expected[at + byte - from] = held;
        }
        overlay.applyTo(page, from, to, target, at);
        expect(target.equals(expected)).toBe(true);
      }
    });
  });

  test('zeroing whole pages takes no page memory; zeroing what was written empties it', () => {
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    overlay.zero(0, 2 ** 40);
    expect(overlay.pageCount).toBe(0);
    expect(overlay.isEmpty).toBe(false);
    expect(pool.usedBytes).toBeLessThan(SLAB_BYTES);
    overlay.write(8192, Buffer.alloc(4096, 1));
    expect(overlay.isZeroed(2)).toBe(false);
    overlay.zero(0, 2 ** 40);
    expect(overlay.isZeroed(2)).toBe(true);
    overlay.release();
    expect(pool.usedBytes).toBe(0);
  });

  test('a page that becomes whole in odd pieces needs no bitmap any more', () => {
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    overlay.write(0, Buffer.alloc(1, 1));
    const before = overlay.memoryBytes;
    overlay.write(1, Buffer.alloc(4095, 1));
    expect(overlay.sectorsOf(0)).toBe(0xff);
    expect(overlay.memoryBytes).toBe(before - PAGE_BYTES / 8);
  });

  test('I7 bounded memory: what is not in slabs is counted too', () => {
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    for (let page = 0; page < 10_000; page += 2) overlay.zero(page * PAGE_BYTES, PAGE_BYTES);
    expect(pool.usedBytes).toBeGreaterThanOrEqual(5000 * 16);
    expect(pool.usedBytes).toBe(overlay.memoryBytes);
    for (let page = 1; page < 2000; page++) overlay.write(page * PAGE_BYTES + 1, Buffer.alloc(1));
    expect(pool.usedBytes).toBe(overlay.memoryBytes);
    overlay.release();
    expect(pool.usedBytes).toBe(0);
  });

  test('memory stays until the last holder lets go', () => {
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    overlay.write(0, Buffer.from('kept'));
    overlay.retain();
    overlay.release();
    new Overlay(pool).write(0, Buffer.alloc(SLAB_BYTES, 0xff));
    const target = Buffer.alloc(4);
    overlay.applyTo(0, 0, 4, target, 0);
    expect(target.toString()).toBe('kept');
  });
});

describe('SlabPool', () => {
  test('keeps free slabs for the next epoch, up to its limit', () => {
    const pool = new SlabPool(2 * SLAB_BYTES);
    const slabs = [pool.take(), pool.take(), pool.take()];
    expect(pool.usedBytes).toBe(3 * SLAB_BYTES);
    pool.give([...slabs]);
    expect(pool.usedBytes).toBe(0);
    const again = [pool.take(), pool.take(), pool.take()];
    expect(again.filter((slab) => slabs.includes(slab))).toHaveLength(2);
  });
});

function change(overlay: Overlay, model: Model, random: Random): void {
  const { offset, length } = random.range(SIZE);
  if (random.next() < 0.3) {
    overlay.zero(offset, length);
    model.fill(0, offset, offset + length);
  } else {
    const data = random.bytes(length);
    overlay.write(offset, data);
    model.set(data, offset);
  }
}

function expectHeld(overlay: Overlay, model: Model): void {
  for (let page = 0; page * PAGE_BYTES < SIZE; page++) {
    const held = model.subarray(page * PAGE_BYTES, Math.min(SIZE, (page + 1) * PAGE_BYTES));
    const target = Buffer.alloc(PAGE_BYTES, 0xee);
    const expected = Buffer.alloc(PAGE_BYTES, 0xee);
    held.forEach((byte, at) => {
      if (byte >= 0) expected[at] = byte;
    });
    overlay.applyTo(page, 0, PAGE_BYTES, target, 0);
    if (!target.equals(expected)) throw new Error(`page ${page} differs`);
    let sectors = 0;
    for (let sector = 0; sector < 8; sector++) {
      const part = held.subarray(sector * 512, (sector + 1) * 512);
      if (part.length === 512 && part.every((byte) => byte >= 0)) sectors |= 1 << sector;
    }
    const wanted = [sectors, held.some((byte) => byte >= 0)];
    expect([overlay.sectorsOf(page), overlay.touches(page)]).toEqual(wanted);
  }
}
