/** A replica that has lost its primary may be the only copy of the VM: it destroys nothing. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { recoverBases } from '../src/durability/recovery.js';
import * as stateFiles from '../src/durability/state-file.js';
import type { Replica } from '../src/replica.js';
import { temporaryFiles } from './support/files.js';
import { CUT, LOST, TestVm } from './support/vm.js';

// A slab has 256 KiB, as each disk here: one slab a disk and side.
const LIMITS = { softBytes: 300_000, hardBytes: 400_000, onFull: 'release' } as const;
const open: TestVm[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map(({ replica }) => replica.close()));
});
// After the above: its folder goes last.
const at = temporaryFiles();

/** Protected; the second commit is in memory. */
async function committed(names: readonly string[] = ['disk']): Promise<TestVm> {
  const vm = (await TestVm.open(at, names, { memory: LIMITS })).connectAll();
  open.push(vm);
  vm.commit();
  await vm.write('pvm', `B${names[0]}`, 0, names[0]);
  vm.commit();
  return vm;
}

/** The same, and the base holds it. */
async function written(names?: readonly string[]): Promise<TestVm> {
  const vm = await committed(names);
  await vm.writeBack();
  return vm;
}

function lose(vm: TestVm, end = LOST): void {
  for (const session of vm.pvm.values()) session.close(end);
}

