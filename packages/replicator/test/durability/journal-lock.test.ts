import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { JournalLock } from '../../src/durability/journal-lock.js';
import { temporaryFiles } from '../support/files.js';

const at = temporaryFiles();

describe('the lock of a journal', () => {
  test('is held by one owner, until it is released', async () => {
    const lock = await JournalLock.take(at('j'));
    await expect(JournalLock.take(at('j'))).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IN_USE',
      message: expect.stringContaining(at('j')),
    });
    await (await JournalLock.take(at('other'))).release();
    await lock.release();
    await (await JournalLock.take(at('j'))).release();
  });

  test('keeps other processes out', async () => {
    const lock = await JournalLock.take(at('j'));
    const flock = (): number | null =>
      spawnSync('flock', ['--nonblock', `${at('j')}.lock`, 'true']).status;
    expect(flock()).toBe(1);
    await lock.release();
    expect(flock()).toBe(0);
  });

  test('in a folder that is not there is an error with a remedy', async () => {
    await expect(JournalLock.take(at('no/folder'))).rejects.toMatchObject({
      code: 'REPLICA_JOURNAL_IO',
      message: expect.stringContaining(at('no/folder')),
      remedy: expect.stringContaining('folder'),
    });
  });
});
