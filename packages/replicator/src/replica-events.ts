import type { ReplicatorError } from './errors.js';
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
