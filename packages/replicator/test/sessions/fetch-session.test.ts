import { readFile, writeFile } from 'node:fs/promises';
import type { ExportSession, ZeroRequest } from '@gannet/nbd';
import { describe, expect, test } from '@jest/globals';
import { stateFileOf } from '../../src/images/open-base.js';
import type { StateRecord } from '../../src/durability/state-file.js';
import { temporaryFiles } from '../support/files.js';
import { LEFT, LOST, TestVm } from '../support/vm.js';

const at = temporaryFiles();
const ZEROES: ZeroRequest = { fua: false, mayPunchHole: true, fast: false };
const text = (words: string): Buffer => Buffer.from(words);

async function open(vm: TestVm, name: string): Promise<ExportSession> {
  const found = vm.replica.exports.find((one) => one.name === name);
  if (!found) throw new Error(`no export ${name}`);
  return found.open({ id: 1, address: 'test' });
}

async function contents(vm: TestVm, length: number, offset = 0): Promise<string> {
  const target = Buffer.alloc(length);
  await vm.replica.disks[0]!.base.read(offset, target);
  return target.toString('latin1').replaceAll('\0', '.');
}

async function recordOf(disk = 'disk'): Promise<StateRecord> {
  return JSON.parse(await readFile(stateFileOf(at(`${disk}.raw`)), 'utf8')) as StateRecord;
}

/** Waits until the state file says what is wanted: it is written beside everything else. */
async function recorded(isSo: (record: StateRecord) => boolean): Promise<StateRecord> {
  for (let tries = 0; tries < 500; tries++) {
    const record = await recordOf();
    if (isSo(record)) return record;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`the state file says ${JSON.stringify(await recordOf())}`);
}

/** Copied, protected, and ended as a daemon ends that is killed: nothing is closed in order. */
async function lostReplica(words: string): Promise<string> {
  const vm = await TestVm.open(at);
  const copy = await open(vm, 'pvm-seed');
  await copy.write(0, text(words), false);
  await open(vm, 'pvm-link');
  copy.close(LEFT);
  vm.commit();
  const { uuid } = vm.replica;
  await recorded(({ basis }) => basis?.replica === uuid);
  await vm.replica.close();
  return uuid;
}

async function beginUpdate(vm: TestVm): Promise<ExportSession> {
  const begin = await open(vm, 'pvm-resync');
  begin.close(LEFT);
  return open(vm, 'pvm-resume');
}

