import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const MAIN = path.resolve(import.meta.dirname, '../../dist/demo/main.js');

function demo(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('the demonstration’s command line', () => {
  test.each([
    [['--checkpoints', '0'], 'Write a whole number of at least 1.'],
    [['--period', '1.5'], 'Write a whole number of at least 1.'],
    [['--link', 'rbd'], 'Allowed choices are replication, nbd'],
    [['--engine', 'xen'], 'Allowed choices are colo, vsmr'],
    [['now'], 'too many arguments'],
  ])('%j is a usage error', async (args, message) => {
    const { code, stdout, stderr } = await demo(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  test('--help has an example of each kind', async () => {
    const { code, stdout } = await demo('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('make demo');
    expect(stdout).toContain('--seed 7');
  });
});
