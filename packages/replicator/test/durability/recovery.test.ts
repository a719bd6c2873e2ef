import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { stateFileOf } from '../../src/images/open-base.js';
import { recoverBases } from '../../src/durability/recovery.js';
import { readStateFile, writeStateFile } from '../../src/durability/state-file.js';
import type { ReplicaState } from '../../src/replica-state.js';
import { temporaryFiles } from '../support/files.js';
import { forSeeds, Random } from '@gannet/test-support/random.js';
import { DISK_BYTES, TestVm } from '../support/vm.js';

const at = temporaryFiles();
const DISK = { name: 'disk', base: '' };
const here = (): typeof DISK => ({ ...DISK, base: at('disk.raw') });

describe('I6 no mistaken base', () => {
  test.each([
    ['seeding', 'REPLICA_BASE_NOT_USABLE', 'is seeding at epoch 0: it holds no consistent disk'],
    ['protected', 'REPLICA_BASE_NOT_USABLE', 'is protected at epoch'],
    ['diverged', 'REPLICA_BASE_NOT_USABLE', 'is diverged at epoch'],
  ] as const)('a base that was %s is no disk', async (state, code, message) => {
    await leave(state);
    await expect(recoverBases([here()])).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      remedy: expect.stringContaining('seeded again'),
    });
    // But it may be seeded again.
    await (await TestVm.open(at)).replica.close();
  });

  test.each([
    ['failed-over', 'REPLICA_BASE_NEEDS_RECOVERY', 'together hold a VM that had failed over'],
    ['retired', 'REPLICA_BASE_HOLDS_DATA', "became a guest's own disk after a failover"],
  ] as const)('a base that was %s is not seeded over unless told', async (state, code, message) => {
    await leave(state);
    await expect(TestVm.open(at)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      remedy: expect.stringContaining('--overwrite'),
    });
    await (await TestVm.open(at, ['disk'], { overwrite: true })).replica.close();
    expect((await readStateFile(at('disk.raw')))!.state).toBe('seeding');
  });

  test('a base that holds data and was never a replica is not seeded over', async () => {
    await writeFile(at('disk.raw'), Buffer.alloc(DISK_BYTES, 1));
    await expect(TestVm.open(at)).rejects.toMatchObject({
      code: 'REPLICA_BASE_HOLDS_DATA',
      message: expect.stringContaining('has no state file: it was never a replica'),
    });
  });

  test('a sparse file is blank and may be seeded', async () => {
    await writeFile(at('disk.raw'), '');
    await truncate(at('disk.raw'), DISK_BYTES);
    await (await TestVm.open(at)).replica.close();
  });

  test.each([
    ['no JSON', 'state: seeding'],
    ['another format', '{"format":"gannet-replica-2","state":"retired"}'],
    ['an unknown state', '{"format":"gannet-replica-1","state":"fine"}'],
    ['half a record', '{"format":"gannet-replica-1","state":"retired"}'],
    ...[
      ['no format', { image: 5 }],
      ['a size that is no number of bytes', { sizeBytes: -1 }],
      ['an epoch beyond all numbers', { epoch: 2 ** 53 }],
      ['a disk that is none of its own', { disk: 'other' }],
    ].map(([what, wrong]) => {
      const whole = {
        image: 'raw',
        uuid: 'u',
        vm: 'vm',
        disk: 'disk',
        disks: ['disk'],
        sizeBytes: 1,
      };
      const record = { format: 'gannet-replica-1', state: 'failed-over', epoch: 0, journal: '/j' };
      return [what, JSON.stringify({ ...record, ...whole, ...(wrong as object) })] as [
        string,
        string,
      ];
    }),
  ])('a state file that is %s is an error', async (_what, text) => {
    await leave('protected');
    await writeFile(stateFileOf(at('disk.raw')), text);
    const foreign = {
      code: 'REPLICA_BASE_FOREIGN',
      message: expect.stringContaining("can't be read"),
    };
    await expect(recoverBases([here()])).rejects.toMatchObject(foreign);
    await expect(TestVm.open(at)).rejects.toMatchObject(foreign);
  });

  test('without a state file, or without a base, there is nothing to recover', async () => {
    await expect(recoverBases([here()])).rejects.toMatchObject({
      code: 'REPLICA_BASE_FOREIGN',
      message: `${at('disk.raw')} is missing`,
    });
    await writeFile(at('disk.raw'), 'x');
    await expect(recoverBases([here()])).rejects.toMatchObject({
      code: 'REPLICA_BASE_FOREIGN',
      message: `${stateFileOf(at('disk.raw'))} is missing`,
    });
  });

  test('the base of another protection is not mixed in, and none is left out', async () => {
    await failOverTwo('x');
    const other = (await readStateFile(at('b.raw')))!;
    await expect(recoverBases([{ name: 'a', base: at('a.raw') }])).rejects.toMatchObject({
      code: 'REPLICA_BASE_FOREIGN',
      message: expect.stringContaining('also holds writes of disk b'),
    });
    await writeStateFile(at('b.raw'), { ...other, uuid: 'f'.repeat(36) });
    await expect(recoverBases(pair())).rejects.toMatchObject({
      code: 'REPLICA_BASE_FOREIGN',
      message: expect.stringContaining('belongs to another protection'),
    });
  });

  test('a journal that is missing is an error, and the base stays as it was', async () => {
    await leave('failed-over');
    const { journal } = (await readStateFile(at('disk.raw')))!;
    await copyFile(journal, at('away'));
    await truncate(journal, 0);
    await expect(recoverBases([here()])).rejects.toMatchObject({ code: 'REPLICA_JOURNAL_FOREIGN' });
    expect((await readStateFile(at('disk.raw')))!.state).toBe('failed-over');
    await copyFile(at('away'), journal);
    expect(await recoverBases([here()])).toMatchObject([{ state: 'retired' }]);
  });
});

