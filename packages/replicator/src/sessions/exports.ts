import {
  type Extent,
  type ExportSession,
  type NbdExport,
  NbdCommandError,
  NbdRefusal,
  type PeerInfo,
  type ReadView,
  type SessionEnd,
  type ZeroRequest,
} from '@gannet/nbd';
import { isNoSpace, messageOf } from '../images/base-image.js';
import type { Disk } from '../disk/disk.js';
import type { Replica } from '../replica.js';
import { seedExportsOf } from './seed-session.js';

const FEATURES = {
  readOnly: false,
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  cache: true,
  multiConn: true,
} as const;
const ONE_PRIMARY = { ...FEATURES, multiConn: false } as const;
/** Zeros take memory at their two ends at most. */
const ZERO_COST_MAX_BYTES = 8192;
const BLOCK_SIZE = { minimum: 1, preferred: 4096, maximum: 32 * 1024 * 1024 } as const;

/**
 * `pvm` and `svm`, or `<disk>-pvm` and `<disk>-svm` where the VM has several disks; for the first copy, see
 * seed-session.ts.
 */
export function exportsOf(replica: Replica): NbdExport[] {
  return replica.disks.flatMap((disk) => {
    const prefix = replica.disks.length === 1 ? '' : `${disk.name}-`;
    const common = { sizeBytes: disk.sizeBytes, features: FEATURES, blockSize: BLOCK_SIZE };
    return [
      {
        ...common,
        features: ONE_PRIMARY,
        name: `${prefix}pvm`,
        description: `${replica.vm}, disk ${disk.name}: the primary writes here`,
        open: () => openLink(replica, disk),
      },
      ...seedExportsOf(replica, disk, {
        ...common,
        features: ONE_PRIMARY,
        name: `${prefix}pvm`,
      }),
      {
        ...common,
        name: `${prefix}svm`,
        description: `${replica.vm}, disk ${disk.name}: the disk of the secondary VM`,
        open: (peer) => openSecondary(replica, disk, peer),
      },
    ];
  });
}

/** @param mustFollow whether it has to follow a copy that came over an export of its own */
export function openLink(replica: Replica, disk: Disk, mustFollow = false): PrimarySession {
  expectSeeding(replica);
  const obstacle = replica.link.opened(disk.name, mustFollow);
  if (obstacle !== undefined) throw new NbdRefusal('policy', `${obstacle}; seed again`);
  return new PrimarySession(replica, disk);
}

/**
 * Of the secondary VM, which is on this host: the order of its requests and of its QMP events is what makes a commit
 * right, and nobody else has any business here.
 */
function openSecondary(replica: Replica, disk: Disk, { transport }: PeerInfo): SecondarySession {
  if (transport !== 'tcp') return new SecondarySession(replica, disk);
  const message = 'the disk of the secondary VM is for this host: use the unix socket';
  throw new NbdRefusal('policy', message);
}

/** @throws NbdRefusal where a primary comes too late */
export function expectSeeding({ state, link }: Replica): void {
  if (state === 'seeding') return;
  const why = link.loss ?? `the replica is ${state}`;
  throw new NbdRefusal('policy', `not taking a new primary: ${why}; seed again`);
}

/** The primary's writes: straight into the base while it seeds, into the open epoch once COLO runs. */
export class PrimarySession implements ExportSession {
  #isFailureTold = false;

  constructor(
    private readonly replica: Replica,
    private readonly disk: Disk,
  ) {}

  read(offset: number, target: Uint8Array): void | Promise<void> {
    if (this.replica.state === 'seeding') return this.disk.base.read(offset, target);
    this.#expectAlive();
    return this.disk.read(this.disk.primary, offset, target);
  }

  view(offset: number, length: number): ReadView | undefined {
    if (this.replica.state === 'seeding') return undefined;
    this.#expectAlive();
    return this.disk.view(this.disk.primary, offset, length);
  }

  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void> {
    this.replica.link.wrote(this.disk.name);
    if (this.replica.state === 'seeding') {
      return this.#seed(this.disk.base.write(offset, Buffer.from(data)), fua);
    }
    this.#expectAlive();
    this.disk.primary.write(offset, data);
    return this.replica.noteGrowth(data.length);
  }

  flush(): void | Promise<void> {
    if (this.replica.state === 'seeding') return this.#seed(this.disk.base.sync(), false);
    // Durability is the primary's disk until a failover (I4).
    this.#expectAlive();
    this.replica.link.flushed(this.disk.name);
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    return this.#zero(offset, length, fua);
  }

  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void> {
    if (how.fast && this.replica.state === 'seeding') expectHole(this.disk, offset, length);
    return this.#zero(offset, length, how.fua);
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] {
    return [this.disk.extent(this.disk.primary, offset, length)];
  }

