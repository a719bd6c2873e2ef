import { describe, expect, jest, test } from '@jest/globals';
import { runsOf, type Run } from '../../src/disk/merge-epochs.js';
import { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SlabPool } from '../../src/memory/slab-pool.js';
import { forSeeds, type Random } from '@gannet/test-support/random.js';

const SIZE = 40 * PAGE_BYTES + 700;

describe('runsOf', () => {
  test('the latest epoch wins, no byte is in two runs, any order of writes will do', async () => {
    await forSeeds(20, (random) => {
      const pool = new SlabPool();
      const model = new Int16Array(SIZE).fill(-1);
      const layers = Array.from({ length: 1 + random.below(4) }, () => layer(pool, model, random));
      const runs = [...runsOf(layers, random.pick([1, PAGE_BYTES, 3 * PAGE_BYTES, 2 ** 20]))];
      const covered = new Uint8Array(SIZE);
      for (const { offset, length } of runs) {
        for (let at = offset; at < offset + length; at++) {
          if (covered[at] || model[at] === -1)
            throw new Error(`byte ${at} is in two runs, or in none of the epochs`);
          covered[at] = 1;
        }
      }
      expect(model.findIndex((byte, at) => byte >= 0 && !covered[at])).toBe(-1);
      const base = random.bytes(SIZE);
      const expected = Buffer.from(base);
      model.forEach((byte, at) => {
        if (byte >= 0) expected[at] = byte;
      });
      for (const run of shuffled(runs, random)) write(run, base);
      expect(base.equals(expected)).toBe(true);
    });
  });

  test('data runs ascend, are coalesced, and stay within the given length', async () => {
    await forSeeds(15, (random) => {
      const pool = new SlabPool();
      const model = new Int16Array(SIZE).fill(-1);
      const layers = [layer(pool, model, random), layer(pool, model, random)];
      const data = [...runsOf(layers, 4 * PAGE_BYTES)].filter(({ kind }) => kind === 'data');
      for (const [at, run] of data.entries()) {
        expect(run.length).toBeLessThanOrEqual(4 * PAGE_BYTES);
        const before = data[at - 1];
        if (before) expect(run.offset).toBeGreaterThanOrEqual(before.offset + before.length);
      }
    });
  });

  test('pages of a large disk come in order, each once, however many there are', async () => {
    await forSeeds(3, (random) => {
      const pool = new SlabPool();
      const layers = [new Overlay(pool), new Overlay(pool)];
      const wanted = new Set<number>();
      const hot = random.pick([2 ** 13, 2 ** 20, 2 ** 40]);
      for (let i = 0; i < 12_000; i++) {
        const page = random.below(random.next() < 0.5 ? 2 ** 13 : hot);
        wanted.add(page);
        random.pick(layers).write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
      }
      const runs = [...runsOf(layers, PAGE_BYTES)].filter(({ kind }) => kind === 'data');
      const ascending = [...wanted].sort((a, b) => a - b);
      expect(runs.map(({ offset }) => offset / PAGE_BYTES)).toEqual(ascending);
      for (const overlay of layers) overlay.release();
    });
  });

  test.each([
    ['far apart', (at: number) => at * 5003],
    ['close together, but for one', (at: number) => (at === 0 ? 2 ** 45 : at)],
    ['all twice', (at: number) => at % 18_000],
  ])(
    'however many pages there are, there is a pause after each few thousand: %s',
    (_how, pageOf) => {
      const sorted = jest.spyOn(Float64Array.prototype, 'sort');
      const layers = [new Overlay(new SlabPool(0)), new Overlay(new SlabPool(0))];
      const count = 36_000;
      for (let at = 0; at < count; at++) {
        layers[at < count / 2 ? 0 : 1]?.write(pageOf(at) * PAGE_BYTES, Buffer.alloc(512));
      }
      const runs = [...runsOf(layers, PAGE_BYTES)];
      // Each page is looked at four times: when it is fetched, measured, counted and put in its
      // place.
      expect(runs.filter(({ kind }) => kind === 'pause').length).toBeGreaterThan(
        (4 * count) / 16_384,
      );
      for (const { value } of sorted.mock.results) {
        expect((value as Float64Array).length).toBeLessThanOrEqual(4096);
      }
      sorted.mockRestore();
      for (const layer of layers) layer.release();
    },
  );

  test('there are pauses even if all pages were zeroed since and little is written', () => {
    const overlay = new Overlay(new SlabPool(0));
    for (let at = 0; at < 30_000; at++) overlay.write(at * PAGE_BYTES, Buffer.alloc(512));
    overlay.zero(0, 30_000 * PAGE_BYTES);
    const kinds = [...runsOf([overlay], PAGE_BYTES)].map(({ kind }) => kind);
    // 117 MiB, in pieces of 64.
    expect(kinds.filter((kind) => kind === 'zero')).toHaveLength(2);
    // Once for the zeros, once for the data.
    const pauses = kinds.filter((kind) => kind === 'pause');
    expect(pauses.length).toBeGreaterThan((2 * 30_000) / 4096);
    overlay.release();
  });

  test('neighbouring pages of several epochs become one write', () => {
    const pool = new SlabPool();
    const [older, newer] = [new Overlay(pool), new Overlay(pool)];
    older.write(0, Buffer.alloc(3 * PAGE_BYTES, 1));
    newer.write(2 * PAGE_BYTES, Buffer.alloc(2 * PAGE_BYTES, 2));
    const [run, ...rest] = [...runsOf([older, newer], 2 ** 20)];
    expect(rest).toEqual([]);
    expect(run).toMatchObject({ kind: 'data', offset: 0, length: 4 * PAGE_BYTES });
  });

  test('a run of zeros is cut where it would be too long for one write', () => {
    const overlay = new Overlay(new SlabPool());
    overlay.zero(PAGE_BYTES, 5 * 1024 ** 3);
    const runs = [...runsOf([overlay], 2 ** 20)].filter(({ kind }) => kind === 'zero');
    expect(Math.max(...runs.map(({ length }) => length))).toBe(64 * 1024 * 1024);
    let next = PAGE_BYTES;
    for (const { offset, length } of runs) {
      expect(offset).toBe(next);
      next += length;
    }
    expect(next).toBe(PAGE_BYTES + 5 * 1024 ** 3);
  });

  test('a page written over zeros is cut out of their run, one zeroed later is not', () => {
    const overlay = new Overlay(new SlabPool());
    overlay.write(5 * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, 1));
    overlay.zero(0, 10 * PAGE_BYTES);
    overlay.write(3 * PAGE_BYTES + 7, Buffer.from([1]));
    const runs = [...runsOf([overlay], 2 ** 20)].map(({ kind, offset, length }) => [
      kind,
      offset / PAGE_BYTES,
      length / PAGE_BYTES,
    ]);
    expect(runs).toEqual([
      ['zero', 0, 3],
      ['zero', 4, 6],
      ['data', 3, 1],
    ]);
  });
});

function layer(pool: SlabPool, model: Int16Array, random: Random): Overlay {
  const overlay = new Overlay(pool);
  for (let step = random.below(8); step >= 0; step--) {
    const { offset, length } = random.range(SIZE);
    if (random.next() < 0.35) {
      overlay.zero(offset, length);
      model.fill(0, offset, offset + length);
    } else {
      const data = random.bytes(length);
      overlay.write(offset, data);
      model.set(data, offset);
    }
  }
  return overlay;
}

function write(run: Run, base: Buffer): void {
  if (run.kind === 'zero') base.fill(0, run.offset, run.offset + run.length);
  else if (run.kind === 'data') {
    const copied = run.copyTo(base.subarray(run.offset, run.offset + run.length));
    if (copied) throw new Error('nothing of this was spilled');
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => [random.next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}
