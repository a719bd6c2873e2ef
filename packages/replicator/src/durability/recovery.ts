import { type BaseStore, exists, type OpenBase } from '../images/base-image.js';
import { BaseImageError, ConfigurationError, JournalError } from '../errors.js';
import { replayJournal, type ReplayTarget } from './journal.js';
import { JournalLock } from './journal-lock.js';
import { expectPath, openBase, type OpenOptions, stateFileOf } from '../images/open-base.js';
import type { DiskOptions } from '../replica-options.js';
import { readStateFile, type StateRecord, writeStateFile } from './state-file.js';
import { rm } from 'node:fs/promises';

/**
 * Seeding overwrites a base. Refuses if that would destroy what may be the only copy of a disk
 * (invariant I6).
 *
 * @throws BaseImageError REPLICA_BASE_HOLDS_DATA, REPLICA_BASE_FOREIGN,
 *   REPLICA_BASE_NEEDS_RECOVERY or REPLICA_BASE_SIZE
 */
export async function checkBeforeSeeding(
  vm: string,
  disk: DiskOptions,
  base: OpenBase,
  overwrite: boolean,
): Promise<void> {
  if (disk.sizeBytes !== undefined && disk.sizeBytes !== base.sizeBytes) {
    throw new BaseImageError(
      'REPLICA_BASE_SIZE',
      `${disk.base} has ${base.sizeBytes} bytes, disk ${disk.name} wants ${disk.sizeBytes}`,
      'Give both sides the same size, or remove the base so that it is created again.',
    );
  }
  if (overwrite) return;
  const record = await readStateFile(disk.base, disk.stateFile);
  if (record && (record.vm !== vm || record.disk !== disk.name)) {
    throw new BaseImageError(
      'REPLICA_BASE_FOREIGN',
      `${disk.base} is the base of disk ${record.disk} of VM ${record.vm} (${record.state})`,
      `Give disk ${disk.name} of ${vm} its own base, or use --overwrite if this one can go.`,
    );
  }
  if (record) expectFormat(disk, record);
  if (record?.lastCommit) throw lastCommitIn(disk, record, 'seeded over');
  if (record === undefined ? !base.isBlank : record.state === 'retired') {
    throw new BaseImageError(
      'REPLICA_BASE_HOLDS_DATA',
      record === undefined
        ? `${disk.base} holds data and has no state file: it was never a replica`
        : `${disk.base} became a guest's own disk after a failover (epoch ${record.epoch})`,
      'If it may be overwritten, use --overwrite, or `overwrite: true` in the library.',
    );
  }
  if (record?.state === 'failed-over') {
    throw new BaseImageError(
      'REPLICA_BASE_NEEDS_RECOVERY',
      `${disk.base} and ${record.journal} together hold a VM that had failed over`,
      'Recover it with `gannet recover`. If it is no longer needed, start the daemon with ' +
        '--overwrite.',
    );
  }
}

/** How bases are recovered. */
export interface RecoveryOptions extends OpenOptions {
  /** Told how many bytes of the journal have been replayed, and how many there are. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /**
   * Takes bases that hold the last commit of a VM whose primary was lost, and whose secondary has
   * never taken over. If the primary has continued, what it has written since is not there.
   */
  readonly acceptLastCommit?: boolean | undefined;
}

/**
 * Makes bases whole after the replicator of a failed-over VM has died: replays the journal into
 * them; or takes them as they are at the last commit (`acceptLastCommit`). Name all disks of the
 * VM; their order does not matter. A recovery that was interrupted can be repeated.
 *
 * @returns the state that the bases have now (`retired`: each is a disk on its own)
 * @throws BaseImageError REPLICA_BASE_NOT_USABLE if the bases hold no consistent disk (half seeded,
 *   or protected when the replicator died), REPLICA_BASE_LAST_COMMIT if they hold the last commit
 *   and that is not accepted, REPLICA_BASE_FOREIGN if they don't belong together
 * @throws ConfigurationError REPLICA_OPTIONS if no bases are named
 */
export async function recoverBases(
  disks: readonly DiskOptions[],
  { onProgress, acceptLastCommit = false, ...options }: RecoveryOptions = {},
): Promise<StateRecord[]> {
  // Callers without types may have passed one disk.
  const given: unknown = disks;
  if (!Array.isArray(given)) {
    const remedy = 'Pass an array of disks, each with its `base`.';
    throw new ConfigurationError('REPLICA_OPTIONS', 'there is no list of disks', remedy);
  }
  for (const disk of disks) expectPath(disk);
  const records = await Promise.all(disks.map((disk) => existingRecord(disk)));
  const failedOver = records.find(({ state }) => state === 'failed-over');
  // The first state file says so once all bases hold it, and none is written before the last one
  // has taken it back.
  const kept = failedOver ? undefined : records.find(({ lastCommit }) => lastCommit);
  const whole = failedOver ?? kept;
  for (const [at, disk] of disks.entries()) {
    if (records[at]) expectFormat(disk, records[at]);
    expectUsable(disk, records[at], whole);
    if (kept && !acceptLastCommit) throw lastCommitIn(disk, kept, 'recovered');
  }
  if (whole) expectAll(whole, records);
  if (failedOver) await replayInto(disks, records, failedOver, options, onProgress);
  if (kept) await takeLastCommit(disks, records, options);
  return records.map(retired);
}

/** The bases stay as they are. They are opened all the same: nobody may have them open. */
async function takeLastCommit(
  disks: readonly DiskOptions[],
  records: readonly StateRecord[],
  options: OpenOptions,
): Promise<void> {
  const bases: OpenBase[] = [];
  try {
    for (const { base, format } of disks) bases.push(await openBase({ base, format }, options));
    await recordRetired(disks, records);
  } finally {
    await Promise.all(bases.map((base) => base.close()));
  }
}

