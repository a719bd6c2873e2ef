import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { RawBase } from '../../src/images/base-image.js';
import { temporaryFiles } from '../support/files.js';
import { forSeeds } from '@gannet/test-support/random.js';

const at = temporaryFiles();

describe('RawBase', () => {
  test('zeroes, reads and keeps holes like a buffer does', async () => {
    await forSeeds(15, async (random) => {
      const size = 5 * 65_536 + 512;
      const path = at(`raw-${random.seed}`);
      const base = await RawBase.open(path, { createBytes: size });
      expect(base.isBlank).toBe(true);
      const model = Buffer.alloc(size);
      for (let step = 0; step < 25; step++) {
        const { offset, length } = random.range(size);
        if (random.next() < 0.4) {
          await base.zero(offset, length);
          model.fill(0, offset, offset + length);
        } else {
          const bytes = random.bytes(length);
          await base.write(offset, bytes);
          bytes.copy(model, offset);
        }
        for (let place = 0; place < size; place += 4096) {
          const end = base.holeEnd(place);
          if (model.subarray(place, end).some((byte) => byte !== 0)) throw new Error('no hole');
          expect(base.nextHole(place) >= place).toBe(true);
        }
        const target = Buffer.alloc(length);
        await base.read(offset, target);
        if (!target.equals(model.subarray(offset, offset + length))) throw new Error('differs');
      }
      await base.close();
      expect((await readFile(path)).equals(model)).toBe(true);
    });
  });

  test('a file that begins with data is no hole, even if 0 blocks are counted', async () => {
    await writeFile(at('raw'), Buffer.alloc(65_536, 1));
    const base = await RawBase.open(at('raw'));
    expect(base.isBlank).toBe(false);
    expect(base.holeEnd(0)).toBe(0);
    await base.close();
  });

  test('says what could not be read, where, and keeps the cause', async () => {
    await expect(RawBase.open(at('none'))).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
    });
    await expect(RawBase.open(at('.'))).rejects.toMatchObject({ code: 'REPLICA_BASE_NOT_USABLE' });
    await writeFile(at('empty'), '');
    await expect(RawBase.open(at('empty'))).rejects.toMatchObject({ code: 'REPLICA_BASE_SIZE' });
    const base = await RawBase.open(at('raw'), { createBytes: 4096 });
    await expect(base.read(4000, Buffer.alloc(200))).rejects.toMatchObject({
      code: 'REPLICA_BASE_IO',
      message: `${at('raw')}: read at byte 4096 failed: unexpected end of file`,
    });
    await base.close();
    const failed = jest.fn();
    await base.sync().catch(failed);
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'REPLICA_BASE_IO' }));
  });

  test('names a folder that is not there; a size would not make it', async () => {
    const missing = RawBase.open(at('folder/raw'), { createBytes: 4096 });
    await expect(missing).rejects.toMatchObject({
      code: 'REPLICA_BASE_NOT_USABLE',
      remedy: `Create the folder ${at('folder')}, or correct the path.`,
    });
    const remedy = expect.stringContaining('give the disk a size');
    await expect(RawBase.open(at('none'))).rejects.toMatchObject({ remedy });
  });

  test('writes nothing while its lock is lost, and goes on when it is held again', async () => {
    const lock = { isHeld: true, release: jest.fn(() => Promise.resolve()) };
    const base = await RawBase.open(at('raw'), { createBytes: 65_536, lock });
    await base.write(0, Buffer.from('before'));
    lock.isHeld = false;
    const inUse = { code: 'REPLICA_BASE_IN_USE' };
    await expect(base.write(0, Buffer.from('after!'))).rejects.toMatchObject(inUse);
    await expect(base.zero(0, 4096)).rejects.toMatchObject(inUse);
    await expect(base.clear()).rejects.toMatchObject(inUse);
    expect((await readFile(at('raw'))).toString('latin1', 0, 6)).toBe('before');
    lock.isHeld = true;
    await base.write(0, Buffer.from('after!'));
    expect((await readFile(at('raw'))).toString('latin1', 0, 6)).toBe('after!');
    await base.close();
    expect(lock.release).toHaveBeenCalledTimes(1);
  });
});
