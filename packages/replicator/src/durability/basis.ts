import type { Disk } from '../disk/disk.js';
import type { OpenBase } from '../images/base-image.js';
import type { DiskOptions } from '../replica-options.js';
import { isGuestsDisk } from '../replica-state.js';
import { readStateFile, type StateRecord } from './state-file.js';

/**
 * What a base can be brought up to date from. It holds every write of the primary up to this epoch
 * of this replica, on stable storage. Whatever else it differs in from the primary's disk, the
 * primary has written after that epoch, and nobody else has written to it.
 */
export interface Basis {
  /** The `uuid` of the replica. */
  readonly replica: string;
  readonly epoch: number;
}

/** Least time between two records of a basis: each is a write of every state file. */
const RECORD_MS = 2000;

/** What it needs of its replica. */
export interface BasisKeeperOptions {
  readonly uuid: string;
  readonly disks: readonly Pick<Disk, 'committed'>[];
  /** The last commit. */
  readonly epoch: () => number;
  /** Whether what was copied is on stable storage, and only the primary's commits are added. */
  readonly isKept: () => boolean;
  /** Has all state files say it, on stable storage. */
  readonly record: (basis: Basis | undefined) => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Keeps the basis of a replica, in its state files. A new replica begins with the basis that its
 * bases had, and keeps it while they are brought up to date: until the new one is recorded, a crash
 * leaves what the old one says.
 */
export class BasisKeeper {
  /** Counts what was dropped or recorded: only the latest decides what is known. */
  #latest = 0;
  #isRecording = false;
  #isClosed = false;
  #recordedMs = -Infinity;

  constructor(
    private readonly options: BasisKeeperOptions,
    private current: Basis | undefined,
  ) {}

  /** What all state files say. */
  get recorded(): Basis | undefined {
    return this.current;
  }

  /** Something was committed, or is on stable storage by now: records it, now and then. */
  consider(): void {
    const { uuid, record, onTrouble, isKept } = this.options;
    if (this.#isClosed || this.#isRecording || !isKept()) return;
    const epoch = this.#durableEpoch;
    const isFirst = this.current?.replica !== uuid;
    if (epoch < 1 || (!isFirst && epoch <= (this.current?.epoch ?? 0))) return;
    const nowMs = performance.now();
    if (!isFirst && nowMs - this.#recordedMs < RECORD_MS) return;
    const basis = { replica: uuid, epoch };
    const own = ++this.#latest;
    this.#isRecording = true;
    record(basis)
      .then(() => {
        if (own !== this.#latest) return;
        this.current = basis;
        this.#recordedMs = nowMs;
      }, onTrouble)
      .finally(() => (this.#isRecording = false));
  }

  /** Records nothing more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Settles when no state file says it any more: only then may the bases lose what they hold. */
  async drop(): Promise<void> {
    this.#latest++;
    if (this.current === undefined) return;
    await this.options.record(undefined);
    this.current = undefined;
  }

  /** Memory is released only after the bases have been synced: what is there is not durable yet. */
  get #durableEpoch(): number {
    const pending = this.options.disks.flatMap(({ committed }) => committed[0]?.epoch ?? []);
    return Math.min(this.options.epoch(), ...pending.map((epoch) => epoch - 1));
  }
}

/**
 * The basis of bases that were just opened. All of them must have one, of the same replica; the
 * oldest epoch counts, since state files are written one by one.
 */
export async function basisOnDisk(
  vm: string,
  disks: readonly DiskOptions[],
  bases: readonly OpenBase[],
): Promise<Basis | undefined> {
  const found: Basis[] = [];
  for (const [at, disk] of disks.entries()) {
    const base = bases[at];
    const record = await readStateFile(disk.base, disk.stateFile);
    if (!base || !record || !isOf(record, vm, disk, disks)) return undefined;
    // An image that was removed is created again, and its state file may still be there.
    if (base.isBlank || record.sizeBytes !== base.sizeBytes || !record.basis) return undefined;
    found.push(record.basis);
  }
  const [first] = found;
  if (!first || found.some(({ replica }) => replica !== first.replica)) return undefined;
  return { replica: first.replica, epoch: Math.min(...found.map(({ epoch }) => epoch)) };
}

function isOf(
  record: StateRecord,
  vm: string,
  { name, format = 'raw' }: DiskOptions,
  disks: readonly DiskOptions[],
): boolean {
  const { image = 'raw', state, disks: names } = record;
  const isSame = record.vm === vm && record.disk === name && image === format;
  const areAll = names.length === disks.length && disks.every((one) => names.includes(one.name));
  return isSame && areAll && !isGuestsDisk(state);
}
