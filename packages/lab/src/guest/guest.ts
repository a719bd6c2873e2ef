import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { LabError } from '../errors.js';

/** The files of a guest that guest/build.sh has built. */
export interface LabGuest {
  readonly kernel: string;
  readonly initrd: string;
  /** Preloaded to QEMU under TCG, where COLO deadlocks without it (guest/colo-tcg-shim.c). */
  readonly shim: string;
}

/** guest/build.sh computes the same stamp from the same files in the same order. */
const SOURCES = ['build.sh', 'colo-tcg-shim.c', 'init', 'oracle.c'];

// The same path from src/guest and from dist/guest.
const packageDir = path.resolve(import.meta.dirname, '..', '..');
const sourceDir = path.join(packageDir, 'guest');

/**
 * The folder of the guest: GANNET_LAB_CACHE, else `.cache/guest` of the workspace, else the user's
 * cache directory (for an installed package).
 */
export function labCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  const chosen = env['GANNET_LAB_CACHE'];
  if (chosen !== undefined && chosen !== '') return path.resolve(chosen);
  const workspace = path.resolve(packageDir, '..', '..');
  if (existsSync(path.join(workspace, 'pnpm-workspace.yaml'))) {
    return path.join(workspace, '.cache', 'guest');
  }
  return path.join(env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'gannet', 'guest');
}

/** The command that builds or updates the guest in `cacheDir`. */
export function guestBuildCommand(cacheDir = labCacheDir()): readonly string[] {
  return ['bash', path.join(sourceDir, 'build.sh'), cacheDir];
}

/**
 * Finds the built guest.
 *
 * @throws LabError if it is missing, or its sources have changed
 */
export async function findGuest(cacheDir = labCacheDir()): Promise<LabGuest> {
  const guest: LabGuest = {
    kernel: path.join(cacheDir, 'vmlinuz'),
    initrd: path.join(cacheDir, 'initrd.gz'),
    shim: path.join(cacheDir, 'colo-tcg-shim.so'),
  };
  const remedy = `run \`make setup\`, or \`${guestBuildCommand(cacheDir).join(' ')}\``;
  let built: string;
  try {
    built = await readFile(path.join(cacheDir, 'stamp'), 'utf8');
    await Promise.all(Object.values(guest).map((file: string) => access(file)));
  } catch (cause) {
    throw new LabError(`no lab guest in ${cacheDir}: ${remedy}`, { cause });
  }
  if (built.trim() !== (await sourceStamp())) {
    throw new LabError(`the lab guest in ${cacheDir} is older than its sources: ${remedy}`);
  }
  return guest;
}

/** guest/network/build.sh computes the same stamp, beginning with the guest's own. */
const NETWORK_SOURCES = ['build.sh', 'init', 'service.c'];

/**
 * The guest with a network card and a TCP service (guest/network).
 *
 * @throws LabError if it is missing, or older than its sources
 */
export async function findNetworkGuest(cacheDir = labCacheDir()): Promise<LabGuest> {
  const guest = await findGuest(cacheDir);
  const initrd = path.join(cacheDir, 'initrd-network.gz');
  const sources = path.join(sourceDir, 'network');
  const wanted = await hashOf([
    path.join(cacheDir, 'stamp'),
    ...NETWORK_SOURCES.map((name) => path.join(sources, name)),
  ]);
  const stamp = path.join(cacheDir, 'stamp-network');
  const built = await readFile(stamp, 'utf8').catch(() => 'nothing');
  if (built.trim() !== wanted) {
    const remedy = `run \`make setup\`, or \`bash ${path.join(sources, 'build.sh')} ${cacheDir}\``;
    throw new LabError(`no lab guest with a network in ${cacheDir}, or an old one: ${remedy}`);
  }
  return { ...guest, initrd };
}

/**
 * The newest QEMU that Gannet is tested with, beside the system's: scripts/fetch-qemu.sh.
 *
 * @throws LabError if it is missing
 */
export async function findNewestQemu(cacheDir = labCacheDir()): Promise<string> {
  const folder = path.join(cacheDir, '..', 'qemu-11.1');
  const program = path.join(folder, 'bin', 'qemu-system-x86_64');
  await access(program).catch((cause: unknown) => {
    const remedy = `run \`make setup\`, or \`scripts/fetch-qemu.sh trixie-backports ${folder}\``;
    throw new LabError(`no QEMU 11.1 in ${folder}: ${remedy}`, { cause });
  });
  return program;
}

function sourceStamp(): Promise<string> {
  return hashOf(SOURCES.map((name) => path.join(sourceDir, name)));
}

async function hashOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  return hash.digest('hex');
}
