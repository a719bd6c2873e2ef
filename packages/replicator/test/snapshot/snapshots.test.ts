import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { ExportSession } from '@gannet/nbd';
import { Random } from '@gannet/test-support/random.js';
import { PinnedDisk } from '../../src/snapshot/pinned-disk.js';
import { temporaryFiles } from '../support/files.js';
import { DISK_BYTES, LEFT, TestVm } from '../support/vm.js';

const at = temporaryFiles();
const PAGE = 4096;

function connect({ replica }: TestVm, disk = 'disk'): ExportSession {
  const name = replica.disks.length === 1 ? 'snapshot' : `${disk}-snapshot`;
  const found = replica.exports.find((one) => one.name === name);
  return found?.open({ id: 1, address: 'test', transport: 'unix' }) as ExportSession;
}

async function textOf(session: ExportSession, length: number, offset = 0): Promise<string> {
  const target = Buffer.alloc(length, 0xaa);
  await session.read(offset, target);
  return target.toString('latin1').replaceAll('\0', '.');
}

async function opened(
  names: readonly string[] = ['disk'],
  options: Parameters<typeof TestVm.open>[2] = {},
): Promise<TestVm> {
  const vm = (await TestVm.open(at, names, options)).connectAll();
  for (const name of names) await vm.write('pvm', 'seeded', 0, name);
  vm.commit();
  return vm;
}

function eventsOf({ events }: TestVm): unknown[] {
  return events.filter(({ kind }) => kind.startsWith('snapshot'));
}

describe('a snapshot', () => {
  it('shows the last commit, whatever is written, committed and written back later', async () => {
    const vm = await opened();
    await vm.write('pvm', 'ONE', 2);
    vm.commit();
    const snapshot = connect(vm);
    await vm.write('pvm', 'two', 0);
    await vm.write('svm', 'own', 4);
    expect(await textOf(snapshot, 8)).toBe('seONEd..');
    vm.commit();
    expect(await textOf(snapshot, 8)).toBe('seONEd..');
    // First only what it shows goes to the base, then the rest.
    expect(vm.replica.nextBatch()?.epochs).toEqual([2]);
    await vm.replica.close();
  });

  it('is not torn by write-back, in any order of epochs', async () => {
    const vm = await opened();
    await vm.write('pvm', 'ONE', 2);
    vm.commit();
    const snapshot = connect(vm);
    await vm.write('pvm', 'two', 0);
    vm.commit();
    await vm.writeBack();
    expect(await textOf(snapshot, 8)).toBe('seONEd..');
    await vm.writeBack();
    expect(await textOf(snapshot, 8)).toBe('seONEd..');
    await vm.write('pvm', 'x', PAGE);
    vm.commit();
    await vm.writeBack();
    expect(await textOf(snapshot, 1, PAGE)).toBe('.');
    expect(await vm.read('svm', 8)).toBe('twoNEd..');
    await vm.replica.close();
  });

  it('keeps what a zeroing takes away, and two parts of one page once', async () => {
    const vm = await opened();
    await vm.write('pvm', 'a'.repeat(PAGE), PAGE);
    vm.commit();
    const snapshot = connect(vm);
    await vm.writeBack();
    await vm.pvm.get('disk')?.trim(PAGE, PAGE, false);
    await vm.write('pvm', 'b'.repeat(512), 0);
    await vm.write('pvm', 'c'.repeat(512), 1024);
    vm.commit();
    await vm.writeBack();
    expect(await textOf(snapshot, 6)).toBe('seeded');
    expect(await textOf(snapshot, 4, 2 * PAGE - 4)).toBe('aaaa');
    expect(vm.replica.snapshots.view?.keptBytes).toBe(2 * PAGE);
    await vm.replica.close();
  });

  it('is of one commit for all disks, whenever they are connected', async () => {
    const vm = await opened(['a', 'b']);
    const a = connect(vm, 'a');
    await vm.write('pvm', 'NEW', 0, 'a');
    await vm.write('pvm', 'NEW', 0, 'b');
    vm.commit();
    await vm.writeBack();
    const b = connect(vm, 'b');
    expect([await textOf(a, 6), await textOf(b, 6)]).toEqual(['seeded', 'seeded']);
    await vm.replica.close();
  });

  it('tells holes from data', async () => {
    const vm = await opened();
    const half = DISK_BYTES / 2;
    const snapshot = connect(vm);
    const extents = async (): Promise<unknown[]> => {
      const found = [];
      for (let offset = 0; offset < DISK_BYTES;) {
        const [extent] = await snapshot.blockStatus(offset, DISK_BYTES - offset);
        found.push([offset, extent?.zero]);
        offset += extent?.length ?? DISK_BYTES;
      }
      return found;
    };
    const before = await extents();
    expect(before[0]).toEqual([0, false]);
    expect(before.at(-1)?.toString()).toMatch(/,true$/);
    await vm.write('pvm', 'later', half);
    vm.commit();
    await vm.writeBack();
    // A page that is kept counts as data; it reads as it was.
    expect(await extents()).toContainEqual([half, false]);
    expect(await textOf(snapshot, 5, half)).toBe('.....');
    await vm.replica.close();
  });
});

