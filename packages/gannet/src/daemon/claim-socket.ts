import type { Server } from 'node:net';
import { NbdListenError, UnixSocketPath } from '@gannet/nbd';
import { GannetError } from '@gannet/contract';

export interface SocketClaim {
  /** The key that has the path, for remedies. */
  readonly key: string;
  /** What it means that somebody answers on the path, and what to do. */
  readonly inUse: (path: string) => readonly [message: string, remedy: string];
}

/**
 * Makes a server listen on a unix socket for this user alone. A socket that a dead process left is
 * replaced.
 *
 * @throws GannetError GANNET_BUSY if somebody answers on that path
 * @throws GannetError GANNET_CONFIG if the socket cannot be created
 */
export async function claimSocket(
  server: Server,
  path: string,
  { key, inUse }: SocketClaim,
): Promise<UnixSocketPath> {
  try {
    return await UnixSocketPath.listen(server, path);
  } catch (cause) {
    if (!(cause instanceof NbdListenError)) throw cause;
    const options = { cause };
    switch (cause.reason) {
      case 'in-use':
        throw new GannetError('GANNET_BUSY', ...inUse(path), 'failed', options);
      case 'no-socket': {
        const message = `cannot listen on ${path}: a file that is not a socket has this name`;
        const remedy = `Move that file away, or set \`${key}\` to another path.`;
        throw new GannetError('GANNET_CONFIG', message, remedy, 'failed', options);
      }
      case 'unusable': {
        const remedy = 'Create its folder, writable for the user that the daemon runs as.';
        throw new GannetError('GANNET_CONFIG', cause.message, remedy, 'failed', options);
      }
    }
  }
}
