import { expect, test } from '@jest/globals';
import { BaseImageError } from '../../src/errors.js';
import { Disk } from '../../src/disk/disk.js';
import { EpochBatch } from '../../src/disk/epoch-batch.js';
import { SlabPool } from '../../src/memory/slab-pool.js';
import { Random } from '@gannet/test-support/random.js';
import { SlowBase } from '../support/slow-base.js';

/** Its syncs end a turn of the event loop later. */
class SyncedBase extends SlowBase {
  static underWay = 0;
  static most = 0;

  constructor(private readonly failure?: Error) {
    super(8192, new Random(1));
  }

  override async sync(): Promise<void> {
    SyncedBase.most = Math.max(SyncedBase.most, ++SyncedBase.underWay);
    await new Promise((resolve) => setImmediate(resolve));
    SyncedBase.underWay--;
    this.syncs++;
    if (this.failure) throw this.failure;
  }
}

test('bases are synced one after the other, all of them, also when one fails', async () => {
  const bases = [undefined, new BaseImageError('REPLICA_BASE_IO', 'no', 'Wait.'), undefined].map(
    (failure) => new SyncedBase(failure),
  );
  const pool = new SlabPool();
  const parts = bases.map((base) => ({ disk: new Disk('disk', base, pool), epochs: [] }));
  const batch = new EpochBatch(parts, () => undefined);
  await expect(batch.sync()).rejects.toThrow('no');
  expect(bases.map(({ syncs }) => syncs)).toEqual([1, 1, 1]);
  expect(SyncedBase.most).toBe(1);
});
