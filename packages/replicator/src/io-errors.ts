/** What an error says; of something else that was thrown, its text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What a file system or a storage daemon says when it takes no more: the disk is full, a quota is
 * used up, or the file may not grow. NBD maps all three to ENOSPC (proto.md, "Error values").
 */
const NO_SPACE: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/**
 * Whether a write failed because there is no room for it; the error of a file, or one that NBD
 * passed on.
 */
export function isNoSpace(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, wireError } = error as { code?: unknown; wireError?: unknown };
  return NO_SPACE.includes(code) || wireError === 'ENOSPC';
}

/** What to do when a base does not take what is written to it. */
export function ioRemedy(isFull: boolean): string {
  const what = isFull
    ? 'Make space on its file system, or raise the quota or size limit that was reached'
    : 'Check the image and its disk';
  const then = 'Write-back retries; a first copy has to be started again with `gannet protect`.';
  return `${what}. ${then}`;
}

/** Waits until none of the operations is under way any more, then throws the first failure. */
export async function allDone(operations: Iterable<Promise<unknown>>): Promise<void> {
  const ends = await Promise.allSettled(operations);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/**
 * Waits for all, one after the other; rejects with the first error. For syncs of bases: each holds
 * one of Node.js' four threads for files for as long as a slow disk takes, and reads of the guest
 * need some as well.
 */
export async function eachDone(operations: Iterable<() => Promise<unknown>>): Promise<void> {
  const errors: unknown[] = [];
  for (const operation of operations) {
    await operation().catch((error: unknown) => errors.push(error));
  }
  if (errors.length > 0) throw errors[0];
}
