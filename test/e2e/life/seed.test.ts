import { open, stat } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { NbdServer } from '@gannet/nbd';
import { PrimaryDriver } from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import {
  at,
  expectEqual,
  graphOf,
  inFreshFolder,
  link,
  makeImage,
  MIB,
  replicator,
  SEED,
  Source,
  undoAfter,
  until,
  watch,
} from './seeding.js';

inFreshFolder();

describe('a seed whose link breaks', () => {
  it('resumes where it stopped, the guest undisturbed; a link lost later is final', async () => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 48 * MIB));
    const before = await graphOf(source.qmp);
    const { replica, cable } = await replicator(64 * MIB);
    const failures: string[] = [];
    const driver = new PrimaryDriver(source.qmp, {
      pollMs: 20,
      onLinkFailure: ({ message }) => failures.push(message),
    });
    const { seen, onProgress, reached } = watch();
    const seeding = driver.seed([link()], { ...SEED, onProgress });
    seeding.catch(() => undefined);

    await reached(0.3);
    await cable.cut();
    await source.guest.write(MIB, Buffer.alloc(MIB, 0xa1));
    await source.guest.write(60 * MIB, Buffer.alloc(4096, 0xa2));
    await until(
      () => seen.at(-1)?.down,
      (down) => down !== undefined && down.forMs > 0,
    );
    expect(replica.state).toBe('seeding');
    expect(replica.link.loss).toBeUndefined();
    await cable.plug();

    await reached(0.6);
    cable.hang();
    // Hangs with the link, and comes back when the link is cut.
    await source.guest.write(2 * MIB, Buffer.alloc(MIB, 0xa3));
    cable.heal();
    await driver.setSeedSpeed(0);
    await seeding;
    // Twice the size would mean that the copy began again.
    expect(cable.bytes).toBeLessThan(48 * MIB * 1.7);
    await driver.attach([link()]);
    await source.guest.write(3 * MIB, Buffer.alloc(MIB, 0xa4));
    expect(failures).toEqual([]);
    expect(replica.link.loss).toBeUndefined();
    await expectEqual(source);

    await cable.cut();
    await source.guest.write(3 * MIB, Buffer.alloc(MIB, 0xa5));
    await source.qmp.execute('query-status');
    expect(failures).toHaveLength(1);
    await until(
      () => replica.link.loss,
      (loss) => loss !== undefined,
    );
    await cable.plug();
    await driver.rollback();
    expect(await graphOf(source.qmp)).toEqual(before);
  });

  it('that broke when it was READY is not complete before what it missed is there', async () => {
    const source = await Source.start(await makeImage('disk.raw', 8 * MIB, 8 * MIB));
    const { cable } = await replicator(8 * MIB);
    // The second disk holds the seed open: a copy of a file in this process, slow.
    const slow = await makeImage('slow.raw', 48 * MIB, 48 * MIB);
    const other = await Replica.open({
      vm: 'vm',
      disks: [{ name: 'disk1', base: at('other.raw'), sizeBytes: 48 * MIB }],
    });
    const server = new NbdServer({ exports: other.exports, admission: other.gate });
    await server.listen({ path: at('other.nbd') });
    undoAfter(async () => {
      await server.close();
      await other.close();
    });
    await source.qmp.executeRaw('human-monitor-command', {
      'command-line': `drive_add 0 if=none,id=drive1,format=raw,file=${slow}`,
    });
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { seen, onProgress } = watch();
    const second = link({
      id: 'g1',
      device: 'drive1',
      server: { type: 'unix', path: at('other.nbd') },
    });
    const seeding = driver.seed([link(), second], { speedBytesPerSec: 6 * MIB, onProgress });
    await until(
      async () =>
        (await source.qmp.execute('query-block-jobs')).find(({ device }) => device === 'g0-seed'),
      (job) => job?.ready === true,
    );
    await cable.cut();
    await source.guest.write(MIB, Buffer.alloc(MIB, 0xb1));
    await source.guest.write(5 * MIB, Buffer.alloc(MIB, 0xb2));
    await driver.setSeedSpeed(0);
    await until(
      () => seen.some(({ down }) => down !== undefined),
      (isDown) => isDown,
    );
    await cable.plug();
    await seeding;
    await driver.attach([link(), second]);
    await expectEqual(source);
    await driver.rollback();
  });

  it('fails when the link stays away, and the graph is the one that was there', async () => {
    const source = await Source.start(await makeImage('disk.raw', 32 * MIB, 32 * MIB));
    const before = await graphOf(source.qmp);
    const { cable } = await replicator(32 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const seeding = driver.seed([link()], { ...SEED, onProgress, linkTimeoutMs: 600 });
    seeding.catch(() => undefined);
    await reached(0.3);
    await cable.cut();
    await source.guest.write(0, Buffer.alloc(MIB, 1));
    await expect(seeding).rejects.toMatchObject({
      code: 'DRIVER_DEADLINE',
      message: 'reaching the replicator again for drive0 took longer than 600 ms',
    });
    await driver.rollback();
    expect(await graphOf(source.qmp)).toEqual(before);
    await cable.plug();
    // A new attempt begins a new copy on the same replica.
    await driver.seed([link()]);
    await driver.attach([link()]);
    await expectEqual(source);
    await driver.rollback();
  });

  it.each([
    ['in the middle', 0.3],
    ['at the end', 1],
  ])('begins again if the replicator was restarted %s', async (_when, share) => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 64 * MIB));
    const first = await replicator(64 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached } = watch();
    const limit = share === 1 ? {} : SEED;
    const seeding = driver.seed([link()], { ...limit, onProgress });
    seeding.catch(() => undefined);
    if (share === 1) await seeding;
    await reached(share);
    await first.cable.cut();
    await first.server.close();
    await first.replica.close();
    await replicator(64 * MIB, false, first.cable.port);
    // It can not know what it has. A primary that writes nothing has not even noticed.
    const going = share === 1 ? driver.attach([link()]) : seeding;
    await expect(going).rejects.toThrow('Denied by server');
    await driver.rollback();
  });
});

