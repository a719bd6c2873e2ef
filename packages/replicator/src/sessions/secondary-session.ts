import {
  type Extent,
  type ExportSession,
  NbdCommandError,
  NbdRefusal,
  type PeerInfo,
  type ReadView,
  type ZeroRequest,
} from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { messageOf } from '../io-errors.js';
import { ZERO_COST_MAX_BYTES } from './primary-session.js';
import type { SessionHost } from './session-host.js';

/**
 * The session behind `svm`. The secondary VM runs on this host: a commit relies on the order of its
 * requests and its QMP events, and nobody else has a reason to connect.
 *
 * @throws NbdRefusal for a connection over TCP, and when the replica is given up or retired
 */
export function openSecondary(
  host: SessionHost,
  disk: Disk,
  { transport }: PeerInfo,
): SecondarySession {
  if (transport === 'tcp') {
    const message = 'the disk of the secondary VM is for this host: use the unix socket';
    throw new NbdRefusal('policy', message);
  }
  if (host.state === 'diverged' || host.state === 'retired') {
    throw new NbdRefusal('shutdown', `the replica is ${host.state}: ${host.reason}`);
  }
  return new SecondarySession(host, disk);
}

/** The SVM's disk: its own writes of this epoch over the last commit; after failover, the disk. */
class SecondarySession implements ExportSession {
  constructor(
    private readonly host: SessionHost,
    private readonly disk: Disk,
  ) {}

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
    if (this.host.state === 'failed-over') return this.#flushToDisk();
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
    if (this.host.state !== 'failed-over') return this.host.admitGrowth(bytes);
    // With too much in memory the guest waits, as it would for a disk whose cache is full.
    if (this.host.mustFlush() || fua) return this.#flushToDisk();
  }

  async #flushToDisk(): Promise<void> {
    try {
      await this.host.flushForGuest();
    } catch (error) {
      throw new NbdCommandError('EIO', messageOf(error), { cause: error });
    }
  }

  #expectUsable(): void {
    const { state, reason } = this.host;
    if (state !== 'diverged' && state !== 'retired') return;
    throw new NbdCommandError(state === 'retired' ? 'ESHUTDOWN' : 'EIO', `${state}: ${reason}`);
  }

  #expectWritable(): void {
    this.#expectUsable();
    if (this.host.isRetiring) {
      throw new NbdCommandError('ESHUTDOWN', 'the disk is being handed over to its base image');
    }
    if (this.host.state !== 'seeding') return;
    throw new NbdCommandError('EPERM', 'the replica is seeding: only the primary may write');
  }
}
