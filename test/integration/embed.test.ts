import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../..');

test('examples/embed-replicator shows the epochs of both sides, and the failover', async () => {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-b', path.join(root, 'examples')]);
  const example = path.join(root, 'examples/dist/embed-replicator.js');
  const { stdout } = await run(process.execPath, [example], { timeout: 60_000 });
  expect(stdout.trim().split('\n')).toEqual([
    'protected: the secondary sees "seeded.."',
    'before the checkpoint: the secondary sees "seededS."',
    'after the checkpoint: the secondary sees "primary."',
    'after the failover: the secondary sees "primary!"',
    'in the base image: "primary!"',
  ]);
});
