import { type QmpClient, QmpCommandError, type YankInstance } from 'qemu-qmp-client';
import { ColoError, step } from './errors.js';
import { isNetworkChardev } from './network/compared-card.js';

/** A connection can end between being listed and being yanked; `yank` then refuses the whole list. */
const ATTEMPTS_MAX = 5;

/**
 * Cuts those of the wanted connections that exist. Runs out-of-band, so it works while QEMU's main loop
 * waits for one of them (QEMU qapi/yank.json, docs/COLO-FT.txt). The packets of network cards go with the migration:
 * a mirror whose peer takes nothing stops QEMU's main loop.
 * @returns what was cut
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 */
export async function yankAll(
  qmp: QmpClient,
  wanted: { readonly nodes: readonly string[]; readonly migration: boolean },
  timeoutMs: number,
): Promise<readonly YankInstance[]> {
  const options = { oob: true, timeoutMs };
  const isWanted = (instance: YankInstance): boolean =>
    instance.type === 'block-node'
      ? wanted.nodes.includes(instance['node-name'])
      : wanted.migration && (instance.type === 'migration' || isNetworkChardev(instance.id));
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
