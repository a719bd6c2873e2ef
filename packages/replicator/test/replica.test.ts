import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { RawBase } from '../src/images/base-image.js';
import { BaseImageError, JournalError, SpillError } from '../src/errors.js';
import { Journal } from '../src/durability/journal.js';
import { readStateFile } from '../src/durability/state-file.js';
import type { DiskOptions } from '../src/replica-options.js';
import type { ReplicaState } from '../src/replica-state.js';
import { temporaryFiles } from './support/files.js';
import { DISK_BYTES, TestVm } from './support/vm.js';

const at = temporaryFiles();

/** Brings a new replica into a state. */
const INTO: Readonly<Record<ReplicaState, (vm: TestVm) => Promise<void>>> = {
  seeding: () => Promise.resolve(),
  protected: (vm) => Promise.resolve(void vm.commit()),
  diverged: (vm) => Promise.resolve(vm.replica.diverge('for the test')),
  'failed-over': async (vm) => {
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
  },
  retired: async (vm) => {
    vm.commit();
    vm.failOver();
    await vm.replica.settle();
  },
};

const STEPS = {
  commit: (vm: TestVm) => void vm.commit(),
  failOver: (vm: TestVm) => void vm.failOver(),
  diverge: (vm: TestVm) => vm.replica.diverge('asked for'),
  settle: (vm: TestVm) => vm.replica.settle(),
  failoverDurable: (vm: TestVm) => vm.replica.failoverDurable(),
  flush: (vm: TestVm) => vm.replica.flush(),
} as const;

const STEP_NAMES = ['commit', 'failOver', 'diverge', 'settle', 'failoverDurable', 'flush'] as const;

/** State after the step, or `-` if it is refused. After a failover diverge() changes nothing. */
// prettier-ignore
const TABLE: Readonly<Record<ReplicaState, readonly string[]>> = {
  //             commit       failOver       diverge        settle     failoverDurable
  seeding:       ['protected', '-',           'diverged',    '-',       '-',           '-'],
  protected:     ['protected', 'failed-over', 'diverged',    '-',       '-',           '-'],
  'failed-over': ['-',         '-',           'failed-over', 'retired', 'failed-over',
    'failed-over'],
  retired:       ['-',         '-',           'retired',     'retired', '-',           '-'],
  diverged:      ['-',         '-',           'diverged',    '-',       '-',           '-'],
};

const CELLS = Object.entries(TABLE).flatMap(([state, row]) =>
  STEP_NAMES.map((step, at) => [state as ReplicaState, step, row[at] ?? ''] as const),
);

describe('states', () => {
  test.each(CELLS)('%s, %s: %s', async (state, step, to) => {
    const vm = (await TestVm.open(at)).connectAll();
    await INTO[state](vm);
    expect(vm.replica.state).toBe(state);
    const done = (async () => STEPS[step](vm))();
    if (to === '-') await expect(done).rejects.toMatchObject({ code: 'REPLICA_STATE' });
    else await done;
    expect(vm.replica.state).toBe(to === '-' ? state : to);
    await vm.replica.close();
  });

  test('a commit or a failover with the gate open is refused', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    expect(() => vm.replica.commit()).toThrow("can't commit with the gate open");
    expect(() => vm.replica.failOver()).toThrow("can't fail over with the gate open");
    await vm.replica.close();
  });

  test('every step is in the state files, failed-over not before it is true', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    const recorded = async (): Promise<string[]> =>
      Promise.all(['a.raw', 'b.raw'].map(async (name) => (await readStateFile(at(name)))!.state));
    expect(await recorded()).toEqual(['seeding', 'seeding']);
    vm.commit();
    vm.failOver();
    expect(vm.replica.state).toBe('failed-over');
    expect(await recorded()).not.toContain('failed-over');
    await vm.replica.failoverDurable();
    expect(await recorded()).toEqual(['failed-over', 'failed-over']);
    await vm.replica.settle();
    expect(await recorded()).toEqual(['retired', 'retired']);
  });

  test('I6 no mistaken base: a failover that is not durable is in no state file', async () => {
    const vm = (await TestVm.open(at, ['disk'], { journalPath: at('none/journal') })).connectAll();
    vm.commit();
    vm.failOver();
    await expect(vm.replica.failoverDurable()).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IO',
    });
    await vm.replica.close();
    expect((await readStateFile(at('disk.raw')))!.state).toBe('protected');
  });
});

