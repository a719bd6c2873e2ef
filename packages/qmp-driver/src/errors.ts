/**
 * Everything that this package throws or rejects with.
 *
 *   DriverError          base: literal `code`, `cause` kept, `remedy` says what to do
 *   ├── GraphError       a disk, a node or a child is missing, or not as expected
 *   ├── SeedError        the copy of a disk failed, or was lost afterwards
 *   ├── LinkError        a node could not be added to or taken from the block graph
 *   ├── ColoError        COLO was not entered, or is not running
 *   ├── FailoverError    the secondary cannot take over
 *   ├── MoveError        the disks could not be moved to their local files
 *   ├── NetworkError     the filters of a network card could not be added or removed
 *   ├── SnapshotError    the VM's device state cannot be saved, loaded, or kept apart from its RAM
 *   └── WaitError        a deadline passed, or the caller's AbortSignal fired
 *
 * What the QMP client throws (connection lost, a command refused) is the `cause` of one of these.
 */
import { QmpAbortError, QmpCommandError, QmpError, QmpTimeoutError } from 'qemu-qmp-client';

export type GraphErrorCode =
  /** QEMU has no such disk, or it is not where it has to be. */
  | 'DRIVER_DISK_NOT_FOUND'
  /** The disk has no quorum, and the requested link needs one. */
  | 'DRIVER_NO_QUORUM'
  /** A disk and its replica differ in size. */
  | 'DRIVER_SIZE_MISMATCH'
  /** Somebody else changed the block graph while it was read. */
  | 'DRIVER_GRAPH_UNSTABLE';
export type SeedErrorCode =
  /** The copy of a disk failed. */
  | 'DRIVER_SEED_FAILED'
  /** The copy of a disk was lost after it had been complete. */
  | 'DRIVER_SEED_LOST';
export type LinkErrorCode =
  /** The id of a link is not valid, or is used twice. */
  | 'DRIVER_BAD_LINK'
  /** A link was asked for before the copy was complete. */
  | 'DRIVER_NOT_SEEDED'
  /** The replicator does not answer on its socket. */
  | 'DRIVER_PEER_SILENT'
  /** QEMU did not add the replica's node to the graph. */
  | 'DRIVER_ADD_FAILED'
  /** QEMU did not take the replica's node from the graph. */
  | 'DRIVER_REMOVE_FAILED'
  /** QEMU did not offer the VM's own disks for reading, or did not end that. */
  | 'DRIVER_EXPORT_FAILED'
  /** QEMU did not keep a bitmap of what the guest writes. */
  | 'DRIVER_BITMAP_FAILED';
export type ColoErrorCode =
  /** This QEMU has no COLO. */
  | 'DRIVER_COLO_UNSUPPORTED'
  /** QEMU refused to start COLO. */
  | 'DRIVER_COLO_REFUSED'
  /** The migration ended without entering COLO. */
  | 'DRIVER_COLO_NOT_ENTERED'
  /** The VM must be in COLO, and is not. */
  | 'DRIVER_NOT_IN_COLO'
  /** The guest must be running, and is stopped. */
  | 'DRIVER_GUEST_STOPPED'
  /** QEMU refused a command. */
  | 'DRIVER_COMMAND_FAILED';
export type FailoverErrorCode =
  /** This QEMU does not wait for a primary. */
  | 'DRIVER_NOT_INCOMING'
  /** This QEMU is not a secondary in COLO. */
  | 'DRIVER_NOT_SECONDARY'
  /** QEMU did not take over. */
  | 'DRIVER_FAILOVER_FAILED';
export type MoveErrorCode =
  /** The move to the local files failed, and everything is as it was. */
  | 'DRIVER_MOVE_UNDONE'
  /** The move to the local files failed, and so did its rollback. */
  | 'DRIVER_MOVE_STUCK'
  /** The guest uses its local files, but an old node could not be removed. */
  | 'DRIVER_MOVE_UNTIDY';
export type NetworkErrorCode =
  /** QEMU refused a filter that redirects the packets of a network card. */
  | 'DRIVER_NETWORK_REFUSED'
  /** The filters of a network card could not be removed. */
  | 'DRIVER_NETWORK_STUCK';
