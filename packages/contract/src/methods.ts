/** How a failover went, in milliseconds from the call. */
export interface FailoverReport {
  readonly epoch: number;
  readonly evidence: string;
  readonly takenOverMs: number;
  readonly durableMs: number;
  readonly movedMs: number;
}

/** What a person wants to know of the first copy; bytes of work, to which the guest's writes add. */
export interface SeedView {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Smoothed. Holes count as done when they are passed, so it jumps over them and comes back. */
  readonly bytesPerSec: number;
  /** Null while nothing is known, and while the link is down. */
  readonly secondsLeft: number | null;
  readonly limitBytesPerSec: number;
  readonly down: { readonly forMs: number; readonly limitMs: number } | null;
}

export interface SeedsView extends SeedView {
  readonly disks: Readonly<Record<string, SeedView>>;
}
