export type CheckpointerErrorCode =
  /** A commit or an abort without a seal before it. */
  | 'NOT_SEALED'
  /** A seal after a seal. */
  | 'ALREADY_SEALED'
  /** A call after the failover. */
  | 'ENDED'
  /** Write-back was told to stop; what was not written stays in memory. */
  | 'WRITE_BACK_STOPPED';

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