test('a base that has been cut short is not made longer by its journal', async () => {
  const vm = (await TestVm.open(at)).connectAll();
  vm.commit();
  await vm.write('svm', 'far', 65_536);
  vm.failOver();
  await vm.replica.failoverDurable();
  await vm.replica.close();
  await truncate(at('disk.raw'), 4096);
  await expect(recoverBases([here()])).rejects.toMatchObject({
    code: 'REPLICA_JOURNAL_FOREIGN',
    message: expect.stringContaining('a write to byte 65536 of disk disk, which ends at 4096'),
  });
  expect((await readFile(at('disk.raw'))).length).toBe(4096);
});

describe('I4 durability', () => {
  test.each([
    ['a', 'in order'],
    ['b', 'in the other order'],
  ])('a recovery that was cut short may be repeated, %s first, %s', async (first) => {
    await failOverTwo('one');
    // Cut short after one state file: that base says `retired` already.
    const record = (await readStateFile(at('a.raw')))!;
    await writeStateFile(at('a.raw'), { ...record, state: 'retired' });
    const disks = first === 'a' ? pair() : pair().reverse();
    const told: [number, number][] = [];
    await recoverBases(disks, { onProgress: (done, total) => told.push([done, total]) });
    const end = told.at(-1)?.[1];
    expect(told.length).toBeGreaterThan(1);
    expect(told.at(-1)).toEqual([end, end]);
    expect(
      told.every(([done, total], at) => total === end && done > (told[at - 1]?.[0] ?? 0)),
    ).toBe(true);
    expect(await textOf('a.raw')).toBe('a-one');
    expect(await textOf('b.raw')).toBe('b-one');
    expect(await recoverBases(disks)).toMatchObject([{ state: 'retired' }, { state: 'retired' }]);
  });

  test('a crash between the state files of a failover is recovered too', async () => {
    await failOverTwo('two');
    const record = (await readStateFile(at('b.raw')))!;
    await writeStateFile(at('b.raw'), { ...record, state: 'protected' });
    await recoverBases(pair());
    expect(await textOf('b.raw')).toBe('b-two');
  });

  test('a crash at any write after a failover loses nothing that was flushed', async () => {
    await forSeeds(6, async (random) => {
      const run = `run-${random.seed}`;
      await mkdir(at(run));
      await crashEverywhere((file) => at(`${run}/${file}`), random);
    });
  });
});

