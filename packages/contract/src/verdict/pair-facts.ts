import type { AutomaticView } from '../reports.js';
import type {
  Engine,
  PeerPulse,
  PrimaryState,
  QemuState,
  ReplicaLink,
  SecondaryState,
} from '../states.js';

/**
 * How a side is known: `here` from its own daemon, `fresh` from a heartbeat that is not late,
 * `stale` from the last one of a daemon that does not answer now, `never` not at all.
 */
export type Knowledge = 'here' | 'fresh' | 'stale' | 'never';

export interface KnownSide {
  readonly knowledge: Knowledge;
  /** Of its last heartbeat; 0 for this daemon's own side. */
  readonly ageMs: number;
  /** Name of its host; empty if it was never heard. */
  readonly host: string;
  readonly qemu: QemuState | 'unknown';
  /** What is wrong with its QEMU or its base, in words. */
  readonly trouble: string;
}

export interface KnownPrimary extends KnownSide {
  readonly state: PrimaryState;
  /** Of `protect`, while it runs. */
  readonly stage: string;
  /** Why its guest is stopped, whatever its state: its own disk has failed; else empty. */
  readonly standstill: string;
  /** The host that it has handed the VM over to, by its record; else empty. */
  readonly movedTo: string;
  /** An operator has ended the protection. */
  readonly isDetached?: boolean | undefined;
}

export interface KnownSecondary extends KnownSide {
  readonly state: SecondaryState | 'unknown';
  /** Its copy has to yield: the primary's is the newer one. */
  readonly isOutdated: boolean;
  /** Why it has diverged. */
  readonly reason: string;
  readonly link: ReplicaLink;
  /** Why its link is lost, in words. */
  readonly linkLoss: string;
  readonly baseTrouble: string;
  readonly mayFailOver: boolean;
  /** Why its fence of the primary failed, in words; nothing unless it did. */
  readonly fenceFailure?: string | undefined;
  /** A fence would prove that the primary is dead: both sides have one. */
  readonly canFence?: boolean | undefined;
  /** Of a copy that waits for a failover: what its guest does, and how long its memory lasts. */
  readonly waiting?: Waiting | undefined;
  /** How old its last commit was when this was said; undefined if it has none or does not say. */
  readonly commitAgeMs: number | undefined;
}

export interface Waiting {
  readonly guest: 'runs' | 'stopped';
  readonly hardSeconds: number | null;
}

/** What one daemon knows about both sides of its VM. */
export interface PairFacts {
  readonly vm: string;
  readonly here: 'primary' | 'secondary';
  readonly primary: KnownPrimary;
  readonly secondary: KnownSecondary;
  readonly pulse: PeerPulse;
  readonly engine?: Engine | undefined;
  /** Of this side, with `protection: automatic`. */
  readonly automatic?: AutomaticView | undefined;
  /** Why this daemon can't write its term file; else empty. */
  readonly termTrouble: string;
}

/** A guest runs there, as far as is known. */
export const hasVm = (primary: KnownPrimary): boolean =>
  primary.qemu === 'ready' &&
  primary.standstill === '' &&
  !['superseded', 'held', 'unknown', 'yielding', 'ended'].includes(primary.state);

export const isHeard = ({ knowledge }: KnownPrimary | KnownSecondary): boolean =>
  knowledge === 'here' || knowledge === 'fresh';

/** Its operator does not want it protected, so nothing is wrong with a secondary that is no use. */
export const isGivenUp = (primary: KnownPrimary): boolean =>
  isHeard(primary) && primary.state === 'unprotected' && primary.isDetached === true;