describe('what a base can be brought up to date from', () => {
  test('is in the state file once what was copied is on stable storage', async () => {
    const uuid = await lostReplica('copied');
    const { state, basis } = await recordOf();
    expect(state).toBe('protected');
    expect(basis).toEqual({ replica: uuid, epoch: 1 });
    const next = await TestVm.open(at);
    expect(next.replica.basis.recorded).toEqual({ replica: uuid, epoch: 1 });
    expect(await recordOf()).toMatchObject({ state: 'seeding', basis: { replica: uuid } });
    await next.replica.close();
  });

  test('is not there before that, and not while it is synced', async () => {
    const vm = await TestVm.open(at);
    const copy = await open(vm, 'pvm-seed');
    const { base } = vm.replica.disks[0]!;
    let go: () => void = () => undefined;
    const synced = new Promise<void>((resolve) => (go = resolve));
    base.sync = () => synced;
    await copy.write(0, text('copied'), false);
    await open(vm, 'pvm-link');
    copy.close(LEFT);
    vm.commit();
    await recorded(({ state }) => state === 'protected');
    expect((await recordOf()).basis).toBeUndefined();
    go();
    await recorded(({ basis }) => basis !== undefined);
    await vm.replica.close();
  });

  test('counts no epoch that is in memory, nor what was dropped unwritten', async () => {
    const vm = await TestVm.open(at);
    vm.connectAll();
    vm.commit();
    while (vm.replica.basis.recorded === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const realNow = performance.now.bind(performance);
    performance.now = () => realNow() + 60_000;
    try {
      await vm.write('pvm', 'two');
      vm.commit();
      const batch = vm.replica.nextBatch()!;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(vm.replica.basis.recorded?.epoch).toBe(1);
      batch.abandon();
      vm.replica.outdate('the primary runs on');
      await vm.replica.close();
    } finally {
      performance.now = realNow;
    }
    expect(await recordOf()).toMatchObject({ state: 'diverged', basis: { epoch: 1 } });
  });

  test('I6: a copy from the beginning takes it back before the base is emptied', async () => {
    await lostReplica('copied');
    const vm = await TestVm.open(at);
    const { base } = vm.replica.disks[0]!;
    const clear = base.clear!.bind(base);
    let said: StateRecord | undefined;
    base.clear = async () => {
      said = await recordOf();
      await clear();
    };
    await open(vm, 'pvm-seed');
    expect(said?.state).toBe('seeding');
    expect(said?.basis).toBeUndefined();
    await expect(open(vm, 'pvm-resync')).rejects.toThrow('not known what the base of disk disk');
    await vm.replica.close();
  });

  test('I6: a failover, a base that was made anew, and --overwrite have none', async () => {
    await lostReplica('copied');
    const overwriting = await TestVm.open(at, ['disk'], { overwrite: true });
    expect(overwriting.replica.basis.recorded).toBeUndefined();
    await overwriting.replica.close();

    await lostReplica('copied');
    await writeFile(at('disk.raw'), '');
    const anew = await TestVm.open(at);
    expect(anew.replica.basis.recorded).toBeUndefined();
    await anew.replica.close();

    const vm = await TestVm.open(at);
    vm.connectAll();
    vm.commit();
    await recorded(({ basis }) => basis !== undefined);
    vm.failOver();
    await vm.replica.failoverDurable();
    expect((await recordOf()).basis).toBeUndefined();
    await vm.replica.close();
  });

  test('is not written once the replica is closed: another may have the bases by then', async () => {
    const vm = await TestVm.open(at);
    const copy = await open(vm, 'pvm-seed');
    const { base } = vm.replica.disks[0]!;
    let go: () => void = () => undefined;
    const synced = new Promise<void>((resolve) => (go = resolve));
    base.sync = () => synced;
    await open(vm, 'pvm-link');
    copy.close(LEFT);
    vm.commit();
    await vm.replica.close();
    go();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await recordOf()).basis).toBeUndefined();
  });

  test('disks that say different things have none', async () => {
    const vm = await TestVm.open(at, ['a', 'b']);
    vm.connectAll();
    await vm.write('pvm', 'a', 0, 'a');
    await vm.write('pvm', 'b', 0, 'b');
    vm.commit();
    for (const name of ['a', 'b']) {
      while ((await recordOf(name)).basis === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
    await vm.replica.close();
    const file = stateFileOf(at('b.raw'));
    const other = { ...(await recordOf('b')), basis: { replica: 'another', epoch: 9 } };
    await writeFile(file, JSON.stringify(other));
    const next = await TestVm.open(at, ['a', 'b']);
    expect(next.replica.basis.recorded).toBeUndefined();
    await next.replica.close();
  });
});

describe('an update of a base', () => {
  test('keeps what the base holds, and takes what is fetched and what the mirror brings', async () => {
    await lostReplica('0123456789');
    const vm = await TestVm.open(at);
    const mirror = await beginUpdate(vm);
    await mirror.write(2, text('MM'), false);
    const fetch = await open(vm, 'pvm-fetch');
    await fetch.write(1, text('ffff'), false);
    await fetch.writeZeroes(8, 2, ZEROES);
    expect(await contents(vm, 10)).toBe('0fMMf567..');
    await expect(open(vm, 'pvm-link')).rejects.toThrow('is not up to date yet');
    await fetch.flush();
    fetch.close(LEFT);
    const link = await open(vm, 'pvm-link');
    mirror.close(LEFT);
    vm.commit();
    expect(vm.replica.state).toBe('protected');
    const { uuid } = vm.replica;
    await recorded(({ basis }) => basis?.replica === uuid);
    link.close(LOST);
    await vm.replica.close();
  });

  test('a write of the mirror waits for what is being fetched, and wins', async () => {
    await lostReplica('0123456789');
    const vm = await TestVm.open(at);
    const { base } = vm.replica.disks[0]!;
    const write = base.write.bind(base);
    const waiting: (() => void)[] = [];
    base.write = async (offset, data) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      await write(offset, data);
    };
    const mirror = await beginUpdate(vm);
    const fetch = await open(vm, 'pvm-fetch');
    const fetched = fetch.write(0, text('ffff'), false);
    const mirrored = mirror.write(2, text('MM'), false);
    const elsewhere = mirror.write(6, text('EE'), false);
    // The one that waits was not begun.
    expect(waiting).toHaveLength(2);
    for (const go of waiting.splice(0)) go();
    await fetched;
    await elsewhere;
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    waiting[0]?.();
    await mirrored;
    expect(await contents(vm, 10)).toBe('ffMM45EE89');
    await vm.replica.close();
  });

  test('an older attempt brings nothing more', async () => {
    await lostReplica('0123456789');
    const vm = await TestVm.open(at);
    await beginUpdate(vm);
    const old = await open(vm, 'pvm-fetch');
    await beginUpdate(vm);
    expect(() => old.write(0, text('old'), false)).toThrow('this update of the base is over');
    expect(() => old.flush()).toThrow('this update of the base is over');
    expect(await contents(vm, 4)).toBe('0123');
    await vm.replica.close();
  });

  test('what failed is not complete, and a crash leaves the base that it was', async () => {
    const uuid = await lostReplica('0123456789');
    const vm = await TestVm.open(at);
    await beginUpdate(vm);
    const fetch = await open(vm, 'pvm-fetch');
    const { base } = vm.replica.disks[0]!;
    base.write = () => Promise.reject(new Error('no space'));
    await expect(Promise.resolve(fetch.write(0, text('f'), false))).rejects.toThrow('no space');
    expect(() => fetch.flush()).toThrow('is over');
    await expect(open(vm, 'pvm-link')).rejects.toThrow('is not up to date yet');
    expect(await recordOf()).toMatchObject({ state: 'seeding', basis: { replica: uuid } });
    await vm.replica.close();
    const next = await TestVm.open(at);
    expect(next.replica.basis.recorded).toEqual({ replica: uuid, epoch: 1 });
    await next.replica.close();
  });

  test('fetches nothing before it has begun', async () => {
    await lostReplica('0123456789');
    const vm = await TestVm.open(at);
    await expect(open(vm, 'pvm-fetch')).rejects.toThrow('no update of disk disk has begun');
    await vm.replica.close();
  });
});
