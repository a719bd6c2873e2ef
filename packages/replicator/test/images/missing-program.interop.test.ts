import { execFile } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { temporaryFiles } from '../support/files.js';

const at = temporaryFiles();
const built = path.resolve(import.meta.dirname, '../../dist/index.js');

/** Opens a base in a process that finds these programs and no others; its error. */
async function errorWithOnly(
  programs: readonly string[],
  format: string,
): Promise<{ readonly code: string; readonly message: string; readonly remedy: string }> {
  for (const name of programs) await symlink(path.join('/usr/bin', name), at(name));
  const disk = { base: at('image'), format, sizeBytes: 4 * 1024 * 1024 };
  const script = `
    const { openBase } = await import(${JSON.stringify(built)});
    const error = await openBase(${JSON.stringify(disk)}, { lock: true }).catch((thrown) => thrown);
    const { code, message, remedy } = error;
    console.log(JSON.stringify({ code, message, remedy }));`;
  const args = ['--input-type=module', '--eval', script];
  const env = { PATH: path.dirname(disk.base) };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 });
  return JSON.parse(stdout) as never;
}

describe('a program that is not installed is named, with its package, and not the image', () => {
  test.each([
    ['qemu-storage-daemon', 'raw', ['setpriv'], 'qemu-utils'],
    ['qemu-storage-daemon', 'qcow2', ['setpriv', 'qemu-img'], 'qemu-utils'],
    ['setpriv', 'raw', [], 'util-linux'],
    ['qemu-img', 'qcow2', ['setpriv'], 'qemu-utils'],
  ] as const)('%s, for a base of format %s', async (program, format, present, debianPackage) => {
    expect(await errorWithOnly(present, format)).toEqual({
      code: 'REPLICA_PROGRAM_MISSING',
      message: expect.stringMatching(new RegExp(`^${program} is not installed`)),
      remedy: expect.stringContaining(debianPackage),
    });
  });
});