  /** QEMU swallows what a write of its replication filter is answered. */
  refused(message: string): void {
    const reason = `a write of the primary was refused: ${message}`;
    this.replica.link.writeFailed(this.disk.name, reason);
  }

  close(end: SessionEnd): void {
    this.replica.link.closed(this.disk.name, end);
  }

  #zero(offset: number, length: number, fua: boolean): void | Promise<void> {
    this.replica.link.wrote(this.disk.name);
    if (this.replica.state === 'seeding') {
      return this.#seed(this.disk.base.zero(offset, length), fua);
    }
    this.#expectAlive();
    this.disk.primary.zero(offset, length);
    return this.replica.noteGrowth(Math.min(length, ZERO_COST_MAX_BYTES));
  }

  async #seed(done: Promise<void>, fua: boolean): Promise<void> {
    try {
      await done;
      if (fua) await this.disk.base.sync();
    } catch (error) {
      // The primary may swallow the error that it is told.
      this.replica.link.writeFailed(this.disk.name, `seeding failed: ${messageOf(error)}`);
      // Of those under way at once, the first says it all.
      if (!this.#isFailureTold) this.replica.seedFailed(error);
      this.#isFailureTold = true;
      const wireError = isNoSpace((error as Error).cause ?? {}) ? 'ENOSPC' : 'EIO';
      throw new NbdCommandError(wireError, messageOf(error), { cause: error });
    }
  }

  #expectAlive(): void {
    const { state, reason, link } = this.replica;
    if (state === 'protected' && link.loss === undefined) return;
    throw new NbdCommandError(
      'ESHUTDOWN',
      `the replica takes no more writes: ${link.loss ?? reason}`,
    );
  }
}

/** The SVM's disk: its own writes of this epoch over the last commit; after failover, the disk. */
class SecondarySession implements ExportSession {
  constructor(
    private readonly replica: Replica,
    private readonly disk: Disk,
  ) {
    if (replica.state === 'diverged' || replica.state === 'retired') {
      throw new NbdRefusal('shutdown', `the replica is ${replica.state}: ${replica.reason}`);
    }
  }

  read(offset: number, target: Uint8Array): void | Promise<void> {
    this.#expectUsable();
    return this.disk.read(this.disk.secondary, offset, target);
  }

  view(offset: number, length: number): ReadView | undefined {
    this.#expectUsable();
    return this.disk.view(this.disk.secondary, offset, length);
  }

  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void> {
    this.#expectWritable();
    this.disk.secondary.write(offset, data);
    return this.#written(data.length, fua);
  }

  flush(): void | Promise<void> {
    this.#expectUsable();
    if (this.replica.state === 'failed-over') return this.#flushToDisk();
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    return this.writeZeroes(offset, length, { fua, mayPunchHole: true, fast: false });
  }

  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void> {
    this.#expectWritable();
    this.disk.secondary.zero(offset, length);
    return this.#written(Math.min(length, ZERO_COST_MAX_BYTES), how.fua);
  }

  cache(): void {
    return;
  }

  blockStatus(offset: number, length: number): readonly Extent[] {
    this.#expectUsable();
    return [this.disk.extent(this.disk.secondary, offset, length)];
  }

  close(): void {
    return;
  }

  #written(bytes: number, fua: boolean): void | Promise<void> {
    if (this.replica.state !== 'failed-over') return this.replica.noteGrowth(bytes);
    // Too much unflushed: the guest waits, as it would for a disk whose cache is full.
    if (this.replica.noteUnflushed() || fua) return this.#flushToDisk();
  }

  async #flushToDisk(): Promise<void> {
    try {
      await this.replica.guestFlushes.flush();
    } catch (error) {
      throw new NbdCommandError('EIO', messageOf(error), { cause: error });
    }
  }

  #expectUsable(): void {
    const { state, reason } = this.replica;
    if (state !== 'diverged' && state !== 'retired') return;
    throw new NbdCommandError(state === 'retired' ? 'ESHUTDOWN' : 'EIO', `${state}: ${reason}`);
  }

  #expectWritable(): void {
    this.#expectUsable();
    if (this.replica.state !== 'seeding') return;
    throw new NbdCommandError('EPERM', 'the replica is seeding: nobody but the primary may write');
  }
}

function expectHole(disk: Disk, offset: number, length: number): void {
  if (disk.base.holeEnd(offset) >= offset + length) return;
  throw new NbdCommandError('ENOTSUP', 'zeroing is no faster than writing zeros here');
}
