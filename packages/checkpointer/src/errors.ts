export type CheckpointerErrorCode =
  /** A commit or an abort without a seal before it. */
  | 'CHECKPOINT_NOT_SEALED'
  /** A seal after a seal. */
  | 'CHECKPOINT_ALREADY_SEALED'
  /** A call after the failover. */
  | 'CHECKPOINT_ENDED'
  /** Write-back was told to stop; what was not written stays in memory. */
  | 'CHECKPOINT_WRITE_BACK_STOPPED';

/** A step that makes no sense where the checkpointer stands. `code` is stable; `message` is for people. */
export class CheckpointerError extends Error {
  override readonly name = 'CheckpointerError';
  constructor(
    readonly code: CheckpointerErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
