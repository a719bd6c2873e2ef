/** The codes of `CheckpointerError`. */
export type CheckpointerErrorCode =
  /** A commit or an abort without a seal. */
  | 'CHECKPOINT_NOT_SEALED'
  /** A second seal before a commit or an abort. */
  | 'CHECKPOINT_ALREADY_SEALED'
  /** A call after the failover. */
  | 'CHECKPOINT_ENDED'
  /** Write-back was stopped. What was not written stays in memory. */
  | 'CHECKPOINT_WRITE_BACK_STOPPED';

/** A call that is not allowed in this state. `code` is stable, `message` is for people. */
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