describe('exports', () => {
  test('are named by side and purpose, with the disk first if there are several', async () => {
    const one = await TestVm.open(at, ['only']);
    const two = await TestVm.open(at, ['a', 'b']);
    const own = ['', '-seed', '-resync', '-fetch', '-resume', '-link'];
    const parts = [...own.map((part) => `pvm${part}`), 'svm'];
    const namesOf = ({ replica }: TestVm): string[] => replica.exports.map(({ name }) => name);
    expect(namesOf(one)).toEqual([...parts, 'snapshot']);
    expect(namesOf(two)).toEqual([
      ...['a', 'b'].flatMap((disk) => parts.map((part) => `${disk}-${part}`)),
      ...['a-snapshot', 'b-snapshot'],
    ]);
    await Promise.all([one.replica.close(), two.replica.close()]);
  });

  test('seeding goes straight to the base, and nobody else may write', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    await vm.write('pvm', 'seeded', 5);
    await vm.pvm
      .get('disk')!
      .writeZeroes(8192, 4096, { fua: true, mayPunchHole: true, fast: false });
    expect(vm.replica.bufferBytes).toEqual({ primary: 0, secondary: 0, committed: 0 });
    expect((await readFile(at('disk.raw'))).toString('latin1', 5, 11)).toBe('seeded');
    expect(await vm.read('svm', 6, 5)).toBe('seeded');
    await expect(vm.write('svm', 'x')).rejects.toMatchObject({ wireError: 'EPERM' });
    await vm.replica.close();
  });

  test('a fast zero over seeded data is refused, over a hole it is free', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    const pvm = vm.pvm.get('disk')!;
    await vm.write('pvm', 'data');
    const fast = { fua: false, mayPunchHole: true, fast: true };
    expect(() => pvm.writeZeroes(0, 4096, fast)).toThrow(
      expect.objectContaining({ wireError: 'ENOTSUP' }),
    );
    await pvm.writeZeroes(128 * 1024, 4096, fast);
    expect(pvm.blockStatus(64 * 1024, DISK_BYTES - 64 * 1024)).toEqual([
      { length: DISK_BYTES - 64 * 1024, hole: true, zero: true },
    ]);
    await vm.replica.close();
  });

  test('a new primary is turned away unless the replica seeds', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    expect(() => vm.connect('pvm')).toThrow(expect.objectContaining({ reason: 'policy' }));
    vm.replica.diverge('for the test');
    expect(() => vm.connect('svm')).toThrow(expect.objectContaining({ reason: 'shutdown' }));
    await vm.replica.close();
  });

  test('I7 bounded memory: writes wait once a failing journal is far behind', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    const full = new JournalError('REPLICA_JOURNAL_IO', 'the journal is full', 'Make space.');
    const append = jest.spyOn(Journal.prototype, 'append').mockRejectedValue(full);
    // Each try takes what is open for itself, and leaves it in memory when it fails.
    let written = Promise.resolve();
    for (let tries = 0; tries < 1000 && !vm.replica.mustFlush(); tries++) {
      written = vm.write('svm', 'S'.repeat(DISK_BYTES));
      await expect(vm.replica.flush()).rejects.toBe(full);
    }
    const { secondary, committed } = vm.replica.bufferBytes;
    expect(secondary + committed).toBeLessThan(66 * 1024 * 1024);
    const isFirst = await Promise.race([written.then(() => 'answered'), sleep(20, 'waits')]);
    expect(isFirst).toBe('waits');
    append.mockRestore();
    await written;
    expect(vm.replica.mustFlush()).toBe(false);
    expect(await vm.read('svm', 1)).toBe('S');
    await vm.replica.close();
  });

  test('I4 durability: after a copy that was not synced nothing becomes durable', async () => {
    const failure = new BaseImageError('REPLICA_BASE_IO', 'fdatasync failed', 'Check the disk.');
    const sync = jest.spyOn(RawBase.prototype, 'sync').mockRejectedValue(failure);
    const [staying, taking] = [await TestVm.open(at, ['a']), await TestVm.open(at, ['b'])];
    staying.connectAll().commit();
    taking.connectAll().commit();
    taking.failOver();
    await expect(taking.svm.get('b')!.flush()).rejects.toMatchObject({ wireError: 'EIO' });
    expect((await readStateFile(at('b.raw')))!.state).not.toBe('failed-over');
    expect(staying.replica.state).toBe('diverged');
    expect(staying.replica.reason).toContain('what was seeded may not be on the disk');
    sync.mockRestore();
    await staying.replica.close();
    await taking.replica.close();
  });

  test('a flush that needs what a spill file has lost is refused, not tried again', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    await vm.write('svm', 'S');
    const lost = new SpillError('REPLICA_SPILL_LOST', 'a page is lost', 'Seed again.');
    const append = jest.spyOn(Journal.prototype, 'append').mockRejectedValue(lost);
    await expect(vm.svm.get('disk')!.flush()).rejects.toMatchObject({ wireError: 'EIO' });
    expect(append).toHaveBeenCalledTimes(1);
    append.mockRestore();
    await vm.replica.close();
  });

  test('a flush that waits for its journal is refused when the replica is closed', async () => {
    const vm = (await TestVm.open(at, ['disk'], { journalPath: at('never/journal') })).connectAll();
    vm.commit();
    vm.failOver();
    await expect(vm.replica.flush()).rejects.toMatchObject({ code: 'REPLICA_JOURNAL_IO' });
    const flushed = expect(vm.svm.get('disk')!.flush()).rejects.toMatchObject({ wireError: 'EIO' });
    await sleep(20);
    await vm.replica.close();
    await flushed;
  });
});

