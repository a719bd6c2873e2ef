import { ReplicatorError } from './errors.js';
import { messageOf } from './io-errors.js';
import type { ReplicaState } from './replica-state.js';

export type ReplicaEvent =
  | {
      readonly kind: 'state';
      readonly from: ReplicaState;
      readonly to: ReplicaState;
      reason: string;
    }
  | { readonly kind: 'link-lost'; readonly reason: string }
  | { readonly kind: 'memory-pressure'; readonly usedBytes: number; readonly softBytes: number }
  /** Why nothing more can be spilled; undefined when it can again. */
  | { readonly kind: 'spill'; readonly trouble: string | undefined }
  /** Why what the guest flushes after a failover can't be made durable; undefined when it can again. */
  | { readonly kind: 'flush'; readonly trouble: string | undefined }
  /** The guest's first write after a failover has been taken. */
  | { readonly kind: 'first-write' }
  | { readonly kind: 'backlog' }
  | { readonly kind: 'trouble'; readonly error: ReplicatorError };

export interface CommitResult {
  readonly epoch: number;
  readonly committedPages: number;
  readonly droppedPages: number;
  /** Writes of the primary that no flush had followed; QEMU flushes when it stops, so 0 at a checkpoint. */
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

  emit(event: ReplicaEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Something went wrong that nobody who could be told has asked for. */
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