/** Bytes that the file takes on its file system. */
const allocated = async (file: string): Promise<number> => (await stat(file)).blocks * 512;

describe('a sparse disk', () => {
  it.each([
    ['a new base', false],
    ['a base full of other data', true],
  ])(
    'of 10 GiB with 64 MiB of data stays sparse on %s, and out of memory',
    async (_what, isOld) => {
      const source = await Source.start(await makeImage('disk.raw', 10 * 1024 * MIB, 64 * MIB));
      if (isOld) {
        const old = await open(await makeImage('base.raw', 10 * 1024 * MIB, 96 * MIB), 'r+');
        await old.write(Buffer.alloc(MIB, 7), 0, MIB, 5 * 1024 * MIB);
        await old.close();
        expect(await allocated(at('base.raw'))).toBeGreaterThan(96 * MIB);
      }
      const { replica } = await replicator(10 * 1024 * MIB, isOld);
      let bufferedBytes = 0;
      const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
      await driver.seed([link()], {
        onProgress: () => {
          const { primary, secondary, committed } = replica.bufferBytes;
          bufferedBytes = Math.max(bufferedBytes, primary + secondary + committed);
        },
      });
      await driver.attach([link()]);
      expect(bufferedBytes).toBe(0);
      expect(await allocated(at('base.raw'))).toBeLessThan(72 * MIB);
      const base = await open(at('base.raw'), 'r');
      const image = await open(source.image, 'r');
      for (const offset of [0, 63 * MIB, 64 * MIB, 95 * MIB, 5 * 1024 * MIB]) {
        const [one, other] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
        await base.read(one, 0, MIB, offset);
        await image.read(other, 0, MIB, offset);
        expect(one.equals(other)).toBe(true);
      }
      await base.close();
      await image.close();
      await driver.rollback();
    },
  );
});

describe('the speed limit', () => {
  it('is what QEMU has, and can be changed and lifted while it copies', async () => {
    const source = await Source.start(await makeImage('disk.raw', 64 * MIB, 64 * MIB));
    await replicator(64 * MIB);
    const driver = new PrimaryDriver(source.qmp, { pollMs: 20 });
    const { onProgress, reached, seen } = watch();
    const seeding = driver.seed([link()], { speedBytesPerSec: 8 * MIB, onProgress });
    const speed = async (): Promise<number | undefined> =>
      (await source.qmp.execute('query-block-jobs'))[0]?.speed;
    await reached(0.01);
    expect(await speed()).toBe(8 * MIB);
    await driver.setSeedSpeed(16 * MIB);
    expect(await speed()).toBe(16 * MIB);
    await driver.setSeedSpeed(0);
    expect(await speed()).toBe(0);
    await seeding;
    expect(new Set(seen.map(({ limitBytesPerSec }) => limitBytesPerSec)).has(8 * MIB)).toBe(true);
    await driver.rollback();
  });
});
