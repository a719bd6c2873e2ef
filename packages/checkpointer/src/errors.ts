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

const ADVICE: Readonly<Record<CheckpointerErrorCode, string>> = {
  CHECKPOINT_NOT_SEALED: 'Call seal() first.',
  CHECKPOINT_ALREADY_SEALED: 'Call commit() or abort() for the sealed epoch first.',
  CHECKPOINT_ENDED: 'Make a new source: there are no checkpoints after a failover.',
  CHECKPOINT_WRITE_BACK_STOPPED: 'Start another WriteBack: what was not written is in memory.',
};

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

  /** What to do about it, for people. */
  get remedy(): string {
    return ADVICE[this.code];
  }
}
