import { type BaseStore, exists, RawBase } from './base-image.js';
import { BaseImageError, JournalError } from './errors.js';
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
 * Makes bases whole after the replicator died behind a failed-over VM: replays the journal into them. Name all disks of
 * the VM; their order does not matter. A recovery that was itself cut short can be repeated.
 *
 * @returns the state that the bases have now (`retired`: each is a disk on its own)
 * @throws BaseImageError BASE_NOT_USABLE when the bases are no disk: half seeded, or torn by a write-back; BASE_FOREIGN
 *   when they do not belong together
 */
export async function recoverBases(disks: readonly DiskOptions[]): Promise<StateRecord[]> {
  const records = await Promise.all(disks.map((disk) => existingRecord(disk)));
  const failedOver = records.find(({ state }) => state === 'failed-over');
  for (const [at, disk] of disks.entries()) expectUsable(disk, records[at], failedOver);
  if (failedOver) expectAll(failedOver, records);
  if (failedOver) await replayInto(disks, records, failedOver);
  return records.map((record) => ({ ...record, state: 'retired' }));
}

/** The journal was whole before the first state file said `failed-over`, and stays until after the last is `retired`. */
async function replayInto(
  disks: readonly DiskOptions[],
  records: readonly StateRecord[],
  { disks: order, journal, uuid }: StateRecord,
): Promise<void> {
  const bases = new Map<string, RawBase>();
  try {
    for (const [at, { base, name }] of disks.entries()) {
      bases.set(records[at]?.disk ?? name, await RawBase.open(base));
    }
    const baseOf = (disk: number): BaseStore => {
      const base = bases.get(order[disk] ?? '');
      if (base) return base;
      throw new JournalError(
        'JOURNAL_FOREIGN',
        `${journal} has writes for disk ${disk}, the state files name ${order.join(', ')}`,
        'Put the journal that the state file names back in its place.',
      );
    };
    await replayJournal(journal, uuid, {
      write: (disk, offset, data) => baseOf(disk).write(offset, data),
      zero: (disk, offset, length) => baseOf(disk).zero(offset, length),
    });
    await Promise.all([...bases.values()].map((base) => base.sync()));
    for (const [at, disk] of disks.entries()) {
      const record = records[at];
      if (record) await writeStateFile(disk.base, { ...record, state: 'retired' });
    }
    await rm(journal, { force: true });
  } finally {
    await Promise.all([...bases.values()].map((base) => base.close()));
  }
}

async function existingRecord(disk: DiskOptions): Promise<StateRecord> {
  const record = await readStateFile(disk.base);
  if (record) return record;
  const isThere = await exists(disk.base);
  throw new BaseImageError(
    'BASE_FOREIGN',
    isThere ? `${stateFileOf(disk.base)} is missing` : `${disk.base} is missing`,
    'Name the base of a replica; without its state file nobody can tell what it is worth.',
  );
}

function expectUsable(
  disk: DiskOptions,
  record: StateRecord | undefined,
  failedOver: StateRecord | undefined,
): void {
  if (!record) return;
  if (failedOver && record.uuid !== failedOver.uuid) {
    throw new BaseImageError(
      'BASE_FOREIGN',
      `${disk.base} belongs to another protection (${record.uuid}) than disk ${failedOver.disk}`,
      'Name the bases of one VM and one protection, all of them.',
    );
  }
  // The other disks' state files are written first or last, with the journal whole: it makes up for their state.
  const isUsable = record.state === 'failed-over' || record.state === 'retired';
  if (!isUsable && !(failedOver && record.state === 'protected')) {
    throw new BaseImageError(
      'BASE_NOT_USABLE',
      `${disk.base} is ${record.state} at epoch ${record.epoch}: it holds no consistent disk`,
      "Use the primary's disk; this base can only be seeded again.",
    );
  }
}

/** The journal is gone after the recovery, so no disk may be left out. */
function expectAll({ disks, journal }: StateRecord, records: readonly StateRecord[]): void {
  const missing = disks.filter((name) => !records.some(({ disk }) => disk === name));
  if (missing.length === 0) return;
  throw new BaseImageError(
    'BASE_FOREIGN',
    `${journal} also holds writes of disk ${missing.join(', ')}`,
    'Name the bases of one VM and one protection, all of them.',
  );
}
