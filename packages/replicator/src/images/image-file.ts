import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { BaseImageError } from '../errors.js';
import { messageOf } from '../io-errors.js';
import { deviceNumbers, exists } from './base-image.js';
import { missingProgram } from './missing-program.js';

/** Image formats; all but `raw` are written through a qemu-storage-daemon. */
export const IMAGE_FORMATS = ['raw', 'qcow2', 'qed', 'vdi', 'vhdx', 'vmdk', 'vpc'] as const;
/** One of IMAGE_FORMATS. */
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

const run = promisify(execFile);
const TIMEOUT_MS = 30_000;

/** What qemu-img says about an image. */
export interface ImageProbe {
  readonly format: string;
  readonly sizeBytes: number;
  readonly isInUse: boolean;
}

/**
 * Creates an empty image, unless the path exists.
 *
 * @returns whether it was created
 * @throws BaseImageError REPLICA_BASE_NOT_USABLE
 * @throws MissingProgramError REPLICA_PROGRAM_MISSING
 */
export async function createImage(
  path: string,
  format: ImageFormat,
  sizeBytes: number,
): Promise<boolean> {
  if (await exists(path)) return false;
  // Without it, sizes of vpc are rounded up to a disk geometry.
  const options = format === 'vpc' ? ['-o', 'force_size=on'] : [];
  const args = ['create', '-q', '-f', format, ...options, path, String(sizeBytes)];
  try {
    await run('qemu-img', args, { timeout: TIMEOUT_MS });
    return true;
  } catch (cause) {
    const missing = missingProgram(path, wordsOf(cause));
    if (missing) throw missing;
    throw new BaseImageError(
      'REPLICA_BASE_NOT_USABLE',
      `${path} can't be created: ${wordsOf(cause)}`,
      'Check its folder, and the free space there.',
      { cause },
    );
  }
}

/**
 * Looks at an image without changing or locking it.
 *
 * @returns undefined if there is none, or if qemu-img can't read it
 */
export async function probeImage(path: string): Promise<ImageProbe | undefined> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined);
  if (!stats) return undefined;
  const args = ['info', '--output=json', '--force-share', path];
  try {
    const { stdout } = await run('qemu-img', args, { timeout: TIMEOUT_MS });
    const info = JSON.parse(stdout) as { format: string; 'virtual-size': number };
    const isInUse = isLocked(await readFile('/proc/locks', 'utf8'), stats);
    return { format: info.format, sizeBytes: info['virtual-size'], isInUse };
  } catch {
    return undefined;
  }
}

/**
 * Whether another process holds a lock that conflicts with a writer. A lock on byte 100 + n uses
 * permission n, one on byte 200 + n denies it to others; 0 is to read, 1 to write, 3 to resize
 * (QEMU, block/file-posix.c).
 */
function isLocked(locks: string, { dev, ino }: { dev: bigint; ino: bigint }): boolean {
  const [major, minor] = deviceNumbers(dev);
  const hex = (part: bigint): string => part.toString(16).padStart(2, '0');
  const file = ` ${hex(major)}:${hex(minor)}:${ino} `;
  return locks.split('\n').some((line) => {
    if (!line.includes('OFDLCK') || !line.includes(file)) return false;
    const [first, last] = (line.split(file)[1] ?? '')
      .split(' ')
      .map((byte) => (byte === 'EOF' ? Infinity : Number(byte)));
    if (first === undefined || last === undefined) return false;
    return [101, 103, 200, 201, 203].some((byte) => first <= byte && byte <= last);
  });
}

/** The processes that have a file open, for messages, as far as /proc shows them; may be empty. */
export async function holdersOf(path: string): Promise<string> {
  const wanted = await stat(path).catch(() => undefined);
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const holders: string[] = [];
  for (const pid of pids) {
    if (!wanted || Number(pid) === process.pid || !(await hasOpen(pid, wanted))) continue;
    holders.push(`${await nameOf(pid)} (process ${pid})`);
  }
  return holders.join(', ');
}

/** The name of a process; of a Node.js script its own name and arguments. */
async function nameOf(pid: string): Promise<string> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  const at = words.findIndex((word, index) => index > 0 && !word.startsWith('-'));
  const script = words[at] ?? '';
  if (path.basename(words[0] ?? '') === 'node' && script !== '') {
    return [path.basename(script), ...words.slice(at + 1)].join(' ').trim();
  }
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')).trim();
}

async function hasOpen(pid: string, wanted: { dev: number; ino: number }): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const file of await readdir(folder).catch(() => [])) {
    const target = await readlink(`${folder}/${file}`).catch(() => '');
    if (!target.startsWith('/')) continue;
    const stats = await stat(`${folder}/${file}`).catch(() => undefined);
    if (stats?.dev === wanted.dev && stats.ino === wanted.ino) return true;
  }
  return false;
}

function wordsOf(error: unknown): string {
  const { stderr } = error as { stderr?: string };
  const words = stderr?.trim().replace(/^qemu-img: /, '') ?? '';
  return words === '' ? messageOf(error) : words;
}
