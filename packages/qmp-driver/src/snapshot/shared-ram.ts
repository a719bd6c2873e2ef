/** Where a VM's RAM is, for programs that read and write it beside QEMU. */
import type { QmpClient } from 'qemu-qmp-client';
import { SnapshotError, step } from '../errors.js';

/** A file that holds all of a VM's RAM. */
export interface SharedRam {
  readonly path: string;
  readonly bytes: number;
}

/** What the object of a memory backend has, as QOM gives it. */
const PROPERTIES = ['mem-path', 'size'] as const;

/**
 * Finds the file of the RAM. There has to be one memory backend, shared and on a file:
 *
 *     -object memory-backend-file,id=ram0,size=1G,mem-path=/dev/shm/web.ram,share=on
 *     -machine q35,memory-backend=ram0
 *
 * @throws SnapshotError `DRIVER_RAM_NOT_SHARED`
 * @throws SnapshotError `DRIVER_SNAPSHOT_FAILED` if QEMU cannot be asked
 */
export async function sharedRam(
  qmp: QmpClient,
  options: { readonly timeoutMs?: number } = {},
): Promise<SharedRam> {
  const backends = await asked(() => qmp.execute('query-memdev', {}, options));
  const [backend] = backends;
  if (backend === undefined || backends.length > 1) {
    throw notShared(`it has ${backends.length} memory backends`);
  }
  const { id, share } = backend;
  if (id === undefined || !share) throw notShared('its memory backend is private');
  const [path, bytes] = await Promise.all(
    PROPERTIES.map((property) =>
      asked(() => qmp.execute('qom-get', { path: `/objects/${id}`, property }, options)),
    ),
  ).catch(() => []);
  if (typeof path !== 'string' || typeof bytes !== 'number') {
    throw notShared(`its memory backend ${id} is on no file`);
  }
  return { path, bytes };
}

function notShared(why: string): SnapshotError {
  const message = `RAM cannot be kept apart from the state of the devices: ${why}`;
  const remedy =
    'Start the VM with one memory-backend-file with share=on, and memory-backend= of its machine.';
  return new SnapshotError('DRIVER_RAM_NOT_SHARED', message, remedy);
}

function asked<T>(ask: () => Promise<T>): Promise<T> {
  return step(ask, (words, cause) => {
    const remedy = 'See whether QEMU still runs, and connect to it again.';
    const message = `the RAM of this VM is not known: ${words}`;
    return new SnapshotError('DRIVER_SNAPSHOT_FAILED', message, remedy, { cause });
  });
}
