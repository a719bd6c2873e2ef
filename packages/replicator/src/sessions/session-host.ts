import type { ReplicaState } from '../replica-state.js';
import type { PrimaryLink } from './primary-link.js';

/** What the NBD sessions need of the replica that they belong to. */
export interface SessionHost {
  readonly vm: string;
  readonly state: ReplicaState;
  /** Why it is in that state. */
  readonly reason: string;
  readonly link: PrimaryLink;
  /** What the bases can be brought up to date from. */
  readonly basis: { readonly recorded: object | undefined; drop(): Promise<void> };
  /** Whether the disks are being handed over to the base images: the guest must not write. */
  readonly isRetiring: boolean;
  /**
   * Before failover, after each buffered write of `bytes`: keeps the memory within its limits (I7).
   * The promise, if any, must settle before the write is answered.
   */
  admitGrowth(bytes: number): void | Promise<void>;
  /** A write of the first copy failed. The primary is told less than is known here. */
  seedFailed(error: unknown): void;
  /** After failover, after each write: whether it must wait for a flush, to bound memory (I7). */
  mustFlush(): boolean;
  /** After failover: settles when everything written before is durable. */
  flushForGuest(): Promise<void>;
}
