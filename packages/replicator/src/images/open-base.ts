import { access, open } from 'node:fs/promises';
import { notUsable, type OpenBase, RawBase } from './base-image.js';
import { type BaseImageError, ConfigurationError } from '../errors.js';
import { createImage, type ImageFormat } from './image-file.js';
import { ImageLock } from './image-lock.js';
import { NbdBase } from './nbd-base.js';

/** A base image, and how it is made if it is missing. */
export interface BaseOptions {
  /** Path of an image or block device. */
  readonly base: string;
  /** Raw by default. Images of other formats are accessed through a qemu-storage-daemon. */
  readonly format?: ImageFormat | undefined;
  /** Creates the base, sparse, if it is missing; otherwise it must have this size. */
  readonly sizeBytes?: number | undefined;
  /** Beside the base by default. Not enough for a block device: /dev does not survive a reboot. */
  readonly stateFile?: string | undefined;
}

/** The default path of a base's state file: beside it. */
export function stateFileOf(basePath: string): string {
  return `${basePath}.gannet`;
}

/** How a base is opened. */
export interface OpenOptions {
  /**
   * Take QEMU's locks on raw images too; that needs a qemu-storage-daemon for each. Images of other
   * formats are always locked.
   */
  readonly lock?: boolean | undefined;
  /** Told what goes wrong with the base later. */
  readonly onTrouble?: ((error: BaseImageError) => void) | undefined;
}

/**
 * Opens a base image of any format.
 *
 * @throws BaseImageError REPLICA_BASE_NOT_USABLE, REPLICA_BASE_IN_USE, REPLICA_BASE_FORMAT or
 *   REPLICA_BASE_SIZE
 * @throws MissingProgramError REPLICA_PROGRAM_MISSING
 * @throws ConfigurationError REPLICA_OPTIONS if no base is named
 */
export async function openBase(
  options: BaseOptions,
  { lock = false, onTrouble }: OpenOptions = {},
): Promise<OpenBase> {
  expectPath(options);
  const { base, format = 'raw', sizeBytes } = options;
  if (format !== 'raw') {
    const isFresh = sizeBytes !== undefined && (await createImage(base, format, sizeBytes));
    await expectThere(base);
    return NbdBase.open(base, { format, isFresh, onTrouble });
  }
  if (!lock) return RawBase.open(base, { createBytes: sizeBytes });
  // Locked before it is read: nobody may write to it in between.
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

/** Creates an empty file; it is given its size once it is locked. */
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

/**
 * For callers without types, who may have misspelt it.
 *
 * @throws ConfigurationError REPLICA_OPTIONS
 */
export function expectPath(options: BaseOptions): void {
  const { base } = Object(options) as Partial<BaseOptions>;
  if (typeof base === 'string' && base !== '') return;
  const remedy = 'Name an image file or a block device as `base`.';
  throw new ConfigurationError('REPLICA_OPTIONS', 'a disk has no `base`', remedy);
}
