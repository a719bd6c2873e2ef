import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { ExportSession, ZeroRequest } from '@gannet/nbd';
import { describe, expect, test } from '@jest/globals';
import { temporaryFiles } from '../support/files.js';
import { LEFT, LOST, TestVm } from '../support/vm.js';

const at = temporaryFiles();
const ZEROES: ZeroRequest = { fua: false, mayPunchHole: true, fast: false };

async function open(vm: TestVm, name: string): Promise<ExportSession> {
  const found = vm.replica.exports.find((one) => one.name === name);
  if (!found) throw new Error(`no export ${name}`);
  return found.open({ id: 1, address: 'test' });
}

async function contents(vm: TestVm, length = 4): Promise<string> {
  const target = Buffer.alloc(length);
  await vm.replica.disks[0]!.base.read(0, target);
  return target.toString('latin1').replaceAll('\0', '.');
}

/** As QEMU does with a node that it opens for writing, and closes. */
async function beginAgain(vm: TestVm): Promise<void> {
  const session = await open(vm, 'pvm-seed');
  await session.flush();
  session.close(LEFT);
}

describe('the first copy', () => {
  test('can break and go on, and nothing is lost by that', async () => {
    const vm = await TestVm.open(at);
    const first = await open(vm, 'pvm-seed');
    await first.write(0, Buffer.from('old.'), false);
    first.close(LOST);
    const second = await open(vm, 'pvm-resume');
    await second.write(0, Buffer.from('new'), false);
    expect(vm.replica.link.loss).toBeUndefined();
    const link = await open(vm, 'pvm-link');
    second.close(LEFT);
    vm.commit();
    expect(vm.replica.state).toBe('protected');
    expect(await contents(vm)).toBe('new.');
    expect(vm.replica.link.loss).toBeUndefined();
    link.close(LOST);
    expect(vm.replica.link.loss).toContain('broke');
    await vm.replica.close();
  });

  test('a connection that hangs is fenced by the next: what it still holds is older', async () => {
    const vm = await TestVm.open(at);
    const hung = await open(vm, 'pvm-seed');
    const underWay = hung.write(0, Buffer.from('old.'), false);
    const next = await open(vm, 'pvm-resume');
    await underWay;
    await next.write(0, Buffer.from('new.'), false);
    expect(() => hung.write(0, Buffer.from('old.'), false)).toThrow('goes on over another');
    expect(() => hung.trim(0, 4096, false)).toThrow('goes on over another');
    expect(() => hung.writeZeroes(0, 4096, ZEROES)).toThrow('goes on over another');
    hung.close(LOST);
    expect(vm.replica.link.isConnected).toBe(true);
    expect(await contents(vm)).toBe('new.');
    await vm.replica.close();
  });

  test.each(['pvm-resume', 'pvm-seed'])(
    'a write over %s is not served before the write under way is done',
    async (name) => {
      const vm = await TestVm.open(at);
      const { base } = vm.replica.disks[0]!;
      const write = base.write.bind(base);
      let go: () => void = () => undefined;
      const slow = new Promise<void>((resolve) => (go = resolve));
      base.write = async (offset, data) => {
        await slow;
        await write(offset, data);
      };
      const hung = await open(vm, 'pvm-seed');
      const underWay = hung.write(0, Buffer.from('old.'), false);
      let isServed = false;
      const next = open(vm, name)
        .then((session) => session.write(2, Buffer.from('new.'), false))
        .then(() => (isServed = true));
      await setImmediate();
      await stat(at('disk.raw'));
      expect(isServed).toBe(false);
      go();
      await underWay;
      await next;
      // A copy from the beginning has nothing of it.
      expect(await contents(vm, 6)).toBe(name === 'pvm-seed' ? '..new.' : 'olnew.');
      await vm.replica.close();
    },
  );

  test('a write that fails is sent again; once the link is up, it is a loss', async () => {
    const vm = await TestVm.open(at);
    const { base } = vm.replica.disks[0]!;
    const copy = await open(vm, 'pvm-seed');
    const write = base.write.bind(base);
    base.write = () => Promise.reject(new Error('no space'));
    await expect(copy.write(0, Buffer.from('lost'), false)).rejects.toThrow();
    expect(vm.replica.link.loss).toBeUndefined();
    base.write = write;
    await open(vm, 'pvm-link');
    base.write = () => Promise.reject(new Error('no space'));
    await expect(copy.write(0, Buffer.from('lost'), false)).rejects.toThrow();
    expect(vm.replica.link.loss).toBeDefined();
    await vm.replica.close();
  });

  test('I5 no silent divergence: nothing commits while it could break unnoticed', async () => {
    const vm = await TestVm.open(at);
    await open(vm, 'pvm-seed');
    expect(() => vm.commit()).toThrow('has not linked disk disk after copying it');
    expect(vm.replica.state).toBe('seeding');
    await vm.replica.close();
  });

  test('I5 no silent divergence: from the link on a broken connection is a loss', async () => {
    const vm = await TestVm.open(at);
    const copy = await open(vm, 'pvm-seed');
    await open(vm, 'pvm-link');
    copy.close(LOST);
    expect(vm.replica.link.loss).toContain('broke');
    await expect(open(vm, 'pvm-resume')).rejects.toThrow('was complete when it broke off');
    await expect(open(vm, 'pvm-seed')).rejects.toThrow('an earlier link');
    await vm.replica.close();
  });

  test('I5 no silent divergence: no link follows a broken or unknown copy', async () => {
    const vm = await TestVm.open(at);
    await expect(open(vm, 'pvm-resume')).rejects.toThrow('knows of no copy');
    await expect((async () => open(vm, 'pvm-link'))()).rejects.toThrow('knows of no copy');
    const copy = await open(vm, 'pvm-seed');
    copy.close(LOST);
    await expect((async () => open(vm, 'pvm-link'))()).rejects.toThrow('has broken off');
    await expect((async () => open(vm, 'pvm'))()).rejects.toThrow('has broken off');
    await vm.replica.close();
  });

  test('begins on an empty base, whatever an earlier one left', async () => {
    const vm = await TestVm.open(at);
    const first = await open(vm, 'pvm-seed');
    await first.write(0, Buffer.alloc(128 * 1024, 1), false);
    first.close(LOST);
    expect((await stat(at('disk.raw'))).blocks).toBeGreaterThan(0);
    await beginAgain(vm);
    expect(await contents(vm)).toBe('....');
    expect((await stat(at('disk.raw'))).blocks).toBe(0);
    await vm.replica.close();
  });

  test('a resumed copy has no flush, so that QEMU can replace a dead connection', async () => {
    const vm = await TestVm.open(at);
    const flushes = vm.replica.exports.map(({ name, features }) => [name, features.flush]);
    expect(Object.fromEntries(flushes)).toMatchObject({
      ...{ 'pvm-seed': true, 'pvm-resume': false, 'pvm-link': true, pvm: true },
    });
    await vm.replica.close();
  });

  test('I5 no silent divergence: who only looks at pvm-seed does not disturb a copy', async () => {
    const vm = await TestVm.open(at);
    (await open(vm, 'pvm-seed')).close(LEFT);
    const mirror = await open(vm, 'pvm-resume');
    await mirror.write(0, Buffer.from('AAAA'), false);
    for (let look = 0; look < 3; look++) {
      const stray = await open(vm, 'pvm-seed');
      const target = Buffer.alloc(4);
      await stray.read(0, target);
      stray.close(LEFT);
    }
    await mirror.write(4, Buffer.from('BBBB'), false);
    mirror.close(LOST);
    (await open(vm, 'pvm-seed')).close(LOST);
    const resumed = await open(vm, 'pvm-resume');
    await resumed.write(8, Buffer.from('CCCC'), false);
    await open(vm, 'pvm-link');
    vm.commit();
    expect(await contents(vm, 12)).toBe('AAAABBBBCCCC');
    expect(vm.replica.link.loss).toBeUndefined();
    await vm.replica.close();
  });

  test('a copy that begins beside another replaces it with its first flush or write', async () => {
    const vm = await TestVm.open(at);
    const mirror = await open(vm, 'pvm-seed');
    await mirror.write(0, Buffer.from('AAAA'), false);
    await beginAgain(vm);
    expect(() => mirror.write(4, Buffer.from('BBBB'), false)).toThrow('goes on over another');
    expect(await contents(vm)).toBe('....');
    const next = await open(vm, 'pvm-resume');
    await next.write(1, Buffer.from('N'), false);
    next.close(LOST);
    const third = await open(vm, 'pvm-seed');
    // Both wait for the base to be empty; neither is lost by that.
    const [one, two] = [
      third.write(2, Buffer.from('1'), false),
      third.writeZeroes(8192, 4096, ZEROES),
    ];
    await Promise.all([one, two, third.write(3, Buffer.from('2'), false)]);
    expect(await contents(vm)).toBe('..12');
    expect(vm.replica.link.isConnected).toBe(true);
    await vm.replica.close();
  });

  test('a connection that ends while its copy begins is noticed', async () => {
    const vm = await TestVm.open(at);
    const mirror = await open(vm, 'pvm-seed');
    await mirror.write(0, Buffer.from('AAAA'), false);
    const next = await open(vm, 'pvm-seed');
    const begun = next.flush();
    next.close(LOST);
    await begun;
    expect(vm.replica.link.isConnected).toBe(false);
    await expect((async () => open(vm, 'pvm-link'))()).rejects.toThrow('has broken off');
    await vm.replica.close();
  });

  test('a copy whose base could not be emptied has not begun', async () => {
    const vm = await TestVm.open(at);
    const { base } = vm.replica.disks[0]!;
    base.clear = () => Promise.reject(new Error('EIO: truncate'));
    await expect(open(vm, 'pvm-seed')).rejects.toThrow('EIO: truncate');
    expect(vm.replica.link.isConnected).toBe(false);
    for (const name of ['pvm-link', 'pvm-resume']) {
      await expect((async () => open(vm, name))()).rejects.toThrow('knows of no copy');
    }
    await vm.replica.close();
  });

  test('a link of one disk does not make a copy of another that broke off whole', async () => {
    const vm = await TestVm.open(at, ['a', 'b']);
    const copy = await open(vm, 'b-pvm-seed');
    await copy.write(0, Buffer.from('half'), false);
    copy.close(LOST);
    await open(vm, 'a-pvm');
    await expect((async () => open(vm, 'b-pvm'))()).rejects.toThrow('has broken off');
    expect(() => vm.commit()).toThrow('has not linked disk b');
    await vm.replica.close();
  });
});
