import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';

/** flock(1) ends with this code when another process holds the lock. */
const CONFLICT = 1;

/**
 * Takes an exclusive lock, flock(2), on an open file or folder. The kernel releases it when the
 * handle is closed or this process ends, however it ends.
 *
 * Node.js cannot take locks. util-linux's flock(1) inherits the open file, locks it and ends; the
 * lock belongs to the open file, so this process keeps it.
 *
 * @param waitMs how long to wait while another process holds the lock
 * @returns whether the lock was taken
 * @throws Error if flock(1) is missing, or the file system has no locks
 */
export async function lockFile(handle: FileHandle, waitMs = 0): Promise<boolean> {
  const patience = waitMs > 0 ? ['--timeout', String(waitMs / 1000)] : ['--nonblock'];
  const flock = spawn('flock', ['--exclusive', ...patience, '3'], {
    stdio: ['ignore', 'ignore', 'pipe', handle.fd],
  });
  let complaint = '';
  flock.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const [code] = (await once(flock, 'close')) as [number | null];
  if (code !== 0 && code !== CONFLICT) throw new Error(complaint.trim() || `flock: ${code}`);
  return code === 0;
}

/**
 * Does something while this process holds the lock of a folder, so that no two processes do it at
 * once.
 *
 * @throws Error if another process does not release the lock in time
 */
export async function inLockedFolder<T>(
  folder: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const handle = await open(folder, 'r');
  try {
    if (await lockFile(handle, waitMs)) return await work();
    throw new Error(`another process keeps the folder ${folder} locked`);
  } finally {
    await handle.close();
  }
}
