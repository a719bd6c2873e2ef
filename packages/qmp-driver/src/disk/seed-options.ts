/** How a copy is watched, and what is reported of it. */

/** How far the copy of one disk is. */
export interface SeedProgress {
  readonly device: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** The speed limit; 0 for none. */
  readonly limitBytesPerSec: number;
  /** While the link is down: since when, and when the copy gives up. */
  readonly down?: { readonly forMs: number; readonly limitMs: number };
}

/** How to go on after the link broke. */
export interface Reconnection {
  /** After this long without progress a copy counts as hung on its link. */
  readonly stallMs: number;
  /** Cuts the link, out-of-band: requests that hang on it fail. */
  readonly cut: () => Promise<void>;
  /** Connects again as soon as possible; calls `onWait` at each attempt. */
  readonly reconnect: (onWait: () => void) => Promise<void>;
  readonly limitMs: number;
}

/** Bounds of Mirror.ready(). */
export interface ReadyOptions {
  readonly pollMs: number;
  /** The longest time without progress. */
  readonly stallTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SeedProgress) => void) | undefined;
  readonly reconnection?: Reconnection | undefined;
  /** Whether all disks that are copied together are complete: a link can break until then. */
  readonly isEnough?: (() => boolean) | undefined;
}