/** Leaves a base behind in a state, as a replicator that died would. */
async function leave(state: ReplicaState): Promise<void> {
  const vm = (await TestVm.open(at)).connectAll();
  if (state === 'diverged') vm.replica.diverge('for the test');
  else if (state !== 'seeding') vm.commit();
  if (state === 'failed-over' || state === 'retired') vm.failOver();
  if (state === 'failed-over') await vm.replica.failoverDurable();
  if (state === 'retired') await vm.replica.settle();
  await vm.replica.close();
}

function pair(): { name: string; base: string }[] {
  return ['a', 'b'].map((name) => ({ name, base: at(`${name}.raw`) }));
}

async function failOverTwo(text: string): Promise<void> {
  const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
  vm.commit();
  for (const name of ['a', 'b']) await vm.write('svm', `${name}-${text}`, 0, name);
  vm.failOver();
  await vm.replica.failoverDurable();
  await vm.replica.close();
}

async function textOf(file: string): Promise<string> {
  return (await readFile(at(file))).toString('latin1', 0, 5);
}

/**
 * A guest that has failed over writes and flushes while its epochs are written back. Before and
 * after each step that touches a file, all files are copied away, as a crash would leave them; each
 * copy is then recovered and must hold at least what was flushed by then, and nothing that the
 * guest never wrote.
 */
async function crashEverywhere(file: (name: string) => string, random: Random): Promise<void> {
  const pages = 16;
  const vm = (await TestVm.open(file)).connectAll();
  await vm.write('pvm', 'seed'.repeat(1024));
  await vm.pvm.get('disk')!.flush();
  vm.commit();
  /** Versions of each page: what the guest wrote last and what it knows to be flushed. */
  const written = new Array<number>(pages).fill(0);
  let flushed = [...written];
  const crashes: { name: string; flushed: number[]; written: number[] }[] = [];
  let isAcknowledged = false;
  const crash = async (): Promise<void> => {
    if (!isAcknowledged) return;
    const name = `crash-${crashes.length}`;
    crashes.push({ name, flushed: [...flushed], written: [...written] });
    await mkdir(file(name));
    for (const suffix of ['', '.gannet', '.gannet-journal']) {
      await copyFile(file(`disk.raw${suffix}`), file(`${name}/disk.raw${suffix}`)).catch(
        () => undefined,
      );
    }
  };
  const write = async (): Promise<void> => {
    const page = random.below(pages);
    const version = written[page]! + 1;
    written[page] = version;
    const data = Buffer.alloc(4096);
    data.writeUInt32BE(version);
    await vm.svm.get('disk')!.write(page * 4096 + 65_536, data, false);
  };
  await write();
  vm.failOver();
  await vm.replica.failoverDurable();
  flushed = [...written];
  isAcknowledged = true;
  await crash();
  for (let step = 0; step < 14; step++) {
    for (let count = random.below(4); count >= 0; count--) await write();
    const goal = [...written];
    const flush = vm.svm.get('disk')!.flush();
    if (random.next() < 0.5) await writeBackWith(vm, crash, random);
    await flush;
    flushed = goal;
    await crash();
    if (random.next() < 0.6) await writeBackWith(vm, crash, random);
    await crash();
  }
  await vm.replica.close();
  for (const { name, flushed: least, written: most } of crashes) {
    await expectRecovered(file(name), least, most);
  }
}

async function writeBackWith(
  vm: TestVm,
  crash: () => Promise<void>,
  random: Random,
): Promise<void> {
  const batch = vm.replica.nextBatch();
  if (!batch) return;
  await batch.ready();
  for (const run of [...batch.runs()].sort(() => random.next() - 0.5)) {
    await run.write();
    await crash();
  }
  await batch.sync();
  batch.finish();
  await crash();
}

async function expectRecovered(folder: string, least: number[], most: number[]): Promise<void> {
  // The state file names the journal of the folder that crashed; its copy is another.
  const base = `${folder}/disk.raw`;
  const record = (await readStateFile(base))!;
  await writeStateFile(base, { ...record, journal: `${base}.gannet-journal` });
  await recoverBases([{ name: 'disk', base }]);
  const contents = await readFile(base);
  expect(contents.toString('latin1', 0, 4)).toBe('seed');
  for (const [page, version] of least.entries()) {
    const found = contents.readUInt32BE(page * 4096 + 65_536);
    if (found < version || found > most[page]!) {
      throw new Error(`${folder}: page ${page} is ${found}, not within ${version}..${most[page]!}`);
    }
  }
}
