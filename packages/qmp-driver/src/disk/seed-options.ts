/** How a copy is watched, and what is told of it. */
export interface SeedProgress {
  readonly device: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** The speed limit; 0 for none. */
  readonly limitBytesPerSec: number;
  /** While the link is down: for how long it has been, and how long it is waited for. */
  readonly down?: { readonly forMs: number; readonly limitMs: number };
}

/** How to go on after the link broke. */
export interface Reconnection {
  /** A copy that makes no progress for so long is taken to hang on its link. */
  readonly stallMs: number;
  /** Cuts the link, out-of-band: what hangs on it fails. */
  readonly cut: () => Promise<void>;
  /** Connects anew, when that can be done; calls `onWait` with each attempt. */
  readonly reconnect: (onWait: () => void) => Promise<void>;
  readonly limitMs: number;
}

export interface ReadyOptions {
  readonly pollMs: number;
  /** The longest time without progress. */
  readonly stallTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SeedProgress) => void) | undefined;
  readonly reconnection?: Reconnection | undefined;
  /** Whether all that is copied together is there: a link can break while others still copy. */
  readonly isEnough?: (() => boolean) | undefined;
}
