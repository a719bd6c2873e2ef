import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Disk } from '../disk/disk.js';
import { SpillError } from '../errors.js';
import { messageOf } from '../io-errors.js';
import type { SlabPool } from '../memory/slab-pool.js';
import type { KeptFile } from './kept-pages.js';
import { PinnedDisk } from './pinned-disk.js';

/** Where a snapshot keeps what is overwritten, and how much. */
export interface SnapshotLimits {
  /** Folder of the file, which has no name. */
  readonly directory: string;
  readonly limitBytes: number;
}

/** With the replica's own: see `memory` of its options. */
export interface KeepLimits extends SnapshotLimits {
  readonly softBytes: number;
}

/** Of the folder: after that, write-back goes on without the snapshot. */
const PATIENCE_MS = 10_000;

/** The snapshot that there is, for a status. */
export interface SnapshotView {
  readonly epoch: number;
  /** When it was taken. */
  readonly at: string;
  /** Whether it stays until it is dropped; otherwise until nobody reads it. */
  readonly isHeld: boolean;
  readonly readers: number;
  /** What is kept in the file, of later epochs' writes. */
  readonly keptBytes: number;
  readonly limitBytes: number;
}

/** One snapshot, from its beginning to its end. */
export class Snapshot {
  readonly disks: readonly PinnedDisk[];
  isHeld = false;
  readers = 0;
  readonly #at = new Date().toISOString();
  readonly #files: Promise<KeptFile>[] = [];
  #keptBytes = 0;
  #chargedBytes = 0;
  #isReleased = false;
  #ending: string | undefined;

  /** @param giveUp called, with the reason, when it can't be kept */
  constructor(
    private readonly vm: string,
    disks: readonly Disk[],
    readonly epoch: number,
    private readonly pool: SlabPool,
    private readonly limits: KeepLimits,
    giveUp: (reason: string) => void,
  ) {
    const budget = {
      take: (bytes: number) => this.#takeRoom(bytes),
      charge: (bytes: number) => this.#charge(bytes),
    };
    const onTrouble = (error: unknown): void => giveUp(messageOf(error));
    this.disks = disks.map((disk) => {
      let file: Promise<KeptFile> | undefined;
      const ofDisk = (): Promise<KeptFile> => (file ??= this.#open());
      return new PinnedDisk(disk, epoch, ofDisk, budget, onTrouble, PATIENCE_MS);
    });
  }

  /** Why it is of no use any more; undefined while it is. */
  get ending(): string | undefined {
    return this.#ending;
  }

  get view(): SnapshotView {
    return {
      epoch: this.epoch,
      at: this.#at,
      isHeld: this.isHeld,
      readers: this.readers,
      keptBytes: this.#keptBytes,
      limitBytes: this.limits.limitBytes,
    };
  }

  /**
   * Nothing reads it or keeps anything for it any more, but for what is under way. Settles when its
   * files are closed; those of a folder that hangs are left to the end of this process.
   */
  async end(reason: string): Promise<void> {
    this.#ending = reason;
    const idle = await Promise.allSettled(this.disks.map((disk) => disk.idle()));
    this.#isReleased = true;
    this.pool.charge(-this.#chargedBytes);
    const closing = this.#files.map((file) => file.then((opened) => opened.close()));
    const closed = Promise.allSettled(closing);
    if (idle.every(({ status }) => status === 'fulfilled')) await closed;
  }

  #takeRoom(bytes: number): void {
    if (this.#ending !== undefined) throw new Error(this.#ending);
    const { limitBytes, softBytes } = this.limits;
    // To keep pages slows write-back down: later the guest would be slowed.
    if (this.pool.usedBytes > softBytes) throw new Error('the buffers passed their soft limit');
    if (this.#keptBytes + bytes > limitBytes) {
      throw new Error(`what it keeps has reached its limit of ${limitBytes} bytes`);
    }
    this.#keptBytes += bytes;
  }

  #charge(bytes: number): void {
    // Of what was under way when it ended, and has hung.
    if (this.#isReleased) return;
    this.#chargedBytes += bytes;
    this.pool.charge(bytes);
  }

  /** A file without a name: it is gone with this process. */
  #open(): Promise<KeptFile> {
    const file = path.join(this.limits.directory, `.${this.vm}-${randomUUID()}.snapshot`);
    const opened = (async (): Promise<KeptFile> => {
      try {
        const handle = await open(file, 'wx+', 0o600);
        await rm(file);
        return handle;
      } catch (error) {
        const remedy = 'Name a directory that this process may write to.';
        throw new SpillError('REPLICA_SPILL_IO', `${file}: ${messageOf(error)}`, remedy, {
          cause: error,
        });
      }
    })();
    opened.catch(() => undefined);
    this.#files.push(opened);
    return opened;
  }
}
