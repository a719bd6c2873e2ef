import { open } from 'node:fs/promises';

/** The part of node:fs' FileHandle that reads. */
export interface Readable {
  read(
    target: Uint8Array,
    at: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

/** The part of node:fs' FileHandle that writes. */
export interface Writable {
  write(
    source: Uint8Array,
    at: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
}

/**
 * Fills `target` from `position` on, however often the file returns less than was asked for
 * (read(2)).
 *
 * @returns bytes read: fewer than `target` holds only if the file ends before
 */
export async function readWhole(
  file: Readable,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/**
 * Writes all of `source` at `position`: a single write may do less than it was asked to (write(2)).
 */
export async function writeWhole(
  file: Writable,
  source: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < source.length;) {
    done += (await file.write(source, done, source.length - done, position + done)).bytesWritten;
  }
}

/** Puts names that were created, renamed or removed in a folder on stable storage. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
