import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import type { BaseImageError } from '../../src/errors.js';
import { IMAGE_FORMATS, probeImage } from '../../src/images/image-file.js';
import { NbdBase } from '../../src/images/nbd-base.js';
import { openBase } from '../../src/images/open-base.js';
import { recoverBases } from '../../src/durability/recovery.js';
import { Replica } from '../../src/replica.js';
import {
  readStateFile,
  type StateRecord,
  writeStateFile,
} from '../../src/durability/state-file.js';
import { temporaryFiles } from '../support/files.js';
import { forSeeds } from '@gannet/test-support/random.js';
import { DISK_BYTES, TestVm } from '../support/vm.js';

const run = promisify(execFile);
const SIZE = 4 * 1024 * 1024;
const at = temporaryFiles();

async function asRaw(image: string, format: string): Promise<Buffer> {
  await run('qemu-img', ['convert', '-f', format, '-O', 'raw', image, `${image}.raw`]);
  return readFile(`${image}.raw`);
}

/** @returns a base of qcow2, what it tells, and a way to kill its storage daemon */
async function qcow2Base() {
  const troubles: BaseImageError[] = [];
  const onTrouble = (error: BaseImageError): void => void troubles.push(error);
  const options = { base: at('image'), format: 'qcow2', sizeBytes: SIZE } as const;
  const base = await openBase(options, { onTrouble });
  if (!(base instanceof NbdBase)) throw new Error('no storage daemon');
  const kill = async (): Promise<void> => {
    process.kill((await base.pid()) ?? 0, 'SIGKILL');
  };
  return { base, troubles, kill };
}

describe('a base of any format', () => {
  test.each(IMAGE_FORMATS)(
    '%s: written, zeroed and read like a buffer, blank and locked',
    async (format) => {
      const disk = { base: at('image'), format, sizeBytes: SIZE };
      const base = await openBase(disk, { lock: true });
      expect(base).toMatchObject({ sizeBytes: SIZE, isBlank: true });
      expect(base.holeEnd(0)).toBe(SIZE);
      const model = Buffer.alloc(SIZE);
      await forSeeds(1, async (random) => {
        for (let step = 0; step < 60; step++) {
          const { offset, length } = random.range(SIZE);
          if (random.next() < 0.3) {
            await base.zero(offset, length);
            model.fill(0, offset, offset + length);
          } else {
            const bytes = random.bytes(Math.min(length, 100_000));
            await base.write(offset, bytes);
            bytes.copy(model, offset);
          }
          const target = Buffer.alloc(length);
          await base.read(offset, target);
          if (!target.equals(model.subarray(offset, offset + length))) throw new Error('differs');
        }
      });
      await base.sync();
      const writer = run('qemu-io', ['-f', format, '-c', 'write 0 4k', disk.base]);
      await expect(writer).rejects.toMatchObject({ stderr: expect.stringMatching(/lock/) });
      expect(await probeImage(disk.base)).toMatchObject({ isInUse: true });
      await base.close();
      expect((await asRaw(disk.base, format)).equals(model)).toBe(true);
      expect(await probeImage(disk.base)).toMatchObject({ isInUse: false });
    },
  );

  test('what was in it before is known: holes, and that it is not blank', async () => {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', at('image'), String(SIZE)]);
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 1M 64k', at('image')]);
    const base = await openBase({ base: at('image'), format: 'qcow2' });
    expect(base.isBlank).toBe(false);
    expect(base.holeEnd(0)).toBe(1024 * 1024);
    expect(base.nextHole(1024 * 1024)).toBe(1024 * 1024 + 65_536);
    await base.close();
  });

  test('the image of another format, or none, is refused with a remedy', async () => {
    await writeFile(at('image'), Buffer.alloc(SIZE));
    await expect(openBase({ base: at('image'), format: 'qcow2' })).rejects.toMatchObject({
      code: 'REPLICA_BASE_FORMAT',
      remedy: expect.stringContaining('format'),
    });
    await expect(openBase({ base: at('none'), format: 'qcow2' })).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
    await expect(openBase({ base: at('none') }, { lock: true })).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
  });
});

