import { describe, expect, test } from '@jest/globals';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import type { OnFull } from '../../src/replica-options.js';
import { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, SlabPool } from '../../src/memory/slab-pool.js';
import { forSeeds } from '@gannet/test-support/random.js';

const MIB = 1024 * 1024;
const LIMITS = { softBytes: 32 * MIB, hardBytes: 64 * MIB };

/** Time that a test moves. */
class Clock {
  nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  readonly after = (ms: number, callback: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get nextMs(): number | undefined {
    return this.#timers.size > 0
      ? Math.min(...[...this.#timers].map(({ atMs }) => atMs))
      : undefined;
  }

  advance(toMs: number): void {
    this.nowMs = toMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > toMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

interface Scene {
  readonly pool: SlabPool;
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  readonly told: string[];
  open: Overlay;
}

function scene(onFull: OnFull = 'slow'): Scene {
  const pool = new SlabPool();
  const clock = new Clock();
  const told: string[] = [];
  const scene: Scene = {
    ...{ pool, clock, told },
    open: new Overlay(pool),
    budget: new MemoryBudget({
      ...{ pool, limits: { ...LIMITS, onFull }, after: clock.after },
      now: () => clock.nowMs,
      openBytes: () => scene.open.memoryBytes,
      onPressure: () => told.push('pressure'),
      onSpill: () => told.push(`spill from ${Math.floor(pool.usedBytes / MIB)} MiB on`),
      maySlow: () => true,
      onFull: () => {
        told.push('full');
        return false;
      },
    }),
  };
  return scene;
}

describe('I7 bounded memory: MemoryBudget', () => {
  test('a fast guest is slowed to what the base takes, and protection stays', async () => {
    await forSeeds(4, async (random) => {
      const { pool, clock, budget, told, open } = scene();
      const depth = 1 + random.below(16);
      const basePagesPerMs = 2 + 6 * random.next();
      const committed: Overlay[] = [];
      let [underWay, page, takenBack, mostBytes] = [0, 0, 0, 0];
      while (clock.nowMs < 20_000 && !told.includes('full')) {
        while (underWay < depth && clock.nowMs < 20_000 && !told.includes('full')) {
          const overlay = new Overlay(pool);
          for (let i = 0; i < 64; i++) overlay.write(page++ * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
          committed.push(overlay);
          mostBytes = Math.max(mostBytes, pool.usedBytes);
          const answered = budget.charge(64 * PAGE_BYTES);
          underWay++;
          if (answered === undefined) {
            underWay--;
            clock.advance(clock.nowMs + 0.02);
          } else {
            void answered.then(() => underWay--);
          }
          const due = Math.min(
            committed.length,
            Math.floor((clock.nowMs * basePagesPerMs) / 64) - takenBack,
          );
          for (let i = 0; i < due; i++) committed.shift()?.release();
          takenBack += Math.max(0, due);
        }
        clock.advance(clock.nextMs ?? clock.nowMs);
        for (let i = 0; i < 3; i++) await Promise.resolve();
      }
      expect(told).not.toContain('full');
      expect(budget.slowedWrites).toBeGreaterThan(0);
      expect(mostBytes).toBeLessThanOrEqual(LIMITS.hardBytes);
      expect(page).toBeGreaterThan(10_000 * basePagesPerMs);
      expect(open.isEmpty).toBe(true);
    });
  });

  test('nothing is slowed below half way, and no answer waits more than a second', async () => {
    const { pool, clock, budget, told, open } = scene();
    const waits: number[] = [];
    for (let page = 0; !told.includes('full'); page++) {
      open.write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
      const usedBytes = pool.usedBytes;
      const answered = budget.charge(PAGE_BYTES);
      if (answered === undefined) continue;
      expect(usedBytes).toBeGreaterThan(48 * MIB);
      const [beganMs, untilMs] = [clock.nowMs, clock.nextMs ?? NaN];
      waits.push(untilMs - beganMs);
      clock.advance(untilMs);
      await answered;
    }
    expect(waits.length).toBeGreaterThan(100);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
    // With a base that takes nothing, the rest of the budget lasts much longer than at full speed.
    expect(clock.nowMs).toBeGreaterThan(2000);
    expect(told.filter((what) => !what.startsWith('spill'))).toEqual(['pressure', 'full']);
  });

  test('release: nobody is slowed, up to the end', () => {
    const { pool, budget, told, open } = scene('release');
    for (let page = 0; !told.includes('full'); page++) {
      open.write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
      expect(budget.charge(PAGE_BYTES)).toBeUndefined();
    }
    expect(budget.slowedWrites).toBe(0);
    expect(pool.usedBytes).toBeGreaterThan(LIMITS.hardBytes);
  });

  test('spill: from a quarter of the way on, long before anybody is slowed', () => {
    const { budget, told, open } = scene('spill');
    for (let page = 0; budget.slowedWrites === 0; page++) {
      open.write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
      void budget.charge(PAGE_BYTES);
    }
    budget.release();
    expect(told.slice(0, 2)).toEqual(['pressure', 'spill from 40 MiB on']);
  });

  test('a checkpoint is asked for once an epoch, and not against committed pages', () => {
    const { pool, budget, told, open } = scene();
    const committed = new Overlay(pool);
    committed.write(0, Buffer.alloc(40 * MIB));
    void budget.charge(1);
    expect(told).not.toContain('pressure');
    open.write(0, Buffer.alloc(9 * MIB));
    const pressure = (): number => told.filter((what) => what === 'pressure').length;
    for (let i = 0; i < 3; i++) void budget.charge(1);
    expect(pressure()).toBe(1);
    budget.epochBegins();
    void budget.charge(1);
    expect(pressure()).toBe(2);
    budget.release();
  });

  test('all that wait are answered when the protection is given up', async () => {
    const { clock, budget, open } = scene();
    open.write(0, Buffer.alloc(62 * MIB));
    const waiting = [1, 2, 3].map(() => Promise.resolve(budget.charge(MIB)));
    expect(clock.nextMs).toBeGreaterThan(0);
    budget.release();
    await Promise.all(waiting);
    expect(clock.nextMs).toBeUndefined();
  });
});

describe('SlabPool', () => {
  test('keeps what fits the limit, and gives back what epochs no longer need', () => {
    const pool = new SlabPool(8 * MIB);
    const epoch = (slabs: number): void =>
      pool.give(Array.from({ length: slabs }, () => pool.take()));
    epoch(100);
    expect(pool.freeBytes).toBe(8 * MIB);
    const held = Array.from({ length: 8 }, () => pool.take());
    epoch(4);
    expect(pool.usedBytes + pool.freeBytes).toBe(8 * MIB);
    pool.give(held);
    for (let i = 0; i < 80; i++) {
      epoch(20);
      pool.trim();
    }
    expect(pool.freeBytes).toBeLessThanOrEqual(22 * SLAB_BYTES);
    expect(pool.freeBytes).toBeGreaterThanOrEqual(20 * SLAB_BYTES);
    for (let i = 0; i < 80; i++) pool.trim();
    expect(pool.freeBytes).toBe(16 * SLAB_BYTES);
  });
});