async function recordRetired(
  disks: readonly DiskOptions[],
  records: readonly StateRecord[],
): Promise<void> {
  for (const [at, { base, stateFile }] of disks.entries()) {
    const record = records[at];
    if (record) await writeStateFile(base, retired(record), stateFile);
  }
}

function retired(record: StateRecord): StateRecord {
  const { lastCommit: _, basis: __, ...rest } = record;
  return { ...rest, state: 'retired' };
}

/**
 * The journal was complete before the first state file said `failed-over`, and is kept until the
 * last one says `retired`.
 */
async function replayInto(
  disks: readonly DiskOptions[],
  records: readonly StateRecord[],
  { disks: order, journal, uuid }: StateRecord,
  options: OpenOptions,
  onProgress: RecoveryOptions['onProgress'],
): Promise<void> {
  const bases = new Map<string, OpenBase>();
  const lock = options.lock === true ? await JournalLock.take(journal) : undefined;
  try {
    for (const [at, { base, format, name }] of disks.entries()) {
      bases.set(records[at]?.disk ?? name, await openBase({ base, format }, options));
    }
    const baseOf = (disk: number, offset: number, length: number): BaseStore => {
      const base = bases.get(order[disk] ?? '');
      if (base && offset + length <= base.sizeBytes) return base;
      const what = base
        ? `a write to byte ${offset} of disk ${order[disk] ?? ''}, which ends at ${base.sizeBytes}`
        : `writes for disk ${disk}, the state files name ${order.join(', ')}`;
      throw new JournalError(
        'REPLICA_JOURNAL_FOREIGN',
        `${journal} has ${what}`,
        'Put the journal and the bases that belong together back in their places.',
      );
    };
    const target: ReplayTarget = {
      write: (disk, offset, data) => baseOf(disk, offset, data.length).write(offset, data),
      zero: (disk, offset, length) => baseOf(disk, offset, length).zero(offset, length),
    };
    await replayJournal(journal, uuid, target, onProgress);
    await Promise.all([...bases.values()].map((base) => base.sync()));
    expectNoLoss([...bases.values()]);
    await recordRetired(disks, records);
    await rm(journal, { force: true });
  } finally {
    await Promise.all([...bases.values()].map((base) => base.close()));
    await lock?.release();
  }
}

function expectFormat({ base, format = 'raw' }: DiskOptions, { image = 'raw' }: StateRecord): void {
  if (image === format) return;
  throw new BaseImageError(
    'REPLICA_BASE_FORMAT',
    `${base} was a base of format ${image}, the configuration says ${format}`,
    `Set \`format: ${image}\` for this disk, or remove the base and its state file.`,
  );
}

function expectNoLoss(bases: readonly OpenBase[]): void {
  if (bases.every(({ losses }) => losses === 0)) return;
  const remedy = 'Recover again: the journal is still there.';
  throw new BaseImageError(
    'REPLICA_BASE_IO',
    'something was lost while the journal was replayed',
    remedy,
  );
}

async function existingRecord(disk: DiskOptions): Promise<StateRecord> {
  const record = await readStateFile(disk.base, disk.stateFile);
  if (record) return record;
  const isThere = await exists(disk.base);
  throw new BaseImageError(
    'REPLICA_BASE_FOREIGN',
    isThere ? `${disk.stateFile ?? stateFileOf(disk.base)} is missing` : `${disk.base} is missing`,
    'Name the base of a replica; without its state file it is not known what it holds.',
  );
}

function expectUsable(
  disk: DiskOptions,
  record: StateRecord | undefined,
  whole: StateRecord | undefined,
): void {
  if (!record) return;
  if (whole && record.uuid !== whole.uuid) {
    throw new BaseImageError(
      'REPLICA_BASE_FOREIGN',
      `${disk.base} belongs to another protection (${record.uuid}) than disk ${whole.disk}`,
      'Name the bases of one VM and one protection, all of them.',
    );
  }
  // State files are written one by one, while the journal is complete: it makes up for the rest.
  const isUsable = record.state === 'failed-over' || record.state === 'retired';
  if (!isUsable && !record.lastCommit && !(whole && record.state === 'protected')) {
    throw new BaseImageError(
      'REPLICA_BASE_NOT_USABLE',
      `${disk.base} is ${record.state} at epoch ${record.epoch}: it holds no consistent disk`,
      "Use the primary's disk; this base can only be seeded again.",
    );
  }
}

function lastCommitIn({ base }: DiskOptions, { vm, epoch }: StateRecord, what: string): Error {
  return new BaseImageError(
    'REPLICA_BASE_LAST_COMMIT',
    `${base} is not ${what}: it holds the last commit (epoch ${epoch}) of ${vm}, whose primary ` +
      'was lost, and nobody has taken over: it may be the only copy',
    'If the primary is gone for good, `gannet recover --last-commit` makes this the disk, as ' +
      'after a power failure at that commit. If the primary or its disk is still there, it has ' +
      'more than this base: start the daemon with --overwrite.',
  );
}

/**
 * The journal is removed after the recovery, and state files are rewritten: no disk may be left
 * out.
 */
function expectAll({ disks, journal }: StateRecord, records: readonly StateRecord[]): void {
  const missing = disks.filter((name) => !records.some(({ disk }) => disk === name));
  if (missing.length === 0) return;
  throw new BaseImageError(
    'REPLICA_BASE_FOREIGN',
    `${journal} also holds writes of disk ${missing.join(', ')}`,
    'Name the bases of one VM and one protection, all of them.',
  );
}
