/**
 * What can go wrong in a replicator.
 *
 *     ReplicatorError            code, cause, remedy
 *       ├ BaseImageError         the base can't be used: foreign, half-seeded, in the way, in use, wrong size or format, I/O error
 *       ├ JournalError           the failover journal can't be written or read
 *       ├ ReplicaStateError      asked for a step that the replica's state does not allow
 *       └ ConfigurationError     options that contradict each other
 */
export class ReplicatorError extends Error {
  override readonly name: string = 'ReplicatorError';
  constructor(
    readonly code: ReplicatorErrorCode,
    message: string,
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export type ReplicatorErrorCode =
  | 'BASE_FOREIGN'
  | 'BASE_FORMAT'
  | 'BASE_HOLDS_DATA'
  | 'BASE_IN_USE'
  | 'BASE_NEEDS_RECOVERY'
  | 'BASE_NOT_USABLE'
  | 'BASE_SIZE'
  | 'BASE_IO'
  | 'JOURNAL_FOREIGN'
  | 'JOURNAL_IO'
  | 'ILLEGAL_STATE'
  | 'CONFIGURATION';

/** The base image can't be used as it is. */
export class BaseImageError extends ReplicatorError {
  override readonly name = 'BaseImageError';
}

/** The failover journal can't be written, read or trusted. */
export class JournalError extends ReplicatorError {
  override readonly name = 'JournalError';
}

/** A step that the replica's present state does not allow. */
export class ReplicaStateError extends ReplicatorError {
  override readonly name = 'ReplicaStateError';
}

/** Options that contradict each other or make no sense. */
export class ConfigurationError extends ReplicatorError {
  override readonly name = 'ConfigurationError';
}