describe('its life', () => {
  it('is that of its readers, unless it is held', async () => {
    const vm = await opened();
    const [one, two] = [connect(vm), connect(vm)];
    one.close(LEFT);
    expect(vm.replica.snapshots.view).toMatchObject({ epoch: 1, readers: 1, isHeld: false });
    two.close(LEFT);
    expect(vm.replica.snapshots.view).toBeUndefined();
    expect(vm.replica.snapshots.hold()).toMatchObject({ epoch: 1, readers: 0, isHeld: true });
    connect(vm).close(LEFT);
    expect(vm.replica.snapshots.view?.isHeld).toBe(true);
    expect(() => vm.replica.snapshots.hold()).toThrow('held already');
    const reader = connect(vm);
    expect(vm.replica.snapshots.drop()).toBe(true);
    expect(vm.replica.snapshots.drop()).toBe(false);
    await expect(textOf(reader, 1)).rejects.toMatchObject({ wireError: 'EIO' });
    reader.close(LEFT);
    const [taken, dropped] = [{ phase: 'taken' }, { phase: 'dropped' }];
    expect(eventsOf(vm)).toMatchObject([taken, dropped, taken, dropped]);
    await vm.replica.close();
  });

  it('needs a commit, a unix socket, and nobody who writes', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    expect(() => connect(vm)).toThrow('no checkpoint');
    vm.commit();
    const [found] = vm.replica.snapshots.exports;
    expect(() => found?.open({ id: 1, address: 'test', transport: 'tcp' })).toThrow('unix socket');
    const snapshot = connect(vm);
    expect(() => snapshot.write(0, Buffer.alloc(1), false)).toThrow('read-only');
    await vm.replica.close();
  });

  it.each(['failed-over', 'diverged'] as const)('ends when the replica is %s', async (what) => {
    const vm = await opened();
    const snapshot = connect(vm);
    if (what === 'diverged') vm.replica.diverge('for the test');
    else vm.failOver();
    await expect(textOf(snapshot, 1)).rejects.toThrow(`the replica is ${what}`);
    expect(eventsOf(vm).at(-1)).toMatchObject({ kind: 'snapshot-lost', epoch: 1 });
    expect(vm.replica.disks[0]?.pin).toBeUndefined();
    await vm.replica.close();
  });

  it('ends at the limit of what it keeps; the epoch is written back all the same', async () => {
    const vm = await opened(['disk'], { snapshot: { limitBytes: 3 * PAGE } });
    const snapshot = connect(vm);
    await vm.writeBack();
    await vm.write('pvm', 'x'.repeat(4 * PAGE), 0);
    vm.commit();
    expect(await vm.writeBack()).toBe(true);
    await expect(textOf(snapshot, 1)).rejects.toThrow('limit of 12288 bytes');
    expect(eventsOf(vm).at(-1)).toMatchObject({ kind: 'snapshot-lost' });
    expect(vm.replica.state).toBe('protected');
    expect(await vm.read('svm', 4)).toBe('xxxx');
    await vm.replica.close();
  });

  it('ends if its file cannot be made', async () => {
    const vm = await opened(['disk'], { snapshot: { directory: at('nowhere') } });
    const snapshot = connect(vm);
    await vm.write('pvm', 'x', 0);
    vm.commit();
    await vm.writeBack();
    await expect(textOf(snapshot, 1)).rejects.toThrow('ENOENT');
    expect(vm.replica.state).toBe('protected');
    await vm.replica.close();
  });

  it('holds write-back up no longer than its patience, if its folder hangs', async () => {
    const { replica } = await opened();
    const troubles: unknown[] = [];
    const disk = replica.disks[0] as (typeof replica.disks)[number];
    const budget = { take: () => undefined, charge: () => undefined };
    const hangs = (): Promise<never> => new Promise(() => undefined);
    const onTrouble = (error: unknown): number => troubles.push(error);
    const pinned = new PinnedDisk(disk, 1, hangs, budget, onTrouble, 1);
    await pinned.keep(0, PAGE);
    expect(String(troubles)).toContain('to write to its file takes longer than 1 ms');
    await expect(pinned.idle()).rejects.toThrow('takes longer than 1 ms');
    await replica.close();
  });

  it('ends when memory is short, before the guest is slowed', async () => {
    const memory = { softBytes: 512 * 1024, hardBytes: 64 * 1024 * 1024 };
    const vm = await opened(['disk'], { memory });
    const snapshot = connect(vm);
    await vm.write('pvm', 'x'.repeat(DISK_BYTES / 2), 0);
    vm.commit();
    await vm.write('pvm', 'y'.repeat(DISK_BYTES / 2), 0);
    await vm.write('svm', 'y'.repeat(DISK_BYTES / 2), 0);
    await expect(textOf(snapshot, 1)).rejects.toThrow('soft limit');
    await vm.replica.close();
  });

  it('ends when what is committed cannot be written back in time', async () => {
    const memory = { softBytes: 8 * 1024 * 1024, hardBytes: 64 * 1024 * 1024 };
    const vm = await opened(['disk'], { memory });
    const snapshot = connect(vm);
    for (let epoch = 0; epoch < 100; epoch++) {
      await vm.write('pvm', 'x'.repeat(16 * 1024), (epoch % 8) * 16 * 1024);
      vm.commit();
    }
    expect(await textOf(snapshot, 6)).toBe('seeded');
    await vm.writeBack();
    await expect(textOf(snapshot, 1)).rejects.toThrow('soft limit');
    expect(vm.replica.state).toBe('protected');
    await vm.replica.close();
  });
});

