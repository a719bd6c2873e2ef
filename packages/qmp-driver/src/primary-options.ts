/** What a PrimaryDriver takes, and what it reports. */
import type { CheckpointEngine } from './checkpoint-engine.js';
import type { DiskFailure, LinkFailure } from './disk/disk-watch.js';
import type { ComparedCard } from './network/compared-card.js';
import type { SeedProgress } from './disk/seed-options.js';

/** Options of a PrimaryDriver. */
export interface PrimaryOptions {
  /** For one QMP command. */
  readonly commandTimeoutMs?: number;
  /** For each of attach, finishSeed, runAlone, rollback and the short ones. */
  readonly stepTimeoutMs?: number;
  /** The longest that seeding may go without progress. */
  readonly stallTimeoutMs?: number;
  readonly pollMs?: number;
  /** Ask the NBD server for its greeting before QEMU connects; see nbd-probe.ts. On by default. */
  readonly probePeer?: boolean;
  /** Makes the checkpoints. Default: COLO, with `network`. */
  readonly engine?: CheckpointEngine | undefined;
  /** Network cards whose packets are compared with the secondary's. */
  readonly network?: readonly ComparedCard[];
  /**
   * Called when a link fails, mostly synchronously with the event: a mirror that ended, and a
   * QUORUM_REPORT_BAD of a quorum's child. In COLO a replication child reports failed flushes only
   * (QEMU swallows its write errors), so after a guest's next flush at the earliest.
   */
  readonly onLinkFailure?: (failure: LinkFailure) => void;
  /** Called synchronously with QEMU's event when the primary's own disk fails. */
  readonly onDiskFailure?: (failure: DiskFailure) => void;
}

/** What is not given. */
export const DEFAULTS: Required<Omit<PrimaryOptions, 'engine'>> = {
  commandTimeoutMs: 10_000,
  stepTimeoutMs: 30_000,
  stallTimeoutMs: 60_000,
  pollMs: 100,
  probePeer: true,
  network: [],
  onLinkFailure: () => undefined,
  onDiskFailure: () => undefined,
};

/** Options of PrimaryDriver.seed(). */
export interface SeedOptions {
  readonly onProgress?: (progress: SeedProgress) => void;
  /** For each disk. */
  readonly speedBytesPerSec?: number;
  /** How long a broken link is waited for; default 60 s. Of disks with `seedExports`. */
  readonly linkTimeoutMs?: number;
  /**
   * After this long without progress a copy counts as hung, and its link is cut; default 10 s.
   */
  readonly linkStallMs?: number;
  /**
   * What has to be done besides, from when all mirrors take the guest's writes. The copies are not
   * complete before it is; if it fails, seed() does.
   */
  readonly alongside?: (signal: AbortSignal) => Promise<void>;
  readonly signal?: AbortSignal;
}
