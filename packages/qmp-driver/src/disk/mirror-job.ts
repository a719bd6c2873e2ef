/** A mirror as QEMU's commands and answers have it (QEMU qapi/block-core.json). */
import {
  type BlockDeviceInfo,
  type BlockdevMirror,
  type QmpClient,
  QmpCommandError,
} from 'qemu-qmp-client';
import type { Bounds } from '../deadline.js';

/** What is copied, where to, and the name of the job. */
export interface MirrorSource {
  /** Names the disk in messages. */
  readonly device: string;
  /** The job's id in QEMU. */
  readonly job: string;
  /** The node that is copied. */
  readonly node: string;
  /** The node that it is copied to. */
  readonly target: string;
  /** Whether the job can be resumed after an error of its target, until it is sealed. */
  readonly isResumable: boolean;
  /** Whether the disk is served in an I/O thread. */
  readonly isThreaded: boolean;
  /** Whether only what is written from now on is copied. */
  readonly isUpdate: boolean;
}

/** @param speedBytesPerSec the limit; undefined or 0 for none */
export function mirrorArguments(
  { job, node, target, isUpdate }: MirrorSource,
  speedBytesPerSec: number | undefined,
): BlockdevMirror {
  return {
    'job-id': job,
    device: node,
    target,
    sync: isUpdate ? 'none' : 'full',
    'copy-mode': 'write-blocking',
    'on-target-error': 'stop',
    ...(speedBytesPerSec !== undefined && { speed: speedBytesPerSec }),
  };
}

/**
 * Cancels the job, if it is still there. Without `force` a READY one completes, with equal disks.
 * @throws QmpError
 */
export async function cancelJob(
  qmp: QmpClient,
  job: string,
  force: boolean,
  bounds: Bounds,
): Promise<void> {
  try {
    await qmp.execute('block-job-cancel', { device: job, force }, bounds);
  } catch (error) {
    if (!isNoSuchJob(error)) throw error;
  }
}

/** The job ended before our command arrived. */
function isNoSuchJob(error: unknown): boolean {
  return error instanceof QmpCommandError && error.errorClass === 'DeviceNotActive';
}

/**
 * What the mirror still has to copy. Its bitmap is the one without a name.
 * @returns undefined where QEMU shows no bitmap
 */
export function dirtyBytesOf(node: BlockDeviceInfo | undefined): number | undefined {
  const bitmaps = node?.['dirty-bitmaps'] ?? [];
  const own = bitmaps.filter(({ name }) => name === undefined);
  return own.length === 0 ? undefined : own.reduce((sum, { count }) => sum + count, 0);
}
