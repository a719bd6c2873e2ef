import { describe, expect, test } from '@jest/globals';
import type { ReadView } from '@gannet/nbd';
import { Disk } from '../../src/disk/disk.js';
import type { BaseStore } from '../../src/images/base-image.js';
import type { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, SlabPool } from '../../src/memory/slab-pool.js';
import { SpillFile } from '../../src/memory/spill-file.js';
import { Spill } from '../../src/disk/spill.js';
import { EpochBatch } from '../../src/disk/epoch-batch.js';
import { Random, forSeeds } from '@gannet/test-support/random.js';
import { SlowBase } from '../support/slow-base.js';
import { SlowStore } from '../support/slow-store.js';

const SIZE = 24 * PAGE_BYTES + 1000;

/** The two disks as their VMs must see them. */
interface Model {
  pvm: Buffer;
  svm: Buffer;
  committed: Buffer;
}

/** A disk, what it must look like, and everything that is under way. */
class Scene {
  readonly pool = new SlabPool();
  readonly base: SlowBase;
  readonly disk: Disk;
  readonly model: Model;
  readonly reads: Promise<void>[] = [];
  readonly views: HeldView[] = [];
  viewed = 0;
  hasFailedOver = false;
  readonly store: SlowStore;
  readonly file: SpillFile;
  readonly #spill: Spill;
  #epoch = 0;
  #batch: Promise<void> | undefined;