describe('I1 view', () => {
  test('the SVM sees its own writes of this epoch, else the last commit, never P', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    await vm.write('pvm', 'base....');
    vm.commit();
    await vm.write('pvm', 'P');
    await vm.write('svm', 'S', 2);
    expect(await vm.read('svm', 4)).toBe('baSe');
    expect(await vm.read('pvm', 4)).toBe('Pase');
    vm.commit();
    expect(await vm.read('svm', 4)).toBe('Pase');
    await vm.writeBack();
    expect(await vm.read('svm', 4)).toBe('Pase');
    await vm.replica.close();
  });
});

describe('I2 atomic commit', () => {
  test('all disks commit in the same turn', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    vm.commit();
    await vm.write('pvm', 'A', 0, 'a');
    await vm.write('pvm', 'B', 0, 'b');
    const seen: string[] = [];
    // Told within the commit: by then every disk is there.
    vm.replica.on(({ kind }) => {
      if (kind !== 'backlog') return;
      for (const disk of vm.replica.disks) seen.push(...disk.committed.map(() => disk.name));
    });
    expect(vm.commit()).toMatchObject({ epoch: 2, committedPages: 2, droppedPages: 0 });
    expect(seen).toEqual(['a', 'b']);
    expect([await vm.read('svm', 1, 0, 'a'), await vm.read('svm', 1, 0, 'b')]).toEqual(['A', 'B']);
    await vm.replica.close();
  });

  test('writes that no flush followed are counted, each disk for itself', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    vm.commit();
    await vm.write('pvm', 'A', 0, 'a');
    await vm.write('pvm', 'B', 0, 'b');
    await vm.pvm.get('a')!.flush();
    expect(vm.commit().unflushedWrites).toBe(1);
    await vm.pvm.get('b')!.flush();
    expect(vm.commit().unflushedWrites).toBe(0);
    await vm.replica.close();
  });
});

