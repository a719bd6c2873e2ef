/**
 * What the checkpointer needs from outside. It does no I/O of its own: everything comes through
 * these ports, so that a simulation can implement each of them.
 */

/** A signal of a checkpoint source. Listeners are called synchronously, in the order of events. */
export type CheckpointSignal =
  /** The secondary has stopped. What the primary writes now may never be part of a checkpoint. */
  | { readonly kind: 'stop' }
  /**
   * An event was seen but not yet identified: hold all writes until it is. `isStopped`: the
   * secondary has stopped since that event.
   */
  | { readonly kind: 'seal'; readonly isStopped?: boolean }
  /**
   * It was a checkpoint. `primaryStoodWhole`: the primary itself has said that it had stopped, and
   * that all its writes before had been answered here. Then it does not matter when its link broke.
   */
  | { readonly kind: 'commit'; readonly primaryStoodWhole?: boolean }
  /** It was not a checkpoint. */
  | { readonly kind: 'abort' }
  /** It may have been a checkpoint; that cannot be known. The next certain commit settles it. */
  | { readonly kind: 'doubt'; readonly reason: string }
  /** The secondary has taken over. */
  | { readonly kind: 'failover' }
  /** No more signals will come: the connection to the secondary has ended. */
  | { readonly kind: 'lost'; readonly reason: string };

/** Where checkpoints come from: COLO, or another active-active system. */
export interface CheckpointSource {
  /** @returns a function that unsubscribes */
  subscribe(listener: (signal: CheckpointSignal) => void): () => void;
}

/** What the checkpointer uses of a replica. */
export interface ReplicaPort {
  /** Closed, it holds back all requests. */
  readonly gate: { readonly isClosed: boolean; close(): void; open(): void };
  readonly link: {
    readonly isConnected: boolean;
    /** Why writes of the primary may be missing; undefined if none are. */
    readonly loss: string | undefined;
    /** The connection ended between two requests. */
    readonly lossWasClean: boolean;
  };
  /** Makes the sealed epoch the state of both sides. Throws if the replica refuses. */
  commit(): CommitSummary;
  /** The secondary takes over. Throws if the replica refuses. */
  failOver(): CommitSummary;
  /** The replica cannot be used for a failover any more; what it has committed, perhaps. */
  diverge(reason: string): void;
  /** Nor can what it has committed: the primary has continued without it. */
  outdate(reason: string): void;
  /** The secondary has stopped, and waits for its requests, or has resumed. */
  secondaryRuns(isRunning: boolean): void;
}

/** What a commit or a failover did. */
export interface CommitSummary {
  readonly epoch: number;
  /** Pages of the primary that became the replica's state. */
  readonly committedPages: number;
  /** Pages of the secondary that were dropped. */
  readonly droppedPages: number;
  /** Writes of the primary since its last flush. */
  readonly unflushedWrites: number;
}

/** Committed epochs on their way to the base images. */
export interface WriteBackPort {
  /** Everything committed so far, merged, or undefined. One batch at a time. */
  nextBatch(): BatchPort | undefined;
}

/** Merged epochs that are written together and end with one sync. */
export interface BatchPort {
  readonly epochs: readonly number[];
  /** Resolves when the batch may be written: no read needs what it replaces. */
  ready(): Promise<void>;
  /** All runs, from the beginning at each call. They do not overlap, so any order will do. */
  runs(): Iterable<RunPort>;
  /** Syncs everything written to stable storage. */
  sync(): Promise<void>;
  /** Everything is in the base images, on stable storage: the memory may be freed. */
  finish(): void;
  /** The batch was not finished, and no write is under way. The next batch starts over. */
  abandon(): void;
}

/** A contiguous range of one disk. */
export interface RunPort {
  readonly disk: string;
  /** In bytes. */
  readonly offset: number;
  /** In bytes; 0 for a pause that lets the event loop run. */
  readonly length: number;
  /** May be repeated. */
  write(): Promise<void>;
}

/** Time in milliseconds, monotonic. sleep() rejects when `signal` is aborted. */
export interface WriteBackClock {
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
