import { readdir, readlink } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { Disk } from '../../src/disk/disk.js';
import type { SpillError } from '../../src/errors.js';
import { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, SLAB_PAGES, SlabPool } from '../../src/memory/slab-pool.js';
import { SpillFile } from '../../src/memory/spill-file.js';
import { Spill } from '../../src/disk/spill.js';
import { spillOf } from '../../src/replica-options.js';
import { temporaryFiles } from '../support/files.js';
import { forSeeds, Random } from '@gannet/test-support/random.js';
import { SlowBase } from '../support/slow-base.js';
import { SlowStore } from '../support/slow-store.js';
import { LEFT, TestVm } from '../support/vm.js';

const MIB = 1024 * 1024;

interface Scene {
  readonly store: SlowStore;
  readonly file: SpillFile;
  readonly lost: SpillError[];
}

function scene(random: Random, limitBytes = 64 * MIB): Scene {
  const store = new SlowStore(random);
  const lost: SpillError[] = [];
  const options = {
    directory: '/spill',
    limitBytes,
    onLost: (error: SpillError) => lost.push(error),
  };
  return { store, lost, file: new SpillFile(store, options) };
}

/** Lets the store work until the promise is settled. */
async function until<T>(store: SlowStore, promise: Promise<T>): Promise<T> {
  const ends: string[] = [];
  const end = (): void => void ends.push('settled');
  promise.then(end, end);
  while (ends.length === 0) {
    store.advance();
    await turn();
  }
  return promise;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('Overlay with slabs in a spill file', () => {
  test('holds what was written and zeroed, byte for byte, wherever it is', async () => {
    await forSeeds(6, async (random) => {
      const { store, file } = scene(random);
      const pool = new SlabPool();
      const overlay = new Overlay(pool);
      const size = 3 * SLAB_BYTES + 700;
      const model = new Int16Array(size).fill(-1);
      // Slots in an order of their own, in four slabs.
      for (let page = 0; page < 3 * SLAB_PAGES; page++) {
        if (random.next() < 0.1) continue;
        const [from, length] = random.next() < 0.3 ? [random.below(3000), 900] : [0, PAGE_BYTES];
        const data = random.bytes(length);
        const offset = ((page * 77) % (3 * SLAB_PAGES)) * PAGE_BYTES + from;
        overlay.write(offset, data);
        model.set(data, offset);
      }
      for (let step = 0; step < 10; step++) {
        const { offset, length } = random.range(size);
        overlay.zero(offset, length);
        model.fill(0, offset, offset + length);
      }
      const before = pool.usedBytes;
      const moved = await until(store, overlay.spill(file, 1 + random.below(4)));
      expect(pool.usedBytes).toBe(before - moved * SLAB_BYTES);
      expect(file.usedBytes).toBe(moved * SLAB_BYTES);
      for (let look = 0; look < 30; look++) {
        const offset = random.below(size);
        const length = 1 + random.below(Math.min(60_000, size - offset));
        const target = Buffer.alloc(length, 0xaa);
        const expected = Buffer.from(target);
        for (let at = 0; at < length; at++) {
          const held = model[offset + at] as number;
          if (held >= 0) expected[at] = held;
        }
        await until(store, overlay.applyRange(offset, target));
        expect(target.equals(expected)).toBe(true);
      }
      overlay.release();
      expect([pool.usedBytes, file.usedBytes]).toEqual([0, 0]);
    });
  });

  test('pages that lie one behind the other in the file are read in one go', async () => {
    const random = new Random(1);
    const { store, file } = scene(random);
    const overlay = new Overlay(new SlabPool());
    overlay.write(0, random.bytes(SLAB_BYTES));
    await until(store, overlay.spill(file, 1));
    await until(store, overlay.applyRange(0, Buffer.alloc(SLAB_BYTES)));
    // Short reads included: with this seed there is one.
    expect(store.reads).toBeLessThanOrEqual(3);
    overlay.release();
  });

  test.each(['write', 'sync'])('a %s that fails leaves everything in memory', async (what) => {
    const random = new Random(3);
    const { store, file } = scene(random);
    const pool = new SlabPool();
    const overlay = new Overlay(pool);
    const data = random.bytes(2 * SLAB_BYTES);
    overlay.write(0, data);
    const before = pool.usedBytes;
    const spilling = overlay.spill(file, 2);
    while (what === 'sync' && store.writes < 2) {
      store.advance();
      await turn();
    }
    store.errors = 1;
    await expect(until(store, spilling)).rejects.toMatchObject({
      code: 'REPLICA_SPILL_IO',
      message: expect.stringMatching(/^the spill file in \/spill can't be (written|synced): E/),
      remedy: expect.any(String),
    });
    expect([pool.usedBytes, file.usedBytes, overlay.hasSpilled]).toEqual([before, 0, false]);
    const target = Buffer.alloc(data.length);
    await overlay.applyRange(0, target);
    expect(target.equals(data)).toBe(true);
    overlay.release();
  });

  test('places are used again, up to the limit; a file that holds nothing is emptied', async () => {
    const random = new Random(5);
    const { store, file } = scene(random, 2 * SLAB_BYTES);
    const pool = new SlabPool();
    for (let round = 0; round < 3; round++) {
      const overlay = new Overlay(pool);
      const data = random.bytes(3 * SLAB_BYTES);
      overlay.write(0, data);
      expect(await until(store, overlay.spill(file, 3))).toBe(2);
      expect(await until(store, overlay.spill(file, 3))).toBe(0);
      const target = Buffer.alloc(data.length);
      await until(store, overlay.applyRange(0, target));
      expect(target.equals(data)).toBe(true);
      overlay.release();
      expect(file.usedBytes).toBe(0);
    }
    while (store.waiting > 0) store.advance();
    expect(store.truncations).toBe(3);
  });

  test('what can be read back no more is told, by name', async () => {
    const random = new Random(6);
    const { store, file, lost } = scene(random);
    const overlay = new Overlay(new SlabPool());
    overlay.write(0, random.bytes(SLAB_BYTES));
    await until(store, overlay.spill(file, 1));
    store.isBroken = true;
    const reading = until(store, overlay.applyRange(0, Buffer.alloc(10)));
    await expect(reading).rejects.toMatchObject({ code: 'REPLICA_SPILL_LOST' });
    expect(lost).toHaveLength(1);
  });
});

describe('I7 bounded memory: Spill', () => {
  const limits = { softBytes: 4 * SLAB_BYTES, hardBytes: 16 * SLAB_BYTES };

  test('brings memory down to the soft limit, and every read stays right', async () => {
    await forSeeds(5, async (random) => {
      const { store, file } = scene(random);
      const pool = new SlabPool(0);
      const size = 8 * SLAB_BYTES;
      const base = new SlowBase(size, random, 0);
      const disk = new Disk('disk', base, pool);
      const model = { pvm: Buffer.alloc(size), svm: Buffer.alloc(size) };
      const troubles: unknown[] = [];
      const spill = new Spill({
        ...{ file, pool, disks: [disk], limits, isWanted: () => true },
        onTrouble: (error) => troubles.push(error),
      });
      for (let step = 0; step < 40; step++) {
        const side = random.pick(['pvm', 'svm'] as const);
        const data = Buffer.alloc(1 + random.below(2 * SLAB_BYTES), 1 + random.below(255));
        const offset = random.below(size - data.length);
        (side === 'pvm' ? disk.primary : disk.secondary).write(offset, data);
        data.copy(model[side], offset);
        if (random.next() < 0.1) {
          disk.commit(step + 1);
          model.pvm.copy(model.svm);
        }
        spill.kick();
        for (let i = random.below(8); i > 0; i--) {
          store.advance();
          await turn();
        }
      }
      do {
        spill.kick();
        store.advance();
        await turn();
      } while (store.waiting > 0);
      const tables = pool.usedBytes % SLAB_BYTES;
      expect(pool.usedBytes).toBeLessThanOrEqual(limits.softBytes + tables + SLAB_BYTES);
      expect(troubles).toEqual([]);
      for (const [side, top] of [
        ['pvm', disk.primary] as const,
        ['svm', disk.secondary] as const,
      ]) {
        const target = Buffer.alloc(size);
        await until(store, Promise.resolve(disk.read(top, 0, target)));
        expect(target.equals(model[side])).toBe(true);
      }
      disk.dropAll();
      expect([pool.usedBytes, file.usedBytes]).toEqual([0, 0]);
    });
  });

  test('a file that is full is told once, and again when there is room', async () => {
    const random = new Random(1);
    const { store, file } = scene(random, 2 * SLAB_BYTES);
    const pool = new SlabPool(0);
    const disk = new Disk('disk', new SlowBase(MIB, random, 0), pool);
    const troubles: (string | undefined)[] = [];
    const spill = new Spill({
      ...{ file, pool, disks: [disk], limits, isWanted: () => true },
      onTrouble: (error) => troubles.push(error?.code),
    });
    disk.primary.write(0, Buffer.alloc(8 * SLAB_BYTES));
    for (let i = 0; i < 300; i++) {
      spill.kick();
      store.advance();
      await turn();
    }
    expect(troubles).toEqual(['REPLICA_SPILL_FULL']);
    expect(file.usedBytes).toBe(2 * SLAB_BYTES);
    expect(pool.usedBytes).toBeGreaterThan(6 * SLAB_BYTES);
  });
});

describe('I7 bounded memory: a replica that spills', () => {
  const at = temporaryFiles();
  const memory = { softBytes: SLAB_BYTES, hardBytes: 8 * SLAB_BYTES, onFull: 'spill' } as const;

  test('buffers much more than its budget without write-back, and loses nothing', async () => {
    const vm = (await TestVm.open(at, ['disk'], { memory })).connectAll();
    vm.commit();
    let expected = '';
    for (let epoch = 0; epoch < 40; epoch++) {
      expected = `epoch ${epoch}.`;
      await vm.write('pvm', expected, epoch * 4096);
      await vm.write('svm', 'mine', 200_000);
      await spilled(vm);
      vm.commit();
    }
    const { replica } = vm;
    expect(replica.state).toBe('protected');
    expect(replica.link.loss).toBeUndefined();
    expect(replica.spilledBytes).toBeGreaterThan(20 * SLAB_BYTES);
    for (const epoch of [0, 7, 39]) {
      expect(await vm.read('svm', 8, epoch * 4096)).toBe(`epoch ${epoch}.`.slice(0, 8));
    }
    while (await vm.writeBack());
    // An epoch that was being moved to the file when it was written back is let go afterwards.
    for (let turns = 0; replica.spilledBytes > 0 && turns < 1000; turns++) await turn();
    expect(replica.spilledBytes).toBe(0);
    expect(await vm.read('svm', expected.length, 39 * 4096)).toBe(expected);
    await replica.close();
  });

  test('I3 failover: what was spilled of the secondary ends up in journal and base', async () => {
    const vm = (await TestVm.open(at, ['disk'], { memory })).connectAll();
    vm.commit();
    for (let epoch = 0; epoch < 12; epoch++) {
      await vm.write('pvm', `epoch ${epoch}`, epoch * 4096);
      await spilled(vm);
      vm.commit();
    }
    await vm.write('svm', 'first', 100_000);
    await vm.write('pvm', 'never', 104_000);
    await spilled(vm);
    await vm.write('svm', 'second', 100_003);
    vm.pvm.get('disk')?.close(LEFT);
    vm.failOver();
    await vm.replica.failoverDurable();
    expect(await vm.read('svm', 10, 100_000)).toBe('firsecond.');
    const settling = vm.replica.settle();
    while (vm.replica.state !== 'retired') {
      await vm.writeBack();
      await turn();
    }
    await settling;
    const { readFile } = await import('node:fs/promises');
    const disk = (await readFile(at('disk.raw'))).toString('latin1');
    expect(disk.slice(100_000, 100_009)).toBe('firsecond');
    expect(disk.slice(11 * 4096, 11 * 4096 + 8)).toBe('epoch 11');
    expect(disk).not.toContain('never');
  });

  test('beyond its limit protection is given up in order: the last commit is good', async () => {
    const limits = { ...memory, spillBytes: 2 * SLAB_BYTES };
    const vm = (await TestVm.open(at, ['disk'], { memory: limits })).connectAll();
    vm.commit();
    let epochs = 0;
    while (vm.replica.link.loss === undefined && epochs < 40) {
      await vm.write('pvm', `epoch ${epochs}`, 8192);
      await spilled(vm);
      const { loss } = vm.replica.link as { loss: string | undefined };
      if (loss === undefined) vm.commit();
      epochs++;
    }
    expect(vm.replica.link.loss).toContain('hard limit');
    expect(vm.replica.state).toBe('protected');
    expect(vm.events).toContainEqual(
      expect.objectContaining({ kind: 'spill', trouble: expect.stringContaining('its limit of') }),
    );
    expect(await vm.read('svm', 20, 8192)).toContain(`epoch ${epochs - 2}`);
    await vm.replica.close();
  });

  test('its file has no name, is readable by nobody else, and must be possible', async () => {
    const vm = await TestVm.open(at, ['disk'], { memory });
    const folder = at('.');
    expect((await readdir(folder)).filter((name) => name.includes('spill'))).toEqual([]);
    const links = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) =>
        readlink(`/proc/self/fd/${fd}`).catch(() => undefined),
      ),
    );
    const own = links.filter((link) => link?.startsWith(at('.vm-')));
    expect(own).toEqual([expect.stringMatching(/\.spill \(deleted\)$/)]);
    await vm.replica.close();
    const spillDirectory = at('nowhere');
    await expect(
      TestVm.open(at, ['disk'], { memory: { ...memory, spillDirectory } }),
    ).rejects.toMatchObject({
      code: 'REPLICA_SPILL_IO',
      message: expect.stringContaining(spillDirectory),
    });
    const options = { vm: 'vm', disks: [{ name: 'disk', base: at('disk.raw') }] };
    expect(spillOf(options)).toBeUndefined();
  });
});

/** Waits until the replica has spilled what it wanted to, or can't. */
async function spilled({ replica, events }: TestVm): Promise<void> {
  for (let turns = 0; turns < 300; turns++) {
    const { primary, secondary, committed } = replica.bufferBytes;
    if (primary + secondary + committed <= 3 * SLAB_BYTES) return;
    if (events.some((event) => event.kind === 'spill' && event.trouble !== undefined)) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
