import { ReplicatorError } from './errors.js';
import { messageOf } from './io-errors.js';
import type { ReplicaState } from './replica-state.js';

/** What happens to a replica. */
export type ReplicaEvent =
  | {
      readonly kind: 'state';
      readonly from: ReplicaState;
      readonly to: ReplicaState;
      reason: string;
    }
  | { readonly kind: 'link-lost'; readonly reason: string }
  | { readonly kind: 'memory-pressure'; readonly usedBytes: number; readonly softBytes: number }
  /**
   * The primary is lost and the buffers have passed their hard limit: the secondary VM's writes are
   * not answered until it stops.
   */
  | { readonly kind: 'writes-held'; readonly usedBytes: number; readonly hardBytes: number }
  /** The primary is lost, and the bases hold the last commit: it outlives this process. */
  | { readonly kind: 'last-commit-kept'; readonly epoch: number }
  /** Why nothing can be spilled; undefined when it works again. */
  | { readonly kind: 'spill'; readonly trouble: string | undefined }
  /** Why a guest's flushes after failover can't be made durable; undefined when they can again. */
  | { readonly kind: 'flush'; readonly trouble: string | undefined }
  /** A snapshot was taken, for a backup, or dropped: nobody reads it, or somebody said so. */
  | { readonly kind: 'snapshot'; readonly phase: 'taken' | 'dropped'; readonly epoch: number }
  /** A snapshot was given up, so that the protection goes on undisturbed. */
  | { readonly kind: 'snapshot-lost'; readonly epoch: number; readonly reason: string }
  /** The guest's first write after a failover has arrived. */
  | { readonly kind: 'first-write' }
  /** Write-back has something to do. */
  | { readonly kind: 'backlog' }
  | { readonly kind: 'trouble'; readonly error: ReplicatorError };

/** What a commit or a failover did. */
export interface CommitResult {
  readonly epoch: number;
  readonly committedPages: number;
  readonly droppedPages: number;
  /** Writes of the primary without a flush after them; QEMU flushes when it stops, so usually 0. */
  readonly unflushedWrites: number;
}

/** Tells the listeners of a replica what happens to it. */
export class ReplicaEvents {
  readonly #listeners = new Set<(event: ReplicaEvent) => void>();

  /** @returns unsubscribes */
  on(listener: (event: ReplicaEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls all listeners, at once. */
  emit(event: ReplicaEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Emits `trouble`: something failed that no caller waits for. */
  report(error: unknown): void {
    const known =
      error instanceof ReplicatorError
        ? error
        : new ReplicatorError('REPLICA_BASE_IO', messageOf(error), 'See the log.', {
            cause: error,
          });
    this.emit({ kind: 'trouble', error: known });
  }
}
