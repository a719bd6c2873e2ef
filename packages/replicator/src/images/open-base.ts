import { access, open } from 'node:fs/promises';
import { notUsable, type OpenBase, RawBase } from './base-image.js';
import type { BaseImageError } from '../errors.js';
import { createImage, type ImageFormat } from './image-file.js';
import { ImageLock } from './image-lock.js';
import { NbdBase } from './nbd-base.js';

export interface BaseOptions {
  /** Path of an image or block device. */
  readonly base: string;
  /** Of the image; raw by default. Any other is read and written through a qemu-storage-daemon. */
  readonly format?: ImageFormat | undefined;
  /** Creates the base, sparse, when it is not there; otherwise it must have this size. */
  readonly sizeBytes?: number | undefined;
  /** Beside the base by default, which will not do for a block device: /dev is in memory. */
  readonly stateFile?: string | undefined;
}

/** Where the state file of a base is, unless another place is named: beside it. */
export function stateFileOf(basePath: string): string {
  return `${basePath}.gannet`;
}

export interface OpenOptions {
  /**
   * Take QEMU's locks on raw images too, which takes a qemu-storage-daemon for each; images of other formats are locked
   * in any case.
   */
  readonly lock?: boolean | undefined;
  readonly onTrouble?: ((error: BaseImageError) => void) | undefined;
}

/** @throws BaseImageError: what is in the way, and what to do */
export async function openBase(
  { base, format = 'raw', sizeBytes }: BaseOptions,
  { lock = false, onTrouble }: OpenOptions = {},
): Promise<OpenBase> {
  if (format !== 'raw') {
    const isFresh = sizeBytes !== undefined && (await createImage(base, format, sizeBytes));
    await expectThere(base);
    return NbdBase.open(base, { format, isFresh, onTrouble });
  }
  if (!lock) return RawBase.open(base, { createBytes: sizeBytes });
  // Locked before it is looked into: nobody may write to it in between.
  if (sizeBytes !== undefined) await createRaw(base);
  await expectThere(base);
  const held = await ImageLock.take(base, onTrouble);
  try {
    return await RawBase.open(base, { createBytes: sizeBytes, lock: held });
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** An empty file, which is given its size when it is locked. */
async function createRaw(base: string): Promise<void> {
  const file = await open(base, 'a', 0o600).catch((error: unknown) => {
    throw notUsable(base, error);
  });
  await file.close();
}

async function expectThere(base: string): Promise<void> {
  await access(base).catch((error: unknown) => {
    throw notUsable(base, error);
  });
}
