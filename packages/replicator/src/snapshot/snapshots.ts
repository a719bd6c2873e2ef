import { type NbdExport, NbdRefusal } from '@gannet/nbd';
import type { Disk } from '../disk/disk.js';
import { ReplicaStateError } from '../errors.js';
import { messageOf } from '../io-errors.js';
import type { SlabPool } from '../memory/slab-pool.js';
import type { ReplicaEvent } from '../replica-events.js';
import type { ReplicaState } from '../replica-state.js';
import { type KeepLimits, Snapshot, type SnapshotView } from './snapshot.js';
import { type ReadSnapshot, snapshotExports } from './snapshot-session.js';

/** What snapshots need of their replica. */
export interface SnapshotHost {
  readonly vm: string;
  readonly disks: readonly Disk[];
  readonly state: ReplicaState;
  /** Number of the last committed epoch; 0 before the first. */
  readonly epoch: number;
  on(listener: (event: ReplicaEvent) => void): () => void;
}

/**
 * Snapshots of a replica: its disks as of the last commit, to be read over NBD for a backup. One at
 * a time, of all disks together. It costs the guest nothing: what would be overwritten is kept in a
 * file first, by write-back. A snapshot is given up, never the protection: when its file has
 * reached its limit or can't be written, when memory is short, and when the replica is protected
 * no longer.
 */
export class Snapshots {
  readonly exports: readonly NbdExport[];
  #current: Snapshot | undefined;
  #closed: Promise<void> = Promise.resolve();
  readonly #off: () => void;

  constructor(
    private readonly host: SnapshotHost,
    private readonly pool: SlabPool,
    private readonly limits: KeepLimits,
    private readonly emit: (event: ReplicaEvent) => void,
  ) {
    const disks = host.disks.map(({ name, sizeBytes }) => ({ name, sizeBytes }));
    this.exports = snapshotExports(host.vm, disks, () => this.#enter());
    this.#off = host.on((event) => this.#onReplica(event));
  }

  /** The snapshot that there is. */
  get view(): SnapshotView | undefined {
    return this.#current?.view;
  }

  /**
   * Holds a snapshot until it is dropped: the one that is being read, or a new one.
   *
   * @throws ReplicaStateError REPLICA_STATE if there is no commit to take, or one is held already
   */
  hold(): SnapshotView {
    if (this.#current?.view.isHeld === true) {
      const message = `a snapshot is held already, of epoch ${this.#current.epoch}`;
      throw new ReplicaStateError('REPLICA_STATE', message, 'Drop it first.');
    }
    const snapshot = this.#current ?? this.#take();
    snapshot.isHeld = true;
    return snapshot.view;
  }

  /** Ends the snapshot that there is; whoever reads it gets an error. @returns whether there was */
  drop(): boolean {
    const current = this.#current;
    if (!current) return false;
    this.#end(current, 'it was dropped');
    this.emit({ kind: 'snapshot', phase: 'dropped', epoch: current.epoch });
    return true;
  }

  async close(): Promise<void> {
    this.#off();
    if (this.#current) this.#end(this.#current, 'the replica was closed');
    await this.#closed;
  }

  #enter(): ReadSnapshot {
    let current = this.#current;
    try {
      current ??= this.#take();
    } catch (error) {
      throw new NbdRefusal('policy', messageOf(error));
    }
    const snapshot = current;
    snapshot.readers++;
    const leave = (): void => {
      if (--snapshot.readers > 0 || snapshot.isHeld || this.#current !== snapshot) return;
      this.#end(snapshot, 'nobody read it any more');
      this.emit({ kind: 'snapshot', phase: 'dropped', epoch: snapshot.epoch });
    };
    return {
      get ending() {
        return snapshot.ending;
      },
      disks: snapshot.disks,
      leave,
    };
  }

  #take(): Snapshot {
    const { state, epoch, disks, vm } = this.host;
    if (state !== 'protected' || epoch === 0) {
      const message = `there is no checkpoint to take a snapshot of: the replica is ${state}`;
      throw new ReplicaStateError('REPLICA_STATE', message, 'It has to be protected.');
    }
    const snapshot = new Snapshot(vm, disks, epoch, this.pool, this.limits, (reason) => {
      this.#giveUp(snapshot, reason);
    });
    this.#current = snapshot;
    for (const pinned of snapshot.disks) pinned.disk.pin = pinned;
    this.emit({ kind: 'snapshot', phase: 'taken', epoch });
    return snapshot;
  }

  #onReplica(event: ReplicaEvent): void {
    const current = this.#current;
    if (!current) return;
    if (event.kind === 'state' && event.to !== 'protected') {
      this.#giveUp(current, `the replica is ${event.to}`);
    } else if (event.kind === 'memory-pressure') {
      this.#giveUp(current, 'the buffers passed their soft limit');
    }
  }

  #giveUp(snapshot: Snapshot, reason: string): void {
    if (snapshot.ending !== undefined) return;
    this.#end(snapshot, reason);
    this.emit({ kind: 'snapshot-lost', epoch: snapshot.epoch, reason });
  }

  #end(snapshot: Snapshot, reason: string): void {
    if (this.#current === snapshot) this.#current = undefined;
    for (const pinned of snapshot.disks) pinned.disk.pin = undefined;
    this.#closed = snapshot.end(reason);
  }
}
