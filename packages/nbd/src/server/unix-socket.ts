import { chmod, lstat, mkdtemp, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { NbdListenError } from '../errors.js';
import { inLockedFolder } from '../file-lock.js';

/** What sockaddr_un holds, less the final zero, in bytes. */
const SUN_PATH_MAX_BYTES = 107;
/** Others hold the lock of the folder for a few milliseconds. */
const LOCK_MS = 10_000;

/**
 * The path of a unix socket on which a server of this process listens. Of several processes that
 * want a path, one gets it: whoever holds the lock of the folder looks whether somebody answers on
 * the path, and only if not, puts its own socket there. A socket that a dead process left is
 * replaced; anything else is left alone. Nobody can connect before the socket has its mode and its
 * server listens: it is bound in a folder of mode 0700, and moved to its path when it is complete.
 */
export class UnixSocketPath {
  private constructor(
    private readonly path: string,
    private readonly identity: string,
  ) {}

  /**
   * Makes the server listen on the path. If that fails, the server is closed.
   *
   * @throws NbdListenError with the reason
   */
  static async listen(server: Server, path: string, mode = 0o600): Promise<UnixSocketPath> {
    await assertFree(path);
    const folder = dirname(path);
    const place = await mkdtemp(join(folder, '.')).catch((cause: unknown) => {
      const message = `cannot create a socket in ${folder}: ${(cause as Error).message}`;
      throw new NbdListenError(message, 'unusable', { cause });
    });
    try {
      const bound = join(place, 's');
      if (Buffer.byteLength(bound) > SUN_PATH_MAX_BYTES) {
        throw new NbdListenError(`the path of the folder ${folder} is too long`, 'unusable');
      }
      await listening(server, bound);
      await chmod(bound, mode);
      const identity = await inLockedFolder(folder, LOCK_MS, async () => {
        await assertFree(path);
        await rename(bound, path);
        return identityOf(path);
      });
      return new UnixSocketPath(path, identity ?? '');
    } catch (cause) {
      server.close();
      if (cause instanceof NbdListenError) throw cause;
      const message = `cannot listen on ${path}: ${(cause as Error).message}`;
      throw new NbdListenError(message, 'unusable', { cause });
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  }

  /**
   * Removes the socket, unless another one has replaced it. Call it before the server is closed:
   * nobody replaces a socket whose server answers.
   */
  async withdraw(): Promise<void> {
    if ((await identityOf(this.path)) === this.identity) await rm(this.path, { force: true });
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** An inode number alone may have been given to another file meanwhile. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}:${found.birthtimeNs}`;
}

async function assertFree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new NbdListenError(`${path} exists and is not a socket`, 'no-socket');
  }
  if (await answers(path)) {
    throw new NbdListenError(`another server answers on ${path}`, 'in-use');
  }
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
