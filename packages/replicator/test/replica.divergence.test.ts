/** What makes a replica useless is noticed, and said. */
import { describe, expect, jest, test } from '@jest/globals';
import { SlabPool } from '../src/memory/slab-pool.js';
import { temporaryFiles } from './support/files.js';
import { CUT, LEFT, LOST, TestVm } from './support/vm.js';

const at = temporaryFiles();

describe('I5 no silent divergence', () => {
  test.each([
    ['a connection that breaks between requests, flushed', LOST, true, true],
    ['one that breaks with writes unflushed', LOST, false, false],
    ['one that breaks within a request', CUT, true, false],
    ['the last one that leaves', LEFT, true, false],
  ] as const)('%s is a loss', async (_what, end, isFlushed, isClean) => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    const pvm = vm.pvm.get('disk')!;
    await vm.write('pvm', 'x');
    if (isFlushed) await pvm.flush();
    pvm.close(end);
    expect(vm.replica.link.loss).toBeDefined();
    expect(vm.replica.link.lossWasClean).toBe(isClean);
    expect(vm.events.filter(({ kind }) => kind === 'link-lost')).toHaveLength(1);
    expect(vm.replica.mayFailOver).toBe(true);
    expect(() => pvm.write(0, Buffer.from('y'), false)).toThrow(
      expect.objectContaining({ wireError: 'ESHUTDOWN' }),
    );
    await vm.replica.close();
  });

  test('a write that is not buffered is a loss; a later one is whole', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    const broken = new RangeError('Array buffer allocation failed');
    const take = jest.spyOn(SlabPool.prototype, 'take').mockImplementationOnce(() => {
      throw broken;
    });
    await expect(vm.write('pvm', 'lost')).rejects.toMatchObject({ wireError: 'EIO' });
    expect(vm.replica.link.loss).toContain('could not be buffered: Array buffer allocation failed');
    expect(vm.replica.link.lossWasClean).toBe(false);
    // The same page of the other side.
    take.mockImplementationOnce(() => {
      throw broken;
    });
    await expect(vm.write('svm', 'lost')).rejects.toThrow(broken);
    await vm.write('svm', 'kept');
    expect(await vm.read('svm', 5)).toBe('kept.');
    take.mockRestore();
    await vm.replica.close();
  });

  test('a write that was refused before it got here is a loss', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    vm.pvm.get('disk')!.refused?.('beyond the end');
    expect(vm.replica.link.loss).toBe('a write of the primary was refused: beyond the end');
    expect(vm.replica.link.lossWasClean).toBe(false);
    await vm.replica.close();
  });

  test('of two connections of a disk one may leave; the last may not', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    const mirror = vm.connect('pvm', 'a');
    mirror.close(LEFT);
    expect(vm.replica.link.loss).toBeUndefined();
    vm.pvm.get('a')!.close(LEFT);
    expect(vm.replica.link.loss).toBe('the primary disconnected from disk a');
    expect(vm.replica.link.isConnected).toBe(false);
    await vm.replica.close();
  });

  test('a second connection that is cut within a request makes a clean loss unclean', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    vm.commit();
    vm.pvm.get('a')!.close(LOST);
    expect(vm.replica.link.lossWasClean).toBe(true);
    vm.pvm.get('b')!.close(CUT);
    expect(vm.replica.link.lossWasClean).toBe(false);
    await vm.replica.close();
  });

  test('I5 no silent divergence: a write refused after a clean loss makes it unclean', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    vm.commit();
    vm.pvm.get('a')!.close(LOST);
    expect(vm.replica.link.lossWasClean).toBe(true);
    await expect(vm.write('pvm', 'x', 0, 'b')).rejects.toMatchObject({ wireError: 'ESHUTDOWN' });
    expect(vm.replica.link.lossWasClean).toBe(false);
    await vm.replica.close();
  });

  test('a seeding write that fails is a loss, even if the primary swallows the error', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    jest.spyOn(vm.replica.disks[0]!.base, 'write').mockRejectedValueOnce(new Error('no space'));
    await expect(vm.write('pvm', 'x')).rejects.toMatchObject({ wireError: 'EIO' });
    expect(vm.replica.link.loss).toContain('no space');
    await vm.replica.close();
  });

  test('a link after one that left in good order forgives it, one beside it does not', async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.pvm.get('disk')!.refused?.('beyond the end');
    const second = vm.connect('pvm');
    expect(vm.replica.link.loss).toContain('beyond the end');
    second.close(LEFT);
    vm.connect('pvm').close(LEFT);
    expect(vm.replica.link.loss).toContain('beyond the end');
    vm.replica.link.closed('disk', LEFT);
    vm.connect('pvm');
    expect(vm.replica.link.loss).toBeUndefined();
    await vm.replica.close();
  });

  test.each([
    ['the only one', (vm: TestVm) => vm.pvm.get('disk')!.close(CUT)],
    [
      'one of two, and the other leaves',
      (vm: TestVm) => {
        vm.connect('pvm').close(LOST);
        vm.replica.link.closed('disk', LEFT);
      },
    ],
  ])('a link that broke is not forgiven by its reconnecting: %s', async (_what, end) => {
    const vm = (await TestVm.open(at)).connectAll();
    await vm.write('pvm', 'A');
    end(vm);
    expect(vm.replica.link.loss).toContain('broke');
    expect(() => vm.connect('pvm')).toThrow('writes may be missing');
    expect(vm.replica.link.loss).toContain('broke');
    // A copy from the beginning is another matter.
    const seed = vm.replica.exports.find(({ name }) => name === 'pvm-seed')!;
    await seed.open({ id: 1, address: 'test' });
    expect(vm.replica.link.loss).toBeUndefined();
    await vm.replica.close();
  });

  test('what one disk has lost is not forgiven by a copy of another', async () => {
    const vm = (await TestVm.open(at, ['a', 'b'])).connectAll();
    vm.pvm.get('a')!.close(CUT);
    vm.pvm.get('b')!.close(CUT);
    const seed = (disk: string) =>
      vm.replica.exports.find(({ name }) => name === `${disk}-pvm-seed`)!;
    await seed('b').open({ id: 1, address: 'test' });
    expect(vm.replica.link.loss).toBeDefined();
    await seed('a').open({ id: 1, address: 'test' });
    expect(vm.replica.link.loss).toBeUndefined();
    await vm.replica.close();
  });

  test("diverged: the replica's I/O fails, its memory is given back", async () => {
    const vm = (await TestVm.open(at)).connectAll();
    vm.commit();
    await vm.write('pvm', 'x');
    await vm.write('svm', 'x');
    vm.replica.diverge('for the test');
    expect(vm.replica.bufferBytes).toEqual({ primary: 0, secondary: 0, committed: 0 });
    const svm = vm.svm.get('disk')!;
    const failing = expect.objectContaining({ wireError: 'EIO' });
    expect(() => svm.read(0, Buffer.alloc(1))).toThrow(failing);
    expect(() => svm.write(0, Buffer.alloc(1), false)).toThrow(failing);
    expect(() => svm.flush()).toThrow(failing);
    expect(() => svm.blockStatus(0, 512)).toThrow(failing);
    await vm.replica.close();
  });
});
