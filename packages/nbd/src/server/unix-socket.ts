import { chmod, lstat, mkdtemp, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { NbdListenError } from '../errors.js';

/** What sockaddr_un holds, less the final zero, in bytes. */
const SUN_PATH_MAX_BYTES = 107;

/**
 * A unix socket that nobody can connect to before its mode is set: it is bound inside a directory
 * of mode 0700, given its mode there and then moved into place.
 */
export class UnixSocketPath {
  readonly bindPath: string;
  readonly #path: string;
  readonly #directory: string;
  #inode: number | undefined;

  private constructor(path: string, directory: string) {
    this.#path = path;
    this.#directory = directory;
    this.bindPath = join(directory, 's');
  }

  /** Throws `NbdListenError` where something other than an abandoned socket is in the way. */
  static async claim(path: string): Promise<UnixSocketPath> {
    await assertFree(path);
    let directory: string;
    try {
      directory = await mkdtemp(join(dirname(path), '.nbd-'));
    } catch (cause) {
      throw new NbdListenError(`cannot create a socket in ${dirname(path)}`, { cause });
    }
    const claimed = new UnixSocketPath(path, directory);
    if (Buffer.byteLength(claimed.bindPath) > SUN_PATH_MAX_BYTES) {
      await rmdir(directory);
      throw new NbdListenError(`the path of the socket ${basename(path)} is too long`);
    }
    return claimed;
  }

  /** Gives the bound socket its mode and its name. */
  async publish(mode: number): Promise<void> {
    await chmod(this.bindPath, mode);
    this.#inode = (await lstat(this.bindPath)).ino;
    await rename(this.bindPath, this.#path);
    await rmdir(this.#directory);
  }

  /** Removes the socket, unless somebody else has put theirs in its place. */
  async withdraw(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    const there = await lstat(this.#path).catch(() => undefined);
    if (there?.ino === this.#inode && there?.isSocket() === true) await unlink(this.#path);
  }
}

async function assertFree(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isSocket()) throw new NbdListenError(`${path} exists and is no socket`);
  if (await answers(path)) throw new NbdListenError(`another server answers on ${path}`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Anything but a refusal may be a server that is merely busy.
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
