/** Events. Source: the EVENTs of QEMU's qapi/*.json. */
import type { CommonEvents } from './releases.js';

/** Host time of the event since the Unix epoch; both -1 where QEMU could not tell. */
export interface EventTimestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

type Common = CommonEvents<
  | 'STOP'
  | 'RESUME'
  | 'POWERDOWN'
  | 'SHUTDOWN'
  | 'RESET'
  | 'GUEST_PANICKED'
  | 'WATCHDOG'
  | 'SUSPEND'
  | 'WAKEUP'
  | 'COLO_EXIT'
  | 'MIGRATION'
  | 'MIGRATION_PASS'
  | 'JOB_STATUS_CHANGE'
  | 'BLOCK_JOB_READY'
  | 'BLOCK_JOB_COMPLETED'
  | 'BLOCK_JOB_CANCELLED'
  | 'BLOCK_JOB_ERROR'
  | 'BLOCK_IO_ERROR'
  | 'QUORUM_REPORT_BAD'
  | 'QUORUM_FAILURE'
  | 'BLOCK_EXPORT_DELETED'
  | 'DEVICE_DELETED'
>;

/**
 * Data of each known event; undefined where it has none. Of a block job, `device` is its id, `len`
 * and `offset` are bytes of work. Extend it by declaration merging.
 */
export interface Events extends Common {
  /**
   * `device` is empty for a node without a front end of the old kind; see `qom-path`, `node-name`.
   */
  BLOCK_IO_ERROR: Common['BLOCK_IO_ERROR'];
  /** Sectors of 512 bytes. */
  QUORUM_REPORT_BAD: Common['QUORUM_REPORT_BAD'];
  /** Sectors of 512 bytes. */
  QUORUM_FAILURE: Common['QUORUM_FAILURE'];
}

export type BlockJobProgress = Events['BLOCK_JOB_READY'];

export type ShutdownData = Events['SHUTDOWN'];

/** The event of that name. */
export type EventOf<E extends keyof Table, Table extends object = Events> = {
  [Name in E]: Table[Name] extends undefined
    ? { readonly event: Name; readonly timestamp: EventTimestamp }
    : { readonly event: Name; readonly timestamp: EventTimestamp; readonly data: Table[Name] };
}[E];

/**
 * The name of an event that this package has no type for: any string that `Events` does not list.
 * The NUL is a mark in the type alone, never in a value; it makes comparing `event` with a known
 * name rule unknown events out. To look for an unknown one, assign `event` to a string and compare
 * that.
 */
export type UnknownEventName = `${string}\u0000`;

/** An event that this package has no type for. */
export interface UnknownEvent {
  readonly event: UnknownEventName;
  readonly timestamp: EventTimestamp;
  readonly data?: unknown;
}

/** Any event: told apart by `event`. */
export type QmpEvent<Table extends object = Events> =
  EventOf<keyof Table & string, Table> | UnknownEvent;
