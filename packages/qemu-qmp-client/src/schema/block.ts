/** Block layer commands. Source: QEMU qapi/{block,block-core,block-export,job}.json. */
import type { BlockdevOptions } from './blockdev.js';
import type { Empty, SocketAddressLegacy } from './machine.js';

/** A node of the block graph; sizes in bytes. */
export interface BlockDeviceInfo {
  readonly file: string;
  readonly 'node-name'?: string;
  readonly ro: boolean;
  readonly drv: string;
  readonly backing_file?: string;
  readonly backing_file_depth: number;
  readonly encrypted: boolean;
  readonly detect_zeroes: 'off' | 'on' | 'unmap';
  readonly image: ImageInfo;
  readonly cache: {
    readonly writeback: boolean;
    readonly direct: boolean;
    readonly 'no-flush': boolean;
  };
  readonly [member: string]: unknown;
}

/** Sizes in bytes. */
export interface ImageInfo {
  readonly filename: string;
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'actual-size'?: number;
  readonly 'cluster-size'?: number;
  readonly 'backing-filename'?: string;
  /** Absent with `flat: true`. */
  readonly 'backing-image'?: ImageInfo;
  readonly [member: string]: unknown;
}

/** A front end; `inserted` is the node on top of it. */
export interface BlockInfo {
  readonly device: string;
  readonly qdev?: string;
  readonly type: string;
  readonly removable: boolean;
  readonly locked: boolean;
  readonly inserted?: BlockDeviceInfo;
  readonly tray_open?: boolean;
  readonly 'io-status'?: 'ok' | 'failed' | 'nospace';
}

export type BlockPermission = 'consistent-read' | 'write' | 'write-unchanged' | 'resize';

/** The graph as it is: `edges` go from parent to child by the ids of `nodes`. */
export interface BlockGraph {
  readonly nodes: readonly {
    readonly id: number;
    readonly type: 'block-backend' | 'block-job' | 'block-driver';
    readonly name: string;
  }[];
  readonly edges: readonly {
    readonly parent: number;
    readonly child: number;
    readonly name: string;
    readonly perm: readonly BlockPermission[];
    readonly 'shared-perm': readonly BlockPermission[];
  }[];
}

/** Bytes, counts and nanoseconds since the device was opened. */
export interface BlockStats {
  readonly device?: string;
  readonly qdev?: string;
  readonly 'node-name'?: string;
  readonly stats: {
    readonly rd_bytes: number;
    readonly wr_bytes: number;
    readonly rd_operations: number;
    readonly wr_operations: number;
    readonly flush_operations: number;
    readonly rd_total_time_ns: number;
    readonly wr_total_time_ns: number;
    readonly flush_total_time_ns: number;
    readonly wr_highest_offset: number;
    readonly [member: string]: unknown;
  };
  readonly parent?: BlockStats;
  readonly backing?: BlockStats;
  readonly [member: string]: unknown;
}

export type JobStatus =
  | 'undefined'
  | 'created'
  | 'running'
  | 'paused'
  | 'ready'
  | 'standby'
  | 'waiting'
  | 'pending'
  | 'aborting'
  | 'concluded'
  | 'null';

export type JobType =
  | 'commit'
  | 'stream'
  | 'mirror'
  | 'backup'
  | 'create'
  | 'amend'
  | 'snapshot-load'
  | 'snapshot-save'
  | 'snapshot-delete';

/** `len` and `offset` in bytes (of work, not of the disk), `speed` in bytes per second. */
export interface BlockJobInfo {
  readonly type: JobType;
  /** The job's id: the device's name only where no job-id was given. */
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly busy: boolean;
  readonly paused: boolean;
  readonly speed: number;
  readonly 'io-status': 'ok' | 'failed' | 'nospace';
  readonly ready: boolean;
  readonly status: JobStatus;
  readonly 'auto-finalize': boolean;
  readonly 'auto-dismiss': boolean;
  readonly error?: string;
  readonly [member: string]: unknown;
}