export type SnapshotErrorCode =
  /** The VM's RAM is not in one file that it shares. */
  | 'DRIVER_RAM_NOT_SHARED'
  /** QEMU did not save or load the state of its devices. */
  | 'DRIVER_SNAPSHOT_FAILED';
export type WaitErrorCode =
  /** QEMU did not answer, or get there, in time. */
  | 'DRIVER_DEADLINE'
  /** The caller's AbortSignal fired, or the work was undone before it was finished. */
  | 'DRIVER_ABORTED';

export type DriverErrorCode =
  | GraphErrorCode
  | SeedErrorCode
  | LinkErrorCode
  | ColoErrorCode
  | FailoverErrorCode
  | MoveErrorCode
  | NetworkErrorCode
  | SnapshotErrorCode
  | WaitErrorCode;

/** Base of all errors here. Compare `code`; messages are for people and may change. */
export abstract class DriverError extends Error {
  abstract readonly code: DriverErrorCode;

  constructor(
    message: string,
    /** One sentence: what the person who reads this can do. */
    readonly remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A disk, a node or a child is missing, or not as expected. */
export class GraphError extends DriverError {
  constructor(
    readonly code: GraphErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** A seed's mirror did not get through, or was lost afterwards: the replica misses writes. */
export class SeedError extends DriverError {
  constructor(
    readonly code: SeedErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** A node could not be added to or taken from the block graph. */
export class LinkError extends DriverError {
  constructor(
    readonly code: LinkErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** COLO was not entered, or is not running. */
export class ColoError extends DriverError {
  constructor(
    readonly code: ColoErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** The secondary cannot take over. */
export class FailoverError extends DriverError {
  constructor(
    readonly code: FailoverErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/**
 * The disks could not be moved to their local files. `DRIVER_MOVE_UNDONE`: the graph is the old
 * one. `DRIVER_MOVE_STUCK`: undoing failed too; see `cause`. `DRIVER_MOVE_UNTIDY`: the guest uses
 * its local files, but a node of the old graph is left.
 */
export class MoveError extends DriverError {
  constructor(
    readonly code: MoveErrorCode,
    message: string,
    remedy: string,
    /** Whether an attempt at the move has stopped the guest, and it is still stopped. */
    readonly guestStopped: boolean,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** A network card's packets could not be led to the peer, or back. */
export class NetworkError extends DriverError {
  constructor(
    readonly code: NetworkErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** The state of the devices cannot be saved or loaded, or not without the RAM. */
export class SnapshotError extends DriverError {
  constructor(
    readonly code: SnapshotErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** A deadline passed, or the caller's AbortSignal fired (its reason is the `cause`). */
export class WaitError extends DriverError {
  constructor(
    readonly code: WaitErrorCode,
    message: string,
    remedy: string,
    options?: { cause?: unknown },
  ) {
    super(message, remedy, options);
  }
}

/** Why QEMU refused a command, in its own words; of other errors the message. */
export function qemuReason(error: unknown): string {
  if (error instanceof QmpCommandError) return error.desc;
  return error instanceof Error ? error.message : String(error);
}

/**
 * Runs one step. What the QMP client throws becomes what `wrap` makes of it (QEMU's words, the
 * error); an abort and an answer that does not come become a WaitError. Errors of this package, and
 * our own bugs, pass unchanged.
 */
export async function step<T>(
  run: () => Promise<T>,
  wrap: (words: string, cause: QmpError) => DriverError,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    if (error instanceof QmpAbortError) throw abortedBy(error.message, error.cause);
    const wrapped = wrap(qemuReason(error), error);
    if (!(error instanceof QmpTimeoutError)) throw wrapped;
    throw new WaitError('DRIVER_DEADLINE', wrapped.message, wrapped.remedy, { cause: error });
  }
}

/** @param cause the reason of the caller's AbortSignal */
export function abortedBy(message: string, cause: unknown): WaitError {
  const remedy = 'Undo what was begun with rollback(), or start again.';
  return new WaitError('DRIVER_ABORTED', message, remedy, { cause });
}
