import { type BaseStore, exists, RawBase } from './base-image.js';
import { BaseImageError } from './errors.js';
import { replayJournal } from './journal.js';
import { readStateFile, type StateRecord, stateFileOf, writeStateFile } from './state-file.js';
import { rm } from 'node:fs/promises';

export interface DiskOptions {
  readonly name: string;
  /** Path of a raw image or block device. */
  readonly base: string;
  /** Creates the base, sparse, when it is not there; otherwise it must have this size. */
  readonly sizeBytes?: number | undefined;
}

/**
 * Seeding overwrites a base. Refuses where that would destroy what may be the only copy of a disk (invariant I6).
 *
 * @throws BaseImageError BASE_HOLDS_DATA, BASE_NEEDS_RECOVERY or BASE_SIZE
 */
export async function checkBeforeSeeding(
  disk: DiskOptions,
  base: RawBase,
  overwrite: boolean,
): Promise<void> {
  if (disk.sizeBytes !== undefined && disk.sizeBytes !== base.sizeBytes) {
    throw new BaseImageError(
      'BASE_SIZE',
      `${disk.base} has ${base.sizeBytes} bytes, disk ${disk.name} wants ${disk.sizeBytes}`,
      'Give both sides the same size, or remove the base to have it made anew.',
    );
  }
  if (overwrite) return;
  const record = await readStateFile(disk.base);
  if (record === undefined ? !base.isBlank : record.state === 'retired') {
    throw new BaseImageError(
      'BASE_HOLDS_DATA',
      record === undefined
        ? `${disk.base} holds data and has no state file: it was never a replica`
        : `${disk.base} became a guest's own disk after a failover (epoch ${record.epoch})`,
      'If it may be overwritten, say so: --overwrite, or `overwrite: true` for the library.',
    );
  }
  if (record?.state === 'failed-over') {
    throw new BaseImageError(
      'BASE_NEEDS_RECOVERY',
      `${disk.base} and ${record.journal} together hold a VM that had failed over`,
      'Recover it with `gannet recover`, or say --overwrite if it is of no more use.',
    );
  }
}

/**
 * Makes bases whole after the replicator died behind a failed-over VM: replays the journal into them.
 *
 * @returns the state that the bases have now (`retired`: each is a disk on its own)
 * @throws BaseImageError BASE_NOT_USABLE when the bases are no disk: half seeded, or torn by a write-back
 */
export async function recoverBases(disks: readonly DiskOptions[]): Promise<StateRecord[]> {
  const records = await Promise.all(disks.map((disk) => recoverableRecord(disk)));
  const bases: BaseStore[] = [];
  try {
    for (const { base } of disks) bases.push(await RawBase.open(base));
    const baseOf = (disk: number): BaseStore => {
      const base = bases[disk];
      if (!base) throw new RangeError(`the journal names disk ${disk} of ${bases.length}`);
      return base;
    };
    const [first] = records;
    if (first?.state === 'failed-over') {
      await replayJournal(first.journal, first.uuid, {
        write: (disk, offset, data) => baseOf(disk).write(offset, data),
        zero: (disk, offset, length) => baseOf(disk).zero(offset, length),
      });
      await Promise.all(bases.map((base) => base.sync()));
      await retire(disks, records);
      await rm(first.journal, { force: true });
    }
    return records.map((record) => ({ ...record, state: 'retired' }));
  } finally {
    await Promise.all(bases.map((base) => base.close()));
  }
}

async function retire(disks: readonly DiskOptions[], records: StateRecord[]): Promise<void> {
  for (const [at, disk] of disks.entries()) {
    const record = records[at];
    if (record) await writeStateFile(disk.base, { ...record, state: 'retired' });
  }
}

async function recoverableRecord(disk: DiskOptions): Promise<StateRecord> {
  const record = await readStateFile(disk.base);
  if (!record) {
    const isThere = await exists(disk.base);
    throw new BaseImageError(
      'BASE_FOREIGN',
      isThere ? `${stateFileOf(disk.base)} is missing` : `${disk.base} is missing`,
      'Name the base of a replica; without its state file nobody can tell what it is worth.',
    );
  }
  if (record.state === 'failed-over' || record.state === 'retired') return record;
  throw new BaseImageError(
    'BASE_NOT_USABLE',
    `${disk.base} is ${record.state} at epoch ${record.epoch}: it holds no consistent disk`,
    "Use the primary's disk; this base can only be seeded again.",
  );
}
