import { chmod, lstat, mkdtemp, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { NbdListenError } from '../errors.js';

/** What sockaddr_un holds, less the final zero, in bytes. */
const SUN_PATH_MAX_BYTES = 107;

/**
 * The path of a unix socket. Nobody can connect before its mode is set: it is bound in a directory
 * of mode 0700, gets its mode there, and is then moved to its path.
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

  /** @throws NbdListenError if something other than an unused socket exists at the path */
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

  /** Sets the mode of the bound socket and moves it to its path. */
  async publish(mode: number): Promise<void> {
    await chmod(this.bindPath, mode);
    this.#inode = (await lstat(this.bindPath)).ino;
    await rename(this.bindPath, this.#path);
    await rmdir(this.#directory);
  }

  /** Removes the socket, unless another one has replaced it. */
  async withdraw(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    const found = await lstat(this.#path).catch(() => undefined);
    if (found?.ino === this.#inode && found?.isSocket() === true) await unlink(this.#path);
  }
}

async function assertFree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new NbdListenError(`${path} exists and is not a socket`);
  if (await answers(path)) throw new NbdListenError(`another server answers on ${path}`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Any other error may come from a server that is busy.
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
