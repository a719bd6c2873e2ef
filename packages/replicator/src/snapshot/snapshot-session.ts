import {
  type ExportSession,
  type Extent,
  NbdCommandError,
  type NbdExport,
  NbdRefusal,
} from '@gannet/nbd';
import { messageOf } from '../io-errors.js';
import type { PinnedDisk } from './pinned-disk.js';

/** A snapshot that a connection reads. */
export interface ReadSnapshot {
  /** Why it is of no use any more; undefined while it is. */
  readonly ending: string | undefined;
  readonly disks: readonly PinnedDisk[];
  /** One connection less. */
  leave(): void;
}

/** Takes part in the snapshot that there is, or makes one. @throws NbdRefusal */
export type EnterSnapshot = () => ReadSnapshot;

const FEATURES = {
  ...{ readOnly: true, flush: false, fua: false, trim: false, writeZeroes: false },
  ...{ fastZero: false, cache: false, multiConn: true },
} as const;
const BLOCK_SIZE = { minimum: 1, preferred: 4096, maximum: 32 * 1024 * 1024 } as const;

/** The name of the export of a disk's snapshot: `snapshot` if the VM has one disk. */
export function snapshotExportName(disks: readonly { name: string }[], disk: string): string {
  return disks.length === 1 ? 'snapshot' : `${disk}-snapshot`;
}

/** The exports of all disks. */
export function snapshotExports(
  vm: string,
  disks: readonly { readonly name: string; readonly sizeBytes: number }[],
  enter: EnterSnapshot,
): NbdExport[] {
  return disks.map(({ name, sizeBytes }, at) => ({
    name: snapshotExportName(disks, name),
    description: `${vm}, disk ${name}: as of a checkpoint, to be read for a backup`,
    ...{ sizeBytes, features: FEATURES, blockSize: BLOCK_SIZE },
    open: ({ transport }) => {
      if (transport === 'tcp') {
        throw new NbdRefusal('policy', 'snapshots are for this host: use the unix socket');
      }
      const snapshot = enter();
      return new SnapshotSession(snapshot, snapshot.disks[at] as PinnedDisk);
    },
  }));
}

class SnapshotSession implements ExportSession {
  constructor(
    private readonly snapshot: ReadSnapshot,
    private readonly disk: PinnedDisk,
  ) {}

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.#expectWhole();
    try {
      await this.disk.read(offset, target);
    } catch (error) {
      this.#expectWhole();
      throw new NbdCommandError('EIO', messageOf(error), { cause: error });
    }
    // What was read may be newer than the snapshot, if that has ended meanwhile.
    this.#expectWhole();
  }

  blockStatus(offset: number, length: number): readonly Extent[] {
    this.#expectWhole();
    return [this.disk.extent(offset, length)];
  }

  write(): never {
    return readOnly();
  }

  trim(): never {
    return readOnly();
  }

  writeZeroes(): never {
    return readOnly();
  }

  flush(): void {
    return;
  }

  cache(): void {
    return;
  }

  close(): void {
    this.snapshot.leave();
  }

  #expectWhole(): void {
    const { ending } = this.snapshot;
    if (ending !== undefined) throw new NbdCommandError('EIO', `the snapshot is gone: ${ending}`);
  }
}

function readOnly(): never {
  throw new NbdCommandError('EPERM', 'a snapshot is read-only');
}
