/**
 * What can go wrong in a replicator.
 *
 *     ReplicatorError            code, cause, remedy
 *       ├ BaseImageError         a base can't be used: foreign, half seeded, holding data, in use,
 *       │                        of another size or format, or an I/O error
 *       ├ MissingProgramError    a program that works on images is not installed
 *       ├ JournalError           the failover journal can't be written or read
 *       ├ SpillError             the spill file can't be written (nothing is lost), has no room, or
 *       │                        can't be read back
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

/** Every code that an error of this package may carry. */
export type ReplicatorErrorCode =
  /** A base or its state file belongs to something else, is missing, or can't be understood. */
  | 'REPLICA_BASE_FOREIGN'
  /** An image is of another format than the configuration says. */
  | 'REPLICA_BASE_FORMAT'
  /** A base may hold the only copy of a disk, so it is not overwritten. */
  | 'REPLICA_BASE_HOLDS_DATA'
  /** Another process has the base open; two writers would destroy it. */
  | 'REPLICA_BASE_IN_USE'
  /** A base holds the last commit of a VM whose primary was lost: it may be the only copy. */
  | 'REPLICA_BASE_LAST_COMMIT'
  /** A base and its journal together hold the disk of a VM that had failed over. */
  | 'REPLICA_BASE_NEEDS_RECOVERY'
  /** A base can't be opened, or holds no consistent disk. */
  | 'REPLICA_BASE_NOT_USABLE'
  /** A base has another size than its disk. */
  | 'REPLICA_BASE_SIZE'
  /** A base or its state file can't be read or written. */
  | 'REPLICA_BASE_IO'
  /** A program that works on images is not installed on this host. */
  | 'REPLICA_PROGRAM_MISSING'
  /** A journal does not belong to these bases. */
  | 'REPLICA_JOURNAL_FOREIGN'
  /** Another process writes a journal at that path, or will. */
  | 'REPLICA_JOURNAL_IN_USE'
  /** The failover journal can't be written or read. */
  | 'REPLICA_JOURNAL_IO'
  /** The spill file can't be made or written; its pages stay in memory. */
  | 'REPLICA_SPILL_IO'
  /** The spill file has reached its limit. */
  | 'REPLICA_SPILL_FULL'
  /** What was spilled can't be read back. */
  | 'REPLICA_SPILL_LOST'
  /** A step that the state of the replica does not allow. */
  | 'REPLICA_STATE'
  /** Options of a replica that contradict each other. */
  | 'REPLICA_OPTIONS';

/** The base image can't be used as it is. */
export class BaseImageError extends ReplicatorError {
  override readonly name = 'BaseImageError';
}

/** A program that works on images is not installed on this host. */
export class MissingProgramError extends ReplicatorError {
  override readonly name = 'MissingProgramError';
}

/** The failover journal can't be written, read or trusted. */
export class JournalError extends ReplicatorError {
  override readonly name = 'JournalError';
}

/** The spill file can't be written, has no room, or can't be read back. */
export class SpillError extends ReplicatorError {
  override readonly name = 'SpillError';
}

/** A step that the replica's present state does not allow. */
export class ReplicaStateError extends ReplicatorError {
  override readonly name = 'ReplicaStateError';
}

/** Options that contradict each other or make no sense. */
export class ConfigurationError extends ReplicatorError {
  override readonly name = 'ConfigurationError';
}
