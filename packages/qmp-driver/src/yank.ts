import { type QmpClient, QmpCommandError, type YankInstance } from 'qemu-qmp-client';
import { ColoError, step } from './errors.js';

/**
 * A connection can end between being listed and being yanked; `yank` then refuses the whole list.
 */
const ATTEMPTS_MAX = 5;

/** Connections to the peer, by the exact names that this package gave them. */
export interface PeerConnections {
  /** NBD nodes. */
  readonly nodes: readonly string[];
  /** Sockets of network filters. A prefix would not do: query-yank lists every monitor, too. */
  readonly chardevs: readonly string[];
  readonly migration: boolean;
}

/**
 * Cuts those of the wanted connections that exist. Runs out-of-band, so it works while QEMU's main
 * loop waits for one of them (QEMU qapi/yank.json, docs/COLO-FT.txt).
 * @returns what was cut
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 */
export async function yankAll(
  qmp: QmpClient,
  wanted: PeerConnections,
  timeoutMs: number,
): Promise<readonly YankInstance[]> {
  const options = { oob: true, timeoutMs };
  const isWanted = (instance: YankInstance): boolean => {
    switch (instance.type) {
      case 'block-node':
        return wanted.nodes.includes(instance['node-name']);
      case 'chardev':
        return wanted.chardevs.includes(instance.id);
      case 'migration':
        return wanted.migration;
    }
  };
  const cut = async (attempt: number): Promise<readonly YankInstance[]> => {
    const instances = (await qmp.execute('query-yank', {}, options)).filter(isWanted);
    if (instances.length === 0) return [];
    try {
      await qmp.execute('yank', { instances }, options);
      return instances;
    } catch (error) {
      const gone = error instanceof QmpCommandError && error.errorClass === 'DeviceNotFound';
      if (gone && attempt < ATTEMPTS_MAX) return cut(attempt + 1);
      throw error;
    }
  };
  return step(
    () => cut(1),
    (words, cause) => {
      const message = `the connections to the peer cannot be cut: ${words}`;
      const remedy =
        'See that the QMP connection lives and that QEMU offered out-of-band execution.';
      return new ColoError('DRIVER_COMMAND_FAILED', message, remedy, { cause });
    },
  );
}
