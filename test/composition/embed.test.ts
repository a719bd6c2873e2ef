import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../..');

beforeAll(async () => {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-b', path.join(root, 'examples')]);
});

test('examples/embed-replicator shows the epochs of both sides, and the failover', async () => {
  expect(await linesOf('embed-replicator')).toEqual([
    'protected: the secondary sees "seeded.."',
    'before the checkpoint: the secondary sees "seededS."',
    'after the checkpoint: the secondary sees "primary."',
    'after the failover: the secondary sees "primary!"',
    'in the base image: "primary!"',
  ]);
});

test('checkpoint-policy makes a checkpoint if a write is old or there are many', async () => {
  expect(await linesOf('checkpoint-policy')).toEqual([
    'epoch 1: the disks are equal',
    'epoch 2: a write is old',
    'epoch 3: much was written',
  ]);
});

async function linesOf(example: string): Promise<string[]> {
  const file = path.join(root, 'examples/dist', `${example}.js`);
  const { stdout } = await run(process.execPath, [file], { timeout: 60_000 });
  return stdout.trim().split('\n');
}