export interface JobInfo {
  readonly id: string;
  readonly type: JobType;
  readonly status: JobStatus;
  readonly 'current-progress': number;
  readonly 'total-progress': number;
  readonly error?: string;
}

export type OnError = 'report' | 'ignore' | 'enospc' | 'stop' | 'auto';

/** `speed` in bytes per second, `granularity` and `buf-size` in bytes. */
export interface BlockdevMirror {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly target: string;
  readonly replaces?: string;
  readonly sync: 'top' | 'full' | 'none' | 'incremental' | 'bitmap';
  readonly speed?: number;
  readonly granularity?: number;
  readonly 'buf-size'?: number;
  readonly 'on-source-error'?: OnError;
  readonly 'on-target-error'?: OnError;
  readonly 'filter-node-name'?: string;
  readonly 'copy-mode'?: 'background' | 'write-blocking';
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
}

interface BlockExportCommon {
  readonly id: string;
  readonly 'node-name': string;
  readonly writable?: boolean;
  readonly writethrough?: boolean;
  readonly iothread?: string;
  readonly 'fixed-iothread'?: boolean;
}

export type BlockExportOptions = BlockExportCommon &
  (
    | {
        readonly type: 'nbd';
        readonly name?: string;
        readonly description?: string;
        readonly 'allocation-depth'?: boolean;
      }
    | {
        readonly type: 'vhost-user-blk' | 'fuse' | 'vduse-blk';
        readonly [option: string]: unknown;
      }
  );

/** Commands about disks, their graph and their jobs. */
export interface BlockCommands {
  'query-block': { arguments: Empty; return: readonly BlockInfo[] };
  'query-named-block-nodes': {
    arguments: { flat?: boolean };
    return: readonly BlockDeviceInfo[];
  };
  'x-debug-query-block-graph': { arguments: Empty; return: BlockGraph };
  'query-blockstats': { arguments: { 'query-nodes'?: boolean }; return: readonly BlockStats[] };
  'query-block-jobs': { arguments: Empty; return: readonly BlockJobInfo[] };
  'query-jobs': { arguments: Empty; return: readonly JobInfo[] };
  'blockdev-add': { arguments: BlockdevOptions; return: Empty };
  /** Every option of each node is given anew; a child by its name. */
  'blockdev-reopen': { arguments: { options: readonly BlockdevOptions[] }; return: Empty };
  'blockdev-del': { arguments: { 'node-name': string }; return: Empty };
  /** `child` removes that edge of `parent`, `node` adds one. */
  'x-blockdev-change': {
    arguments: { parent: string; child?: string; node?: string };
    return: Empty;
  };
  'blockdev-mirror': { arguments: BlockdevMirror; return: Empty };
  /** `device` is the job's id in these five. */
  'block-job-cancel': { arguments: { device: string; force?: boolean }; return: Empty };
  'block-job-set-speed': { arguments: { device: string; speed: number }; return: Empty };
  'block-job-resume': { arguments: { device: string }; return: Empty };
  'block-job-complete': { arguments: { device: string }; return: Empty };
  'block-job-dismiss': { arguments: { id: string }; return: Empty };
  'job-cancel': { arguments: { id: string }; return: Empty };
  'job-dismiss': { arguments: { id: string }; return: Empty };
  'nbd-server-start': {
    arguments: {
      addr: SocketAddressLegacy;
      'tls-creds'?: string;
      'tls-authz'?: string;
      'max-connections'?: number;
    };
    return: Empty;
  };
  'nbd-server-stop': { arguments: Empty; return: Empty };
  'nbd-server-add': {
    arguments: {
      device: string;
      name?: string;
      description?: string;
      writable?: boolean;
      bitmap?: string;
    };
    return: Empty;
  };
  'block-export-add': { arguments: BlockExportOptions; return: Empty };
  'block-export-del': { arguments: { id: string; mode?: 'safe' | 'hard' }; return: Empty };
}
