/** What makes the checkpoints of a primary, once its disks are linked: COLO, or another engine. */
import type { Finding } from './inspect/finding.js';
import type { MigrationTls } from './migration/migration-tls.js';
import type { PeerConnections } from './yank.js';

/** Options of PrimaryDriver.start(). */
export interface StartOptions {
  /** Where the secondary waits for the guest's memory: `unix:PATH`, `tcp:HOST:PORT`. */
  readonly uri: string;
  /** Of objects that exist. Default: none, the guest's memory is sent in the clear. */
  readonly tls?: MigrationTls | undefined;
  /** Milliseconds between two checkpoints. */
  readonly periodMs: number;
  /** Until checkpoints are made: as long as it takes to send the guest's memory. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Of the guest's memory: what is on the secondary, and all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Options of PrimaryDriver.goOn(). */
export interface GoOnOptions extends Pick<StartOptions, 'periodMs'> {
  /** How long the secondary may take to notice that it is another process that goes on. */
  readonly patienceMs: number;
}

/** `colo`: QEMU's; `vsmr`: its caller's, with snapshots of QEMU (SnapshotVm). */
export type EngineKind = 'colo' | 'vsmr';

/** An engine, as a PrimaryDriver uses it. ColoEngine is the one that QEMU brings along. */
export interface CheckpointEngine {
  readonly kind: EngineKind;
  /** Network cards (-netdev) whose packets are held until both guests have sent the same. */
  readonly comparedCards: readonly string[];
  /** Connections of QEMU to the secondary that are its own; cut with those of the disks. */
  readonly connections: Omit<PeerConnections, 'nodes'>;
  /** What keeps this VM from it; empty if nothing does. Changes nothing. */
  preflight(): Promise<readonly Finding[]>;
  /**
   * Sends the guest's memory. Resolves when checkpoints are made. After a failure call leave(), or
   * try again.
   *
   * @param health throws when there is no point in going on
   */
  start(options: StartOptions, health: () => void): Promise<void>;
  /** Takes over what an earlier process has begun. Changes nothing in QEMU. */
  adopt(): Promise<void>;
  /**
   * Goes on with the checkpoints of what was adopted. A guest that the process before had stopped
   * for one stands still until the secondary is known to be ready for the next. After a failure
   * call leave().
   */
  goOn(options: GoOnOptions): Promise<void>;
  /** Resolves when a checkpoint has been ordered, not when it is done. */
  checkpointNow(): Promise<void>;
  /** Sets the time between checkpoints. May start a checkpoint. */
  setPeriod(periodMs: number): Promise<void>;
  /** A link of a disk has failed: a write may be missing, so no checkpoint counts from now on. */
  linkFailed(reason: string): void;
  /** Cuts connections of this process to the secondary: QEMU's are cut by the driver. */
  cut(): void;
  /** Stops the guest for good, and checkpoints; sends at once. */
  halt(): Promise<void>;
  /**
   * A last checkpoint, after which the guest stays stopped for good: the secondary then is exactly
   * what the guest is. On failure the guest runs on, or the secondary is lost. Missing where it
   * can't be done.
   */
  handOver?(): Promise<void>;
  /** After handOver(), if nobody told the secondary that it may go on: the guest runs on here. */
  takeBack?(): Promise<void>;
  /**
   * No more checkpoints: the guest runs on without the secondary. An engine that has stopped it
   * continues it only if it may run on this host. Harmless when repeated.
   */
  leave(what: string): Promise<void>;
}
