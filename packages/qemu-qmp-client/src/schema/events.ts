/** Events. Source: the EVENTs of QEMU's qapi/*.json. */
import type { JobStatus, JobType } from './block.js';
import type { ColoExitReason, ColoMode, MigrationStatus } from './migration.js';

/** Host time of the event since the Unix epoch; both -1 where QEMU could not tell. */
export interface EventTimestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

/** `len` and `offset` in bytes of work, `speed` in bytes per second; `device` is the job's id. */
export interface BlockJobProgress {
  readonly type: JobType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
}

type ErrorAction = 'ignore' | 'report' | 'stop';

/** `reason` is a ShutdownCause, such as `host-qmp-quit` or `guest-reset`. */
export interface ShutdownData {
  readonly guest: boolean;
  readonly reason: string;
}

/** Data of each known event; undefined where it has none. */
export interface Events {
  STOP: undefined;
  RESUME: undefined;
  POWERDOWN: undefined;
  SHUTDOWN: ShutdownData;
  RESET: ShutdownData;
  GUEST_PANICKED: { readonly action: 'pause' | 'poweroff' | 'run'; readonly info?: unknown };
  COLO_EXIT: { readonly mode: ColoMode; readonly reason: ColoExitReason };
  MIGRATION: { readonly status: MigrationStatus };
  MIGRATION_PASS: { readonly pass: number };
  JOB_STATUS_CHANGE: { readonly id: string; readonly status: JobStatus };
  BLOCK_JOB_READY: BlockJobProgress;
  BLOCK_JOB_COMPLETED: BlockJobProgress & { readonly error?: string };
  BLOCK_JOB_CANCELLED: BlockJobProgress;
  BLOCK_JOB_ERROR: {
    readonly device: string;
    readonly operation: 'read' | 'write';
    readonly action: ErrorAction;
  };
  /** `device` is empty for a node without a front end of the old kind; see `qom-path` or `node-name`. */
  BLOCK_IO_ERROR: {
    readonly device: string;
    readonly 'node-name'?: string;
    readonly 'qom-path'?: string;
    readonly operation: 'read' | 'write';
    readonly action: ErrorAction;
    readonly nospace?: boolean;
    readonly reason: string;
  };
  /** Sectors of 512 bytes. */
  QUORUM_REPORT_BAD: {
    readonly type: 'read' | 'write' | 'flush';
    readonly error?: string;
    readonly 'node-name': string;
    readonly 'sector-num': number;
    readonly 'sectors-count': number;
  };
  /** Sectors of 512 bytes. */
  QUORUM_FAILURE: {
    readonly reference: string;
    readonly 'sector-num': number;
    readonly 'sectors-count': number;
  };
  BLOCK_EXPORT_DELETED: { readonly id: string };
  DEVICE_DELETED: { readonly device?: string; readonly path: string };
}

/** The event of that name. */
export type EventOf<E extends keyof Table, Table extends object = Events> = {
  [Name in E]: Table[Name] extends undefined
    ? { readonly event: Name; readonly timestamp: EventTimestamp }
    : { readonly event: Name; readonly timestamp: EventTimestamp; readonly data: Table[Name] };
}[E];

/**
 * The name of an event that this package has no type for: any string that `Events` does not list. The
 * NUL is a mark in the type alone, never in a value; it makes comparing `event` with a known name rule
 * unknown events out. To look for an unknown one, assign `event` to a string and compare that.
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
