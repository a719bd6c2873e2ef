import { digestsOf, digestsOfZeros } from './digests.js';
import type { ByteRun } from './disk/arrivals.js';
import type { Disk } from './disk/disk.js';
import { ReplicaStateError } from './errors.js';
import type { ReplicaState } from './replica-state.js';

/** A range of one disk, in bytes. */
export interface DiskRange {
  readonly disk: string;
  readonly offset: number;
  readonly length: number;
}

/** What an audit needs of a replica. */
export interface AuditedReplica {
  readonly disks: readonly Disk[];
  readonly state: ReplicaState;
  readonly reason: string;
  /** Number of the last committed epoch. */
  readonly epoch: number;
  readonly link: { readonly loss: string | undefined };
  admitGrowth(bytes: number): void | Promise<void>;
}

/** What the primary's disk should hold in a range, as far as it has arrived. */
export interface RangeDigests {
  /** When everything below was known. */
  readonly epoch: number;
  /** Of each grain; see digestsOf(). */
  readonly digests: readonly string[];
  /** What the primary has written since watch(), and so may not be in `digests`. */
  readonly arrived: readonly ByteRun[];
}

/** What is read and hashed in one go. */
const PIECE_BYTES = 1024 * 1024;
const NOT_NOW = 'It has to be protected: protect the VM, then verify it.';

/**
 * Compares a protected replica with its primary's disks while both change, and repairs it.
 *
 * It looks at what the primary has written: the open epoch over the committed ones over the base.
 * That differs from the primary's disk only by writes that are under way, on one side or the other.
 * To tell those from a fault: watch() a range, and wait for a checkpoint, at which the primary's
 * writes are drained. Whatever was under way before has then reached both sides, and whatever
 * arrives later is noted.
 */
export class ReplicaAudit {
  constructor(private readonly replica: AuditedReplica) {}

  /**
   * Begins to note what the primary writes to these ranges, and to no others.
   *
   * @returns the last epoch that was committed before
   * @throws ReplicaStateError REPLICA_STATE
   */
  watch(ranges: readonly DiskRange[]): number {
    this.#expectProtected();
    for (const range of ranges) this.#diskOf(range);
    for (const { name, arrivals } of this.replica.disks) {
      const own = ranges.filter(({ disk }) => disk === name);
      arrivals.watch(own.map(({ offset, length }): ByteRun => [offset, offset + length]));
    }
    return this.replica.epoch;
  }

  /**
   * @throws ReplicaStateError REPLICA_STATE, also if the protection ends meanwhile
   * @throws BaseImageError if the base can't be read
   */
  async digests(range: DiskRange, grainBytes: number): Promise<RangeDigests> {
    const disk = this.#diskOf(range);
    const end = range.offset + range.length;
    const pieceBytes = Math.max(grainBytes, PIECE_BYTES - (PIECE_BYTES % grainBytes));
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, range.length));
    const digests: string[] = [];
    for (let at = range.offset; at < end; at += pieceBytes) {
      this.#expectProtected();
      const part = buffer.subarray(0, Math.min(pieceBytes, end - at));
      digests.push(...(await digestsAt(disk, at, part, grainBytes)));
    }
    this.#expectProtected();
    // After the last read: what came during it may or may not be in the digests.
    const arrived = disk.arrivals.within(range.offset, range.length);
    return { epoch: this.replica.epoch, digests, arrived };
  }

  /**
   * Writes what the primary's disk held into the open epoch, but for what has arrived since
   * watch(): that is newer.
   *
   * @returns bytes written; the secondary VM reads them after the next commit
   * @throws ReplicaStateError REPLICA_STATE, also if the range is not watched
   */
  async repair(range: Omit<DiskRange, 'length'>, data: Uint8Array): Promise<number> {
    this.#expectProtected();
    const { offset } = range;
    const disk = this.#diskOf({ ...range, length: data.length });
    if (!disk.arrivals.isWatched(offset, data.length)) {
      refuse(`can't repair disk ${disk.name} at ${offset}: it is not watched`, 'Watch it first.');
    }
    let written = 0;
    for (const [from, to] of disk.arrivals.missing(offset, data.length)) {
      disk.primary.write(from, data.subarray(from - offset, to - offset));
      written += to - from;
    }
    await this.replica.admitGrowth(written);
    return written;
  }

  #diskOf({ disk, offset, length }: DiskRange): Disk {
    const found = this.replica.disks.find(({ name }) => name === disk);
    if (found === undefined || offset < 0 || length < 0 || offset + length > found.sizeBytes) {
      const message = `the replica has no disk ${disk} with ${length} bytes at ${offset}`;
      return refuse(message, 'Give the disk the same name and size in both configurations.');
    }
    return found;
  }

  #expectProtected(): void {
    const { state, reason, link } = this.replica;
    if (state !== 'protected') refuse(`the replica is ${state}: ${reason}`, NOT_NOW);
    if (link.loss !== undefined) refuse(`the replica has lost its primary: ${link.loss}`, NOT_NOW);
  }
}

async function digestsAt(
  disk: Disk,
  offset: number,
  target: Buffer,
  grainBytes: number,
): Promise<string[]> {
  const { zero, length } = disk.extent(disk.primary, offset, target.length);
  if (zero && length >= target.length) return digestsOfZeros(target.length, grainBytes);
  await disk.read(disk.primary, offset, target);
  return digestsOf(target, grainBytes);
}

function refuse(message: string, remedy: string): never {
  throw new ReplicaStateError('REPLICA_STATE', message, remedy);
}
