/**
 * What the checkpointer needs of the world. It does no I/O of its own: everything comes through these ports, so that a
 * simulation can stand behind every one of them.
 */

/** What a source of checkpoints says. Listeners are called synchronously, in the order of events. */
export type CheckpointSignal =
  /** The secondary is stopped: what the primary writes now may never be part of a checkpoint. */
  | { readonly kind: 'stop' }
  /** Something has happened of which it is not yet known what it was: nothing may be applied. */
  | { readonly kind: 'seal' }
  /** It was a checkpoint. */
  | { readonly kind: 'commit' }
  /** It was none. */
  | { readonly kind: 'abort' }
  /** It may have been one; nobody can tell. The next certain commit settles it. */
  | { readonly kind: 'doubt'; readonly reason: string }
  /** The secondary has taken over. */
  | { readonly kind: 'failover' }
  /** Nothing will ever be heard of the secondary again. */
  | { readonly kind: 'lost'; readonly reason: string };

/** Where checkpoints come from: COLO, or any other active-active system. */
export interface CheckpointSource {
  /** @returns unsubscribes */
  subscribe(listener: (signal: CheckpointSignal) => void): () => void;
}

/** The replicator, as the checkpointer sees it. */
export interface ReplicaPort {
  readonly gate: { readonly isClosed: boolean; close(): void; open(): void };
  readonly link: {
    readonly isConnected: boolean;
    /** Why writes of the primary may be missing. */
    readonly loss: string | undefined;
    readonly lossWasClean: boolean;
  };
  commit(): CommitSummary;
  failOver(): CommitSummary;
  diverge(reason: string): void;
}

export interface CommitSummary {
  readonly epoch: number;
  readonly committedPages: number;
  readonly droppedPages: number;
  readonly unflushedWrites: number;
}

/** Committed epochs on their way to the base images. */
export interface WriteBackPort {
  /** All that is committed now, merged; undefined when there is nothing. One batch at a time. */
  nextBatch(): BatchPort | undefined;
}

export interface BatchPort {
  readonly epochs: readonly number[];
  ready(): Promise<void>;
  /** From the beginning at each call. They overlap nowhere: any order will do. */
  runs(): Iterable<RunPort>;
  sync(): Promise<void>;
  /** Its memory may go: everything is in the base, on stable storage. */
  finish(): void;
  /** Not all is written, and nothing is under way any more: the next batch begins anew. */
  abandon(): void;
}

export interface RunPort {
  readonly disk: string;
  readonly offset: number;
  /** 0 where it is a pause, for others to have their turn. */
  readonly length: number;
  /** Doing it twice does no harm. */
  write(): Promise<void>;
}

/** Time, in milliseconds; monotonic. */
export interface WriteBackClock {
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