  constructor(readonly random: Random) {
    this.base = new SlowBase(SIZE, random);
    this.disk = new Disk('disk', this.base, this.pool);
    this.store = new SlowStore(random);
    this.file = new SpillFile(this.store, {
      ...{ directory: '/spill', limitBytes: 1e9 },
      onLost: (error) => {
        throw error;
      },
    });
    // All that there is, whenever it is told to.
    this.#spill = new Spill({
      ...{ file: this.file, pool: this.pool, disks: [this.disk] },
      limits: { softBytes: 0, hardBytes: 0 },
      isWanted: () => !this.hasFailedOver,
      onTrouble: () => undefined,
    });
    const seed = this.base.contents;
    this.model = { pvm: Buffer.from(seed), svm: Buffer.from(seed), committed: Buffer.from(seed) };
  }

  change(side: 'pvm' | 'svm', { offset, length } = this.random.range(SIZE)): void {
    for (const held of this.views) {
      // Written while it is read: either is right.
      if (held.side === side) held.unsure.fill(1, ...within(held, offset, offset + length));
    }
    if (this.random.next() < 0.25) {
      this.#layerOf(side).zero(offset, length);
      this.model[side].fill(0, offset, offset + length);
    } else {
      const data = this.random.bytes(length);
      this.#layerOf(side).write(offset, data);
      data.copy(this.model[side], offset);
    }
  }

  /**
   * Begins a read. What it must give is known now: its VM writes there again only when it is
   * answered.
   */
  read(side: 'pvm' | 'svm'): void {
    const { offset, length } = this.random.range(SIZE);
    const expected = Buffer.from(this.model[side].subarray(offset, offset + length));
    const target = Buffer.alloc(length, 0xaa);
    const check = (): void => {
      const wrong = target.findIndex((byte, at) => byte !== expected[at]);
      if (wrong >= 0) throw new Error(`${side} read ${offset}+${length}: byte ${wrong} is wrong`);
    };
    const pending = this.disk.read(this.#layerOf(side), offset, target);
    if (pending) this.reads.push(pending.then(check));
    else check();
  }

  /** Begins a long read, often of what was written just now, which is sent from where it lies. */
  view(side: 'pvm' | 'svm'): void {
    const offset = this.random.below(24) * PAGE_BYTES;
    const length = (1 + this.random.below(24 - offset / PAGE_BYTES)) * PAGE_BYTES;
    if (this.reads.length === 0 && this.random.next() < 0.8) this.change(side, { offset, length });
    const view = this.disk.view(this.#layerOf(side), offset, length);
    if (view === undefined) return;
    this.viewed++;
    const expected = Buffer.from(this.model[side].subarray(offset, offset + length));
    this.views.push({ view, side, offset, expected, unsure: Buffer.alloc(length) });
  }

  /** A client has taken it. */
  takeView(): void {
    const [held] = this.views.splice(this.random.below(this.views.length), 1);
    if (held === undefined) return;
    const { view, side, offset, expected, unsure } = held;
    const sent = Buffer.concat(view.pieces);
    expect(sent.length).toBe(expected.length);
    const wrong = sent.findIndex((byte, at) => byte !== expected[at] && unsure[at] === 0);
    if (wrong >= 0) throw new Error(`${side} view ${offset}: byte ${wrong} is wrong`);
    view.release();
  }

  #layerOf(side: 'pvm' | 'svm'): Overlay {
    return side === 'pvm' ? this.disk.primary : this.disk.secondary;
  }

  commit(): void {
    this.disk.commit(++this.#epoch);
    this.model.committed = Buffer.from(this.model.pvm);
    this.model.svm = Buffer.from(this.model.pvm);
  }

  failOver(): void {
    this.disk.failOver(++this.#epoch);
    this.hasFailedOver = true;
  }

  seal(): void {
    this.disk.sealSecondary(++this.#epoch);
  }

  spill(): void {
    this.#spill.kick();
  }

  writeBack(): void {
    if (this.#batch || this.disk.committed.length === 0) return;
    const batch = new EpochBatch([{ disk: this.disk, epochs: [...this.disk.committed] }], () => {
      this.#batch = undefined;
    });
    this.#batch = (async () => {
      await batch.ready();
      // All at once: the slow base does them in any order.
      await Promise.all([...batch.runs()].map((run) => run.write()));
      await batch.sync();
      batch.finish();
    })();
  }

  /** Lets everything that is under way end. */
  async settle(): Promise<void> {
    while (this.#batch || this.base.waiting > 0 || this.store.waiting > 0) {
      this.base.advance();
      this.store.advance();
      await turn();
    }
    await Promise.all(this.reads.splice(0));
    while (this.views.length > 0) this.takeView();
  }
}

interface HeldView {
  readonly view: ReadView;
  readonly side: 'pvm' | 'svm';
  readonly offset: number;
  readonly expected: Buffer;
  /** Not 0 for bytes that were written meanwhile. */
  readonly unsure: Buffer;
}

/** The part of bytes [from, to) of the disk that is in the view, as a range of its own. */
function within({ offset, unsure }: HeldView, from: number, to: number): [number, number] {
  const start = Math.min(unsure.length, Math.max(0, from - offset));
  return [start, Math.max(start, Math.min(unsure.length, to - offset))];
}

/** How often some of it is moved to a spill file. */
describe.each([
  ['in memory', 0],
  ['with a spill file', 0.2],
])('Disk %s', (_where, spills) => {
  test('I1 view: reads are right across commits, failover and write-back', async () => {
    let spilledReads = 0;
    let viewed = 0;
    await forSeeds(spills > 0 ? 20 : 40, async (random) => {
      const scene = new Scene(random);
      scene.store.errors = random.pick([0, 0, 0.3]);
      const failOverAt = random.below(160);
      for (let step = 0; step < 120; step++) {
        await act(scene, step === failOverAt, spills);
      }
      await scene.settle();
      spilledReads += scene.store.reads;
      viewed += scene.viewed;
      await expectMemoryGone(scene);
    });
    expect(spilledReads > 0).toBe(spills > 0);
    expect(viewed).toBeGreaterThan(20);
  });

  test('I3 failover: nothing of P is left, all of S is, and the base ends up with it', async () => {
    await forSeeds(20, async (random) => {
      const scene = new Scene(random);
      for (let step = 0; step < 40; step++) await act(scene, false, spills);
      scene.failOver();
      for (let step = 0; step < 20; step++) await act(scene, false, spills);
      await scene.settle();
      scene.seal();
      scene.writeBack();
      await scene.settle();
      expect(scene.base.contents.equals(scene.model.svm)).toBe(true);
    });
  });
});

describe('Disk', () => {
  test('I2 atomic commit: a commit touches no page, however many there are', () => {
    const pool = new SlabPool();
    const disk = new Disk('disk', new SlowBase(64 * 2 ** 20, new Random(1), 0), pool);
    disk.primary.write(0, Buffer.alloc(64 * 2 ** 20, 1));
    disk.secondary.write(0, Buffer.alloc(2 ** 20, 2));
    const before = disk.primary;
    expect(disk.commit(1)).toEqual({ committedPages: 16_384, droppedPages: 256 });
    expect(disk.committed.map(({ overlay }) => overlay)).toEqual([before]);
    expect(disk.primary.isEmpty && disk.secondary.isEmpty).toBe(true);
  });

  test('I1 view: write-back waits for reads from before a commit, even an empty one', async () => {
    const base = new SlowBase(SIZE, new Random(1));
    const disk = new Disk('disk', base, new SlabPool());
    const before = Buffer.from(base.contents);
    const target = Buffer.alloc(SIZE);
    const read = disk.read(disk.secondary, 0, target);
    disk.commit(1);
    disk.primary.write(0, Buffer.alloc(SIZE, 1));
    disk.commit(2);
    let isReady = false;
    const batch = new EpochBatch([{ disk, epochs: [...disk.committed] }], () => undefined);
    const ready = batch.ready().then(() => (isReady = true));
    await turn();
    expect(isReady).toBe(false);
    while (base.waiting > 0) base.advance();
    await Promise.all([read, ready]);
    expect(target.equals(before)).toBe(true);
  });

  test('I1 view: a read under way sees the same after epochs were merged', async () => {
    const base = new SlowBase(SIZE, new Random(1));
    const pool = new SlabPool();
    const disk = new Disk('disk', base, pool);
    const expected = Buffer.from(base.contents);
    for (const epoch of [1, 2, 3]) {
      const data = Buffer.alloc(epoch * 300, epoch);
      disk.secondary.write(epoch * 700, data);
      data.copy(expected, epoch * 700);
      disk.sealSecondary(epoch);
    }
    const target = Buffer.alloc(SIZE);
    const read = disk.read(disk.secondary, 0, target);
    disk.mergeCommitted(0, () => true);
    expect(disk.committed.map(({ epoch }) => epoch)).toEqual([3]);
    let isReady = false;
    const ready = disk.committed[0]!.earlierReadsDone.then(() => (isReady = true));
    await turn();
    while (base.waiting > 0) base.advance();
    await read;
    expect(target.equals(expected)).toBe(true);
    const again = Buffer.alloc(SIZE);
    const second = disk.read(disk.secondary, 0, again);
    while (base.waiting > 0) base.advance();
    await second;
    expect(again.equals(expected)).toBe(true);
    await ready;
    expect(isReady).toBe(true);
    disk.forget(1);
    expect(pool.usedBytes).toBe(0);
  });

  test('write-back of merged epochs waits for the reads that any of them waits for', async () => {
    const base = new SlowBase(SIZE, new Random(1));
    const disk = new Disk('disk', base, new SlabPool());
    const read = disk.read(disk.secondary, 0, Buffer.alloc(SIZE));
    for (const epoch of [1, 2]) {
      disk.secondary.write(0, Buffer.alloc(512, epoch));
      disk.sealSecondary(epoch);
    }
    disk.mergeCommitted(0, () => true);
    let isReady = false;
    const ready = disk.committed[0]!.earlierReadsDone.then(() => (isReady = true));
    await turn();
    expect(isReady).toBe(false);
    while (base.waiting > 0) base.advance();
    await Promise.all([read, ready]);
  });

  test('what is viewed keeps its memory until it is let go, and no other', () => {
    const pool = new SlabPool();
    const disk = new Disk('disk', new SlowBase(SIZE, new Random(1)), pool);
    disk.primary.write(0, Buffer.alloc(24 * PAGE_BYTES, 7));
    const [one, two] = [0, 1].map(() => disk.view(disk.primary, PAGE_BYTES, 8 * PAGE_BYTES));
    disk.dropAll();
    expect([pool.usedBytes, pool.freeBytes]).toEqual([SLAB_BYTES, 0]);
    one?.release();
    disk.secondary.write(0, Buffer.alloc(24 * PAGE_BYTES, 8));
    expect(Buffer.concat(two?.pieces ?? []).equals(Buffer.alloc(8 * PAGE_BYTES, 7))).toBe(true);
    disk.dropAll();
    two?.release();
    expect([pool.usedBytes, pool.freeBytes]).toEqual([0, 2 * SLAB_BYTES]);
  });

  test('there is no view of less than whole pages, of the base, or of many short pieces', () => {
    const pages = 64;
    const disk = new Disk('disk', new SlowBase(SIZE * 8, new Random(1), 0), new SlabPool());
    const { secondary } = disk;
    const view = (offset: number, length: number) => disk.view(secondary, offset, length);
    expect(view(0, PAGE_BYTES)).toBeUndefined();
    // From the last to the first: none lies behind another.
    for (let page = pages - 1; page >= 0; page--) {
      secondary.write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, page));
    }
    expect(view(0, pages * PAGE_BYTES)).toBeUndefined();
    expect(view(512, PAGE_BYTES)).toBeUndefined();
    expect(view(0, 512)).toBeUndefined();
    const one = view(PAGE_BYTES, PAGE_BYTES);
    expect(one?.pieces).toEqual([Buffer.alloc(PAGE_BYTES, 1)]);
    one?.release();
  });

  test('reads that need no base are answered at once', () => {
    const disk = new Disk('disk', new SlowBase(SIZE, new Random(1)), new SlabPool());
    disk.secondary.write(512, Buffer.alloc(1024, 5));
    const target = Buffer.alloc(700);
    expect(disk.read(disk.secondary, 600, target)).toBeUndefined();
    expect(target.equals(Buffer.alloc(700, 5))).toBe(true);
    expect(disk.read(disk.secondary, 0, target)).toBeInstanceOf(Promise);
  });

  test('extents: zeros where pages are zeroed or nothing is, the longest at a time', async () => {
    await forSeeds(15, (random) => {
      const base = new SlowBase(SIZE, random, random.below(25) * PAGE_BYTES);
      const disk = new Disk('disk', base, new SlabPool());
      const held = new Map<number, 'data' | 'zeros'>();
      for (let count = random.below(8); count > 0; count--) {
        const { offset, length } = random.range(SIZE);
        const top = random.next() < 0.5 ? disk.primary : disk.secondary;
        const isZero = random.next() < 0.5;
        if (isZero) top.zero(offset, length);
        else top.write(offset, random.bytes(length));
        for (let page = Math.floor(offset / PAGE_BYTES); ; page++) {
          const [from, to] = [page * PAGE_BYTES, (page + 1) * PAGE_BYTES];
          if (from >= offset + length) break;
          const isWhole = offset <= from && to <= offset + length;
          held.set(page, isZero && isWhole ? 'zeros' : 'data');
        }
        // Below what comes next, and of no other content than the model's.
        if (top === disk.primary) disk.commit(count);
        else disk.sealSecondary(count);
      }
      const isHole = (at: number): boolean => {
        const page = held.get(Math.floor(at / PAGE_BYTES));
        return page === undefined ? at >= base.dataBytes : page === 'zeros';
      };
      for (let look = 0; look < 20; look++) {
        const { offset } = random.range(SIZE);
        const length = SIZE - offset;
        const extent = disk.extent(disk.secondary, offset, length);
        let end = offset;
        while (end < SIZE && isHole(end) === isHole(offset)) end++;
        const hole = isHole(offset);
        expect(extent).toEqual({ length: end - offset, hole, zero: hole });
      }
    });
  });

  test('an extent of many terabytes of zeros takes few steps', () => {
    const sizeBytes = 8 * 2 ** 40;
    let asked = 0;
    const base: BaseStore = Object.assign(new SlowBase(0, new Random(1)), {
      sizeBytes,
      holeEnd: (at: number) => (asked++, at),
      nextHole: () => (asked++, sizeBytes),
    });
    const disk = new Disk('disk', base, new SlabPool());
    const half = sizeBytes / 2;
    disk.primary.zero(0, half);
    disk.commit(1);
    expect(disk.extent(disk.secondary, 0, sizeBytes)).toEqual({
      length: half,
      hole: true,
      zero: true,
    });
    disk.secondary.zero(half, half / 2);
    expect(disk.extent(disk.secondary, 0, sizeBytes).length).toBe(half + half / 2);
    // Data in another layer ends the data of the base nowhere.
    disk.secondary.write(sizeBytes - PAGE_BYTES, Buffer.alloc(PAGE_BYTES, 1));
    const rest = disk.extent(disk.secondary, half + half / 2, half / 2);
    expect(rest).toEqual({ length: half / 2, hole: false, zero: false });
    expect(asked).toBeLessThan(20);
  });
});

/** One random step. */
async function act(scene: Scene, isFailover: boolean, spills = 0): Promise<void> {
  const { random } = scene;
  if (spills > 0 && random.next() < spills) scene.spill();
  if (isFailover && !scene.hasFailedOver) return scene.failOver();
  const side = scene.hasFailedOver ? 'svm' : random.pick(['pvm', 'svm'] as const);
  const dice = random.next();
  if (dice < 0.35) {
    // A VM does not write where a read of its is under way, and expect the old contents.
    if (scene.reads.length > 0 && random.next() < 0.5) await scene.settle();
    if (scene.reads.length === 0) scene.change(side);
  } else if (dice < 0.55) scene.read(side);
  else if (dice < 0.62) scene.view(side);
  else if (dice < 0.65) scene.takeView();
  else if (dice < 0.75) {
    if (scene.hasFailedOver) scene.seal();
    else scene.commit();
  } else if (dice < 0.85) scene.writeBack();
  else {
    scene.base.advance();
    scene.store.advance();
    await turn();
  }
}

async function expectMemoryGone({ disk, pool, file }: Scene): Promise<void> {
  disk.dropAll();
  await turn();
  expect([pool.usedBytes, file.usedBytes]).toEqual([0, 0]);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
