import { type FileHandle, open } from 'node:fs/promises';
import { lockFile } from '@gannet/nbd';
import { JournalError } from '../errors.js';
import { messageOf } from '../io-errors.js';

/**
 * The right to write the journal at a path. Take it before anything relies on the path: a journal
 * is created in the middle of a failover, when it is too late to find that another replica has one
 * there. The lock is on a file `JOURNAL.lock`, which stays; the kernel releases it when the process
 * ends.
 */
export class JournalLock {
  private constructor(private readonly handle: FileHandle) {}

  /** @throws JournalError REPLICA_JOURNAL_IN_USE if another replica has it, REPLICA_JOURNAL_IO */
  static async take(journal: string): Promise<JournalLock> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(`${journal}.lock`, 'a', 0o600);
      if (await lockFile(handle)) return new JournalLock(handle);
    } catch (cause) {
      await handle?.close();
      const message = `the journal ${journal} can't be locked: ${messageOf(cause)}`;
      const remedy = 'Create its folder, writable for the user that this runs as.';
      throw new JournalError('REPLICA_JOURNAL_IO', message, remedy, { cause });
    }
    await handle.close();
    throw new JournalError(
      'REPLICA_JOURNAL_IN_USE',
      `another process uses the journal ${journal}`,
      'Give each VM a journal of its own (`secondary.journal`), or stop the other process first.',
    );
  }

  release(): Promise<void> {
    return this.handle.close();
  }
}
