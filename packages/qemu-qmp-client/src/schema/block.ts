/** Block layer commands. Source: QEMU qapi/{block,block-core,block-export,job}.json. */
import type { BlockdevOptions } from './blockdev.js';
import type { Empty } from './machine.js';
import type { CommonCommands } from './releases.js';

type Common = CommonCommands<
  | 'block-dirty-bitmap-add'
  | 'block-dirty-bitmap-merge'
  | 'block-dirty-bitmap-remove'
  | 'block-export-add'
  | 'block-export-del'
  | 'block-job-cancel'
  | 'block-job-complete'
  | 'block-job-dismiss'
  | 'block-job-resume'
  | 'block-job-set-speed'
  | 'blockdev-create'
  | 'blockdev-del'
  | 'blockdev-mirror'
  | 'job-cancel'
  | 'job-complete'
  | 'job-dismiss'
  | 'job-resume'
  | 'nbd-server-add'
  | 'nbd-server-start'
  | 'nbd-server-stop'
  | 'query-block'
  | 'query-block-exports'
  | 'query-block-jobs'
  | 'query-blockstats'
  | 'query-jobs'
  | 'query-named-block-nodes'
  | 'snapshot-load'
  | 'snapshot-save'
  | 'x-blockdev-change'
  | 'x-debug-query-block-graph'
>;

/** Commands about disks, their graph and their jobs. */
export interface BlockCommands extends Common {
  'blockdev-add': { arguments: BlockdevOptions; return: Empty };
  /** All options of each node have to be given; a child by its name. */
  'blockdev-reopen': { arguments: { options: readonly BlockdevOptions[] }; return: Empty };
}

/** A node of the block graph; sizes in bytes. */
export type BlockDeviceInfo = Common['query-named-block-nodes']['return'][number];

/** Sizes in bytes. `backing-image` is absent with `flat: true`. */
export type ImageInfo = BlockDeviceInfo['image'];

/** A front end; `inserted` is the node on top of it. */
export type BlockInfo = Common['query-block']['return'][number];

/** The graph as it is: `edges` go from parent to child by the ids of `nodes`. */
export type BlockGraph = Common['x-debug-query-block-graph']['return'];

export type BlockPermission = BlockGraph['edges'][number]['perm'][number];

/** Bytes, counts and nanoseconds since the device was opened. */
export type BlockStats = Common['query-blockstats']['return'][number];

/**
 * `len` and `offset` in bytes (of work, not of the disk), `speed` in bytes per second. `device` is
 * the job's id.
 */
export type BlockJobInfo = Common['query-block-jobs']['return'][number];

export type JobInfo = Common['query-jobs']['return'][number];

export type JobStatus = JobInfo['status'];

export type JobType = JobInfo['type'];

/** `speed` in bytes per second, `granularity` and `buf-size` in bytes. */
export type BlockdevMirror = Common['blockdev-mirror']['arguments'];

export type OnError = NonNullable<BlockdevMirror['on-target-error']>;

export type BlockExportOptions = Common['block-export-add']['arguments'];