it('random writes, commits and write-back at any time leave it as it was', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const vm = await opened(['a', 'b']);
  const now = new Map(['a', 'b'].map((name) => [name, Buffer.alloc(DISK_BYTES)]));
  for (const disk of now.values()) disk.write('seeded');
  let committed = copyOf(now);
  let pinned: Map<string, Buffer> | undefined;
  let sessions: ExportSession[] = [];
  let writingBack: Promise<unknown> = Promise.resolve();
  for (let step = 0; step < 400; step++) {
    const what = random.below(10);
    if (what < 5) {
      const disk = random.pick(['a', 'b']);
      const offset = random.below(DISK_BYTES / 512 - 16) * 512;
      const data = randomBytes(512 * (1 + random.below(16)));
      await vm.pvm.get(disk)?.write(offset, data, false);
      data.copy(now.get(disk) as Buffer, offset);
    } else if (what === 5) {
      vm.commit();
      committed = copyOf(now);
    } else if (what === 6) {
      await writingBack;
      writingBack = vm.writeBack();
    } else if (what === 7 && sessions.length === 0) {
      sessions = [connect(vm, 'a'), connect(vm, 'b')];
      pinned = committed;
    } else if (what === 8 && random.chance(0.2)) {
      for (const session of sessions.splice(0)) session.close(LEFT);
    } else {
      for (const [which, session] of sessions.entries()) {
        const offset = random.below(DISK_BYTES - 9000);
        const target = Buffer.alloc(1 + random.below(9000));
        await session.read(offset, target);
        const disk = pinned?.get(which === 0 ? 'a' : 'b') as Buffer;
        const isSame = target.equals(disk.subarray(offset, offset + target.length));
        expect({ seed, step, isSame }).toEqual({ seed, step, isSame: true });
      }
    }
  }
  await writingBack;
  await vm.replica.close();
});

function copyOf(disks: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  return new Map([...disks].map(([name, data]) => [name, Buffer.from(data)]));
}