async function isOver(vm: TestVm, kind: string): Promise<void> {
  while (!vm.events.some((event) => event.kind === kind)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const record = (name = 'disk') => stateFiles.readStateFile(at(`${name}.raw`));
const bases = (names: readonly string[] = ['disk']) =>
  names.map((name) => ({ name, base: at(`${name}.raw`) }));

/** Fills the secondary's buffer until a write is not answered. */
function fill(vm: TestVm): Promise<void> {
  for (let page = 0; page < 64; page++) {
    for (const [name] of vm.svm) {
      const written = vm.write('svm', `S${page}`, page * 4096, name);
      if (vm.replica.areWritesHeld) return written;
    }
  }
  throw new Error('nothing was held');
}

describe('I7 bounded memory: the primary is lost', () => {
  const two = ['a', 'b'];

  test('past hard the secondary waits, and the copy stays whole', async () => {
    const vm = await written(two);
    lose(vm);
    const held = fill(vm);
    expect(vm.replica).toMatchObject({ state: 'protected', mayFailOver: true, isWaiting: true });
    expect(vm.events.filter(({ kind }) => kind === 'writes-held')).toHaveLength(1);
    expect(vm.events.map(({ kind }) => kind)).not.toContain('memory-pressure');
    expect(await Promise.race([held.then(() => 'answered'), Promise.resolve('held')])).toBe('held');
    vm.failOver();
    await held;
    expect(await vm.read('svm', 2, 0, 'a')).toBe('S0');
  });

  test('I4: a failover past hard whose state file fails at first is durable later', async () => {
    const vm = await written(two);
    lose(vm);
    const held = fill(vm);
    await vm.replica.lastCommitKept();
    const write = jest.spyOn(stateFiles.StateFiles.prototype, 'write');
    write.mockRejectedValueOnce(new Error('no space'));
    vm.failOver();
    await held;
    await expect(vm.replica.failoverDurable()).rejects.toThrow('no space');
    await vm.replica.failoverDurable();
    write.mockRestore();
    expect(await record('a')).toMatchObject({ state: 'failed-over' });
  });

  test('what waits is answered when the secondary stops, and so is what comes then', async () => {
    const vm = await written(two);
    lose(vm);
    const held = fill(vm);
    vm.replica.secondaryRuns(false);
    await held;
    await vm.write('svm', 'more', 0, 'b');
    expect(vm.replica).toMatchObject({ state: 'protected', areWritesHeld: false });
    vm.replica.secondaryRuns(true);
    const again = vm.write('svm', 'more', 0, 'b');
    expect(vm.replica.areWritesHeld).toBe(true);
    await vm.replica.close();
    await again;
  });

  test('while it stops, what waits is answered, and what comes then waits', async () => {
    const vm = await written(two);
    lose(vm);
    const held = fill(vm);
    vm.replica.answerHeld();
    await held;
    const next = vm.write('svm', 'more', 0, 'b');
    expect(await Promise.race([next.then(() => 'answered'), Promise.resolve('held')])).toBe('held');
    expect(vm.events.filter(({ kind }) => kind === 'writes-held')).toHaveLength(1);
    vm.replica.answerHeld();
    await next;
  });

  test('P is dropped once memory is short, and can be committed no more', async () => {
    const vm = await written(two);
    await vm.write('pvm', 'P'.repeat(65536), 0, 'a');
    for (const pvm of vm.pvm.values()) await pvm.flush();
    lose(vm);
    expect(vm.replica.link.lossWasClean).toBe(true);
    await vm.write('svm', 'S', 0, 'a');
    expect(vm.replica.bufferBytes.primary).toBe(0);
    expect(vm.replica.link.lossWasClean).toBe(false);
  });

  test('I2: P stays for a checkpoint that a dying primary may have completed', async () => {
    const vm = await written(two);
    await vm.write('pvm', 'P'.repeat(65536), 0, 'a');
    for (const pvm of vm.pvm.values()) await pvm.flush();
    vm.replica.secondaryRuns(false);
    lose(vm);
    // Its last requests, which it waits for.
    for (let page = 0; page < 64; page++) await vm.write('svm', 'S', page * 4096, 'b');
    expect(vm.replica.link.lossWasClean).toBe(true);
    vm.commit();
    expect(await vm.read('svm', 3, 65533, 'a')).toBe('PPP');
  });
});

describe('I6 no mistaken base: the last commit outlives its process', () => {
  test('once the bases hold it, their state files say so', async () => {
    const vm = await committed();
    lose(vm);
    expect((await record())?.lastCommit).toBeUndefined();
    await vm.writeBack();
    await vm.replica.lastCommitKept();
    expect(await record()).toMatchObject({ state: 'protected', epoch: 2, lastCommit: true });
    expect(vm.replica.isLastCommitKept).toBe(true);
    await vm.replica.close();
    expect((await readFile(at('disk.raw'))).toString('latin1', 0, 5)).toBe('Bdisk');
    await expect(TestVm.open(at)).rejects.toMatchObject({ code: 'REPLICA_BASE_LAST_COMMIT' });
    await expect(recoverBases(bases())).rejects.toMatchObject({ code: 'REPLICA_BASE_LAST_COMMIT' });
    expect(await recoverBases(bases(), { acceptLastCommit: true })).toMatchObject([
      { state: 'retired' },
    ]);
    expect(await record()).toMatchObject({ state: 'retired' });
    expect(await record()).not.toHaveProperty('lastCommit');
    await (await TestVm.open(at, ['disk'], { overwrite: true })).replica.close();
  });

  test.each([
    ['its VM ends', (replica: Replica) => replica.diverge("the secondary's QMP socket ended")],
    ['it is full', (replica: Replica) => replica.diverge('full')],
  ])('%s while it is written', async (_what, end) => {
    const vm = await committed();
    lose(vm, CUT);
    end(vm.replica);
    expect(vm.replica).toMatchObject({ state: 'diverged', mayFailOver: false });
    await vm.writeBack();
    await vm.replica.lastCommitKept();
    expect(await record()).toMatchObject({ state: 'diverged', lastCommit: true });
    await vm.replica.close();
    await recoverBases(bases(), { acceptLastCommit: true });
    expect((await readFile(at('disk.raw'))).toString('latin1', 0, 5)).toBe('Bdisk');
  });

  test('its VM ends afterwards', async () => {
    const vm = await written();
    lose(vm);
    await vm.replica.lastCommitKept();
    vm.replica.diverge("the secondary's QMP socket ended");
    await vm.replica.close();
    expect(await record()).toMatchObject({ state: 'diverged', lastCommit: true });
  });

  test.each([
    ['before it is kept', false],
    ['after it is kept', true],
    ['after its VM has ended', 'diverged'],
  ])('a primary that has continued makes it worthless: %s', async (_what, when) => {
    const vm = await committed();
    lose(vm);
    if (when !== false) {
      await vm.writeBack();
      await vm.replica.lastCommitKept();
    }
    if (when === 'diverged') vm.replica.diverge('its QMP socket ended');
    vm.replica.outdate('the primary runs on without this replica');
    await expect(vm.replica.lastCommitKept()).rejects.toThrow('of no use');
    await vm.writeBack();
    await vm.replica.close();
    const now = await record();
    expect(now).toMatchObject({ state: 'diverged' });
    expect(now).not.toHaveProperty('lastCommit');
    await expect(recoverBases(bases(), { acceptLastCommit: true })).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
    await (await TestVm.open(at)).replica.close();
  });

  test('a base is not written before all state files have taken it back', async () => {
    const vm = await written(['a', 'b']);
    vm.replica.secondaryRuns(false);
    await vm.write('pvm', 'C', 0, 'a');
    for (const pvm of vm.pvm.values()) await pvm.flush();
    lose(vm);
    await vm.replica.lastCommitKept();
    // The checkpoint in which the primary died.
    vm.commit();
    const batch = vm.replica.nextBatch();
    await batch?.ready();
    for (const name of ['a', 'b']) expect(await record(name)).not.toHaveProperty('lastCommit');
    for (const run of batch!.runs()) await run.write();
    await batch!.sync();
    batch!.finish();
    await vm.replica.lastCommitKept();
    for (const name of ['a', 'b']) {
      expect(await record(name)).toMatchObject({ epoch: 3, lastCommit: true });
    }
  });

  test('who waits for it hears of a failover', async () => {
    const vm = await committed();
    lose(vm);
    const kept = expect(vm.replica.lastCommitKept()).rejects.toThrow('has taken over');
    vm.failOver();
    await kept;
    await vm.replica.failoverDurable();
  });

  test('a failover takes its place', async () => {
    const vm = await written();
    lose(vm);
    await vm.replica.lastCommitKept();
    await vm.write('svm', 'S');
    vm.failOver();
    await vm.replica.failoverDurable();
    expect(await record()).toMatchObject({ state: 'failed-over' });
    expect(await record()).not.toHaveProperty('lastCommit');
    await vm.replica.close();
    await recoverBases(bases());
    expect((await readFile(at('disk.raw'))).toString('latin1', 0, 5)).toBe('Sdisk');
  });

  test('a state file that can not be written is tried again', async () => {
    const vm = await written();
    const folder = jest.spyOn(stateFiles.StateFiles.prototype, 'claim');
    folder.mockRejectedValueOnce(new Error('no space'));
    lose(vm);
    await isOver(vm, 'trouble');
    await vm.replica.lastCommitKept();
    expect(folder).toHaveBeenCalledTimes(2);
    folder.mockRestore();
    expect(await record()).toMatchObject({ lastCommit: true });
  });

  test('a process that ends by itself claims nothing: its primary runs on', async () => {
    const vm = await written();
    vm.replica.leave();
    lose(vm);
    await vm.replica.close();
    expect(await record()).not.toHaveProperty('lastCommit');
  });

  test('half of the state files say so: the bases hold it all the same', async () => {
    const names = ['a', 'b'];
    const vm = await written(names);
    lose(vm);
    await vm.replica.lastCommitKept();
    await vm.replica.close();
    const { lastCommit, ...half } = (await record('b'))!;
    expect(lastCommit).toBe(true);
    await stateFiles.writeStateFile(at('b.raw'), half);
    await expect(recoverBases(bases(['a']), { acceptLastCommit: true })).rejects.toMatchObject({
      code: 'REPLICA_BASE_FOREIGN',
    });
    expect(await recoverBases(bases(names), { acceptLastCommit: true })).toHaveLength(2);
  });
});
