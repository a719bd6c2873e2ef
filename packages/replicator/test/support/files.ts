import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from '@jest/globals';

/** A folder for each test of a file. @returns a function that names a file in it */
export function temporaryFiles(): (name: string) => string {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gannet-replicator-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  return (name) => path.join(folder, name);
}