describe('I7 bounded memory', () => {
  const memory = { softBytes: 600_000, hardBytes: 900_000 };

  test('soft: a checkpoint is asked for, once an epoch', async () => {
    const vm = (
      await TestVm.open(at, ['disk'], { memory: { ...memory, hardBytes: 1e9 } })
    ).connectAll();
    vm.commit();
    for (let page = 0; page < 64; page++) await vm.write('pvm', 'x', page * 4096);
    for (let page = 0; page < 64; page++) await vm.write('svm', 'x', page * 4096);
    const asked = (): number => vm.events.filter(({ kind }) => kind === 'memory-pressure').length;
    expect(asked()).toBe(0);
    vm.commit();
    await vm.write('pvm', 'x');
    await vm.write('svm', 'x');
    await vm.write('svm', 'x', 4096);
    expect(asked()).toBe(1);
    await vm.replica.close();
  });

  test('hard: partial zeroes count too, and the buffers stay under the limit', async () => {
    const vm = (await TestVm.open(at, ['disk'], { memory })).connectAll();
    await vm.write('pvm', 'seed');
    vm.commit();
    for (const side of ['pvm', 'svm', 'pvm'] as const) {
      for (let page = 0; page < 64; page++) {
        const pvm = vm.pvm.get('disk')!;
        if (side === 'pvm') await pvm.writeZeroes(page * 4096 + 1, 4000, ZERO);
        else await vm.write(side, 'S', page * 4096);
      }
      if (side === 'pvm') vm.commit();
      if (vm.replica.link.loss) break;
    }
    const used = vm.replica.bufferBytes;
    expect(used.primary + used.secondary + used.committed).toBeLessThanOrEqual(memory.hardBytes);
    await vm.replica.close();
  });

  test('hard: dropping P frees its memory at once: the next write does not diverge', async () => {
    const limits = { softBytes: 1, hardBytes: 600_000 };
    const vm = (await TestVm.open(at, ['disk'], { memory: limits })).connectAll();
    vm.commit();
    await vm.write('svm', 'S');
    await vm.write('pvm', 'x'.repeat(DISK_BYTES));
    expect(vm.replica.link.loss).toBeUndefined();
    vm.commit();
    await vm.write('svm', 'S');
    await vm.write('pvm', 'x');
    expect(vm.replica.link.loss).toContain('hard limit of 600000 bytes');
    await vm.write('svm', 'S', 4096);
    expect(vm.replica.state).toBe('protected');
    expect(vm.replica.bufferBytes.primary).toBe(0);
    expect(await vm.read('svm', 2, 4095)).toBe('xS');
    await vm.replica.close();
  });

  test('hard: where that is not enough, the secondary waits; nothing is given up', async () => {
    const limits = { softBytes: 1, hardBytes: 200_000 };
    const vm = (await TestVm.open(at, ['disk'], { memory: limits })).connectAll();
    vm.commit();
    const held = vm.write('svm', 'S');
    expect(vm.replica).toMatchObject({ state: 'protected', areWritesHeld: true });
    await vm.replica.close();
    await held;
  });
});

describe('options', () => {
  test.each([
    ['no disk', { disks: [] }, 'disks need names, all different'],
    ['one name twice', { disks: [disk('a', 'x'), disk('a', 'y')] }, 'got [a, a]'],
    ['one base twice', { disks: [disk('a', 'x'), disk('b', './x')] }, 'must differ'],
    [
      'one state file twice',
      { disks: [disk('a', 'x', 's'), disk('b', 'y', './s')] },
      'must differ',
    ],
    ['a state file over a base', { disks: [disk('a', 'x', 'y'), disk('b', 'y')] }, 'must differ'],
    ['the journal over a base', { disks: [disk('a', 'x')], journalPath: 'x' }, 'must differ'],
    ['limits upside down', { memory: { softBytes: 2, hardBytes: 1 } }, 'soft memory limit (2)'],
  ])('%s is refused', async (_what, options, message) => {
    await expect(TestVm.open(at, ['disk'], options)).rejects.toMatchObject({
      code: 'REPLICA_OPTIONS',
      message: expect.stringContaining(message),
    });
  });

  test('a base of another size is refused', async () => {
    await writeFile(at('disk.raw'), Buffer.alloc(512));
    await expect(TestVm.open(at)).rejects.toMatchObject({ code: 'REPLICA_BASE_SIZE' });
  });
});

const ZERO = { fua: false, mayPunchHole: true, fast: false } as const;

function disk(name: string, base: string, stateFile?: string): DiskOptions {
  return { name, base, stateFile };
}