describe('a storage daemon that is killed', () => {
  test('is restarted; reads wait for it; only unsynced writes count as lost', async () => {
    const { base, troubles, kill } = await qcow2Base();
    await base.write(0, Buffer.alloc(4096, 1));
    await base.sync();
    await kill();
    const target = Buffer.alloc(4096);
    await base.read(0, target);
    expect(target.equals(Buffer.alloc(4096, 1))).toBe(true);
    expect(base.losses).toBe(0);
    expect(troubles).toMatchObject([
      { message: expect.stringContaining('storage daemon was lost') },
    ]);

    await base.write(65_536, Buffer.alloc(4096, 2));
    await kill();
    while (base.losses === 0) await sleep(5);
    await base.write(65_536, Buffer.alloc(4096, 3));
    await base.sync();
    expect(base.losses).toBe(1);
    await base.close();
    const raw = await asRaw(at('image'), 'qcow2');
    expect([raw[0], raw[65_536]]).toEqual([1, 3]);
  });

  test('what is under way when it is killed fails, or is right', async () => {
    const { base, kill } = await qcow2Base();
    const page = Buffer.alloc(65_536, 5);
    let failures = 0;
    for (let round = 0; round < 3; round++) {
      const writes = Array.from({ length: 32 }, (_, n) => base.write(n * 65_536, page));
      await kill();
      await Promise.allSettled(writes);
      // What a write-back does.
      for (let before = -1; before !== base.losses;) {
        before = base.losses;
        try {
          for (let n = 0; n < 32; n++) await base.write(n * 65_536, page);
          await base.sync();
        } catch (error) {
          // Nothing may have been under way: then these find out that it was killed.
          if (++failures > 3) throw error;
          before = -1;
        }
      }
    }
    await base.close();
    const raw = await asRaw(at('image'), 'qcow2');
    expect(raw.subarray(0, 32 * 65_536).every((byte) => byte === 5)).toBe(true);
  });

  test('I5 no silent divergence: a replica that was seeding has diverged', async () => {
    const disks = [
      { name: 'disk', base: at('image'), format: 'qcow2', sizeBytes: DISK_BYTES },
    ] as const;
    const vm = await TestVm.open(at, ['disk'], { disks });
    vm.connectAll();
    await vm.write('pvm', 'seeded');
    process.kill((await (vm.replica.disks[0]?.base as NbdBase).pid()) ?? 0, 'SIGKILL');
    while (vm.replica.state === 'seeding') await sleep(5);
    expect(vm.replica).toMatchObject({
      state: 'diverged',
      reason: expect.stringContaining(at('image')),
    });
    await vm.replica.close();
  });

  test('leaves nothing behind, whoever ends', async () => {
    const sockets = async (): Promise<string[]> =>
      (await readdir(tmpdir())).filter((name) => name.startsWith('gannet-base-'));
    // Others on this machine may be opening theirs.
    const before = await sockets();
    const { base } = await qcow2Base();
    const pid = (await base.pid()) ?? 0;
    expect((await sockets()).filter((name) => !before.includes(name))).toEqual([]);
    await base.close();
    await expect(stat(`/proc/${pid}`)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a base in use', () => {
  const shapes = [
    { format: 'raw', by: 'a QEMU' },
    { format: 'qcow2', by: 'a QEMU' },
    { format: 'raw', by: 'another replica' },
    { format: 'qcow2', by: 'another replica' },
  ] as const;

  test.each(shapes)(
    '$format, by $by: refused, naming the file and the process',
    async ({ format, by }) => {
      const disks = [{ name: 'disk', base: at('image'), format, sizeBytes: SIZE }];
      const first = await Replica.open({ vm: 'vm', disks, lockBases: true });
      let holder: ReturnType<typeof spawn> | undefined;
      if (by === 'a QEMU') {
        await first.close();
        holder = spawn('setpriv', [
          ...['--pdeathsig', 'KILL', 'qemu-io', '-f', format],
          at('image'),
        ]);
        await once(holder.stdout ?? holder, 'data');
      }
      await expect(Replica.open({ vm: 'vm', disks, lockBases: true })).rejects.toMatchObject({
        code: 'REPLICA_BASE_IN_USE',
        message: expect.stringMatching(
          by === 'a QEMU'
            ? /image is in use by qemu-io \(process \d+\)/
            : /image is in use by qemu-storage/,
        ),
        remedy: expect.stringContaining('Stop what uses the image'),
      });
      if (holder) {
        holder.kill('SIGKILL');
        await once(holder, 'close');
      } else {
        await first.close();
      }
      await (await Replica.open({ vm: 'vm', disks, lockBases: true })).close();
    },
  );
});

test('recovery minds the format that the base had', async () => {
  const disk = { name: 'disk', base: at('image'), format: 'qcow2', sizeBytes: DISK_BYTES } as const;
  const vm = await TestVm.open(at, ['disk'], { disks: [disk] });
  vm.connectAll();
  vm.commit();
  await vm.write('svm', 'mine', 4096);
  vm.failOver();
  await vm.replica.failoverDurable();
  await vm.replica.close();
  const asked = recoverBases([{ ...disk, format: 'raw' }]);
  await expect(asked).rejects.toMatchObject({ code: 'REPLICA_BASE_FORMAT' });
  expect(await recoverBases([disk], { lock: true })).toMatchObject([{ state: 'retired' }]);
  const raw = await asRaw(at('image'), 'qcow2');
  expect(raw.toString('latin1', 4096, 4100)).toBe('mine');
});

test('the base of another VM, or of another disk, is refused', async () => {
  const disks = [{ name: 'disk', base: at('image'), sizeBytes: DISK_BYTES }];
  await (await Replica.open({ vm: 'web', disks })).close();
  await expect(Replica.open({ vm: 'db', disks })).rejects.toMatchObject({
    code: 'REPLICA_BASE_FOREIGN',
    message: `${at('image')} is the base of disk disk of VM web (seeding)`,
  });
  const others = disks.map((disk) => ({ ...disk, name: 'other' }));
  await expect(Replica.open({ vm: 'web', disks: others })).rejects.toMatchObject({
    code: 'REPLICA_BASE_FOREIGN',
  });
  await (await Replica.open({ vm: 'db', disks, overwrite: true })).close();
});

test('a state file can be somewhere else: what is in /dev does not last', async () => {
  const disk = { name: 'disk', base: at('image'), sizeBytes: DISK_BYTES, stateFile: at('state') };
  await (await Replica.open({ vm: 'vm', disks: [disk] })).close();
  const record = (await readStateFile(disk.base, disk.stateFile)) as StateRecord;
  expect(record).toMatchObject({ state: 'seeding', image: 'raw' });
  await expect(stat(at('image.gannet'))).rejects.toMatchObject({ code: 'ENOENT' });
  await writeStateFile(disk.base, { ...record, state: 'retired' }, disk.stateFile);
  await expect(Replica.open({ vm: 'vm', disks: [disk] })).rejects.toMatchObject({
    code: 'REPLICA_BASE_HOLDS_DATA',
  });
});
