/** Failing over, writing back and settling. */
import { mkdir, readdir, readFile, readlink, rename } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { JournalError } from '../src/errors.js';
import { Journal } from '../src/durability/journal.js';
import { readStateFile } from '../src/durability/state-file.js';
import { temporaryFiles } from './support/files.js';
import { DISK_BYTES, TestVm } from './support/vm.js';

const at = temporaryFiles();

describe('I3 failover', () => {
  test('P is gone, what the SVM saw is there, and in the base in the end', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    await vm.write('pvm', 'base.....');
    vm.commit();
    await vm.write('pvm', 'C');
    vm.commit();
    await vm.write('pvm', 'PPPPPPPP');
    await vm.write('svm', 'S', 3);
    const before = await vm.read('svm', 8);
    vm.failOver();
    expect(await vm.read('svm', 8)).toBe(before);
    expect(before).toBe('CasS....');
    await vm.replica.failoverDurable();
    await vm.write('svm', 'after', 4);
    const settled = vm.replica.settle();
    while (vm.replica.state !== 'retired') {
      await vm.writeBack();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settled;
    expect((await readFile(at('disk.raw'))).toString('latin1', 0, 9)).toBe('CasSafter');
    await expect(readFile(at('disk.raw.gannet-journal'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('settling waits for what another flush has sealed and not journaled yet', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    await vm.write('svm', 'A');
    const settled = vm.replica.settle();
    let batch = vm.replica.nextBatch();
    for (; !batch; batch = vm.replica.nextBatch()) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const run of batch.runs()) await run.write();
    await vm.write('svm', 'B', 1);
    const flushed = vm.replica.flush();
    while (!vm.replica.disks[0]!.secondary.isEmpty) await Promise.resolve();
    batch.finish();
    while (vm.replica.state !== 'retired') {
      await vm.writeBack();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all([settled, flushed]);
    expect((await readFile(at('disk.raw'))).toString('latin1', 0, 2)).toBe('AB');
  });

  test('a settle without a writable state file leaves the disk, and is repeated', async () => {
    await mkdir(at('state'));
    const disks = [
      { name: 'disk', base: at('disk.raw'), sizeBytes: DISK_BYTES, stateFile: at('state/disk') },
    ];
    const vm = (await TestVm.open(at, ['disk'], { disks })).connectAll();
    vm.commit();
    await vm.write('svm', 'the only copy');
    vm.failOver();
    await vm.replica.failoverDurable();
    await vm.writeBack();
    await rename(at('state'), at('away'));
    await expect(vm.replica.settle()).rejects.toMatchObject({ code: 'REPLICA_BASE_IO' });
    expect(vm.replica.state).toBe('failed-over');
    await rename(at('away'), at('state'));
    expect(await vm.read('svm', 13)).toBe('the only copy');
    await vm.replica.settle();
    expect(vm.replica.state).toBe('retired');
    expect((await readStateFile(at('disk.raw'), at('state/disk')))!.state).toBe('retired');
    await expect(readFile(at('disk.raw.gannet-journal'))).rejects.toMatchObject({ code: 'ENOENT' });
    await vm.replica.close();
    expect(await openFiles(at('disk.raw'))).toBe(0);
  });

  test('a settle that could not remove the journal is repeated, not refused', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    const busy = new JournalError('REPLICA_JOURNAL_IO', 'busy', 'Wait.');
    jest.spyOn(Journal.prototype, 'remove').mockRejectedValueOnce(busy);
    await expect(vm.replica.settle()).rejects.toBe(busy);
    expect(vm.replica.state).toBe('retired');
    await vm.replica.settle();
    await expect(readFile(at('disk.raw.gannet-journal'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await openFiles(at('disk.raw'))).toBe(0);
    await vm.replica.close();
  });

  test('no write is taken while the state files say that the base is the disk', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    const settled = vm.replica.settle();
    while (!vm.replica.isRetiring) await new Promise((resolve) => setImmediate(resolve));
    await expect(vm.write('svm', 'x')).rejects.toMatchObject({ wireError: 'ESHUTDOWN' });
    await settled;
    await vm.replica.close();
  });

  test('close() waits for a settle() under way, and leaves no file open', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    const settled = vm.replica.settle();
    while (!vm.replica.isRetiring) await new Promise((resolve) => setImmediate(resolve));
    await vm.replica.close();
    expect(await openFiles(at('disk.raw'))).toBe(0);
    await settled;
    expect(vm.replica.state).toBe('retired');
  });

  test('catchUp() and settle() that wait for write-back are rejected by close()', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    await vm.write('svm', 'S');
    vm.failOver();
    await vm.replica.failoverDurable();
    const closed = { code: 'REPLICA_STATE', message: expect.stringContaining('is closed') };
    const caughtUp = expect(vm.replica.catchUp()).rejects.toMatchObject(closed);
    const settled = expect(vm.replica.settle()).rejects.toMatchObject(closed);
    await sleep(20);
    await vm.replica.close();
    await Promise.all([caughtUp, settled]);
  });

  test('a flush under way at close() is done, and nothing is reported', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.failOver();
    await vm.replica.failoverDurable();
    await vm.write('svm', 'S'.repeat(DISK_BYTES));
    const flushed = vm.svm.get('disk')!.flush();
    await vm.replica.close();
    await flushed;
    expect(vm.events.filter(({ kind }) => kind === 'trouble' || kind === 'flush')).toEqual([]);
  });

  test('a flush that waits for write-back is refused at close(), and not reported', async () => {
    const memory = { softBytes: 1, hardBytes: 300_000 };
    const vm = (await TestVm.open(at, ['disk'], { memory })).connectAll();
    vm.commit();
    await vm.write('svm', 'S');
    vm.failOver();
    await vm.replica.failoverDurable();
    const written = expect(vm.write('svm', 'T')).rejects.toMatchObject({ wireError: 'EIO' });
    await sleep(20);
    await vm.replica.close();
    await written;
    expect(vm.events.filter(({ kind }) => kind === 'trouble' || kind === 'flush')).toEqual([]);
  });

  test('nothing is written back before the failover is durable', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    await vm.write('svm', 'S');
    vm.failOver();
    expect(vm.replica.nextBatch()).toBeUndefined();
    await vm.replica.failoverDurable();
    expect(await vm.writeBack()).toBe(true);
    await vm.replica.close();
  });

  test('I4 durability: a failover that is not durable is retried by the next flush', async () => {
    const vm = (await TestVm.open(at, ['disk'], { journalPath: at('later/journal') })).connectAll();
    vm.commit();
    await vm.write('svm', 'S');
    vm.failOver();
    await expect(vm.replica.failoverDurable()).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IO',
    });
    await expect(vm.replica.flush()).rejects.toMatchObject({ code: 'REPLICA_JOURNAL_IO' });
    const told = vm.events.filter(({ kind }) => kind === 'trouble' || kind === 'flush');
    expect(told).toMatchObject([
      { kind: 'trouble', error: { code: 'REPLICA_JOURNAL_IO' } },
      { kind: 'flush', trouble: expect.stringContaining("can't be created") },
    ]);
    expect((await readStateFile(at('disk.raw')))!.state).not.toBe('failed-over');
    // A guest's own waits, and is not refused.
    const flushed = vm.svm.get('disk')!.flush();
    await mkdir(at('later'));
    await flushed;
    expect(vm.events.at(-1)).toEqual({ kind: 'flush', trouble: undefined });
    expect((await readStateFile(at('disk.raw')))!.state).toBe('failed-over');
    await vm.replica.close();
  });
});

/** How many descriptors of this process are on that file. */
async function openFiles(file: string): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((fd) =>
    readlink(`/proc/self/fd/${fd}`).catch(() => ''),
  );
  return (await Promise.all(links)).filter((link) => link === file).length;
}
