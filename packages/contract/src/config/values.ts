/** Values that several sections of a configuration have. */
import { z } from 'zod';
import { parseBytes } from './bytes.js';
import { looks } from './key-metadata.js';

/** A size: bytes, or a number with a unit. */
export const bytes = z
  .unknown()
  .transform((value, context) => {
    const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
    const size = parseBytes(text);
    if (size !== undefined) return size;
    context.addIssue('write bytes, or a whole number above 0 with KiB, MiB, GiB or TiB');
    return z.NEVER;
  })
  .meta(looks('size'));

export const absolutePath = z
  .string()
  .startsWith('/', 'write an absolute path')
  .meta(looks('absolute path'));

/** Names of VMs; they become parts of file names. */
export const vmName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-" only')
  .meta(looks('1 to 64 letters, digits, `_`, `.`, `-`'));

/** Names of disks; they become parts of file names, and of QEMU's node names, which are short. */
export const diskName = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9._-]{0,23}$/,
    'a letter, then up to 23 letters, digits, "_", "." or "-"',
  )
  .meta(looks('a letter, then up to 23 letters, digits, `_`, `.`, `-`'));
