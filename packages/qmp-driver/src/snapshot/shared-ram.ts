/** Where a VM's RAM is, for programs that read and write it beside QEMU. */
import { readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import type { QmpClient } from 'qemu-qmp-client';
import { SnapshotError, step } from '../errors.js';

/** A file that holds all of a VM's RAM. */
export interface SharedRam {
  readonly path: string;
  readonly bytes: number;
}

/** What the object of a memory backend has, as QOM gives it. */
const PROPERTIES = ['size', 'mem-path'] as const;
/** What links of /proc/PID/fd say of it. */
const MEMFD = '/memfd:memory-backend-memfd';

/** Options of sharedRam(). */
export interface SharedRamOptions {
  /** For one QMP command. */
  readonly timeoutMs?: number;
  /** QEMU's process, for RAM that is in no file system (memory-backend-memfd). */
  readonly pid?: number | undefined;
}

/**
 * Finds the file of the RAM. There has to be one memory backend, shared and on a file:
 *
 *     -object memory-backend-file,id=ram0,size=1G,mem-path=/dev/shm/web.ram,share=on
 *     -machine q35,memory-backend=ram0
 *
 * or, if QEMU's process is known, a memory-backend-memfd, which is shared by default.
 *
 * @throws SnapshotError `DRIVER_RAM_NOT_SHARED`
 * @throws SnapshotError `DRIVER_SNAPSHOT_FAILED` if QEMU cannot be asked
 */
export async function sharedRam(
  qmp: QmpClient,
  { pid, ...options }: SharedRamOptions = {},
): Promise<SharedRam> {
  const backends = await asked(() => qmp.execute('query-memdev', {}, options));
  const [backend] = backends;
  if (backend === undefined || backends.length > 1) {
    throw notShared(`it has ${backends.length} memory backends`);
  }
  const { id, share } = backend;
  if (id === undefined || !share) throw notShared('its memory backend is private');
  const [bytes, file] = await Promise.all(
    PROPERTIES.map((property) =>
      asked(() => qmp.execute('qom-get', { path: `/objects/${id}`, property }, options)).catch(
        () => undefined,
      ),
    ),
  );
  if (typeof bytes !== 'number') throw notShared(`its memory backend ${id} has no size`);
  if (typeof file === 'string') return { path: file, bytes };
  const memfd = pid === undefined ? undefined : await memfdOf(pid, bytes);
  if (memfd === undefined) throw notShared(`its memory backend ${id} is on no file`);
  return { path: memfd, bytes };
}

/** The only memfd of a memory backend that has this size. */
async function memfdOf(pid: number, bytes: number): Promise<string | undefined> {
  const folder = `/proc/${pid}/fd`;
  const found: string[] = [];
  for (const fd of await readdir(folder).catch(() => [])) {
    const file = path.join(folder, fd);
    // It may be closed by now.
    const target = await readlink(file).catch(() => '');
    if (!target.startsWith(MEMFD)) continue;
    const { size } = await stat(file);
    if (size === bytes) found.push(file);
  }
  return found.length === 1 ? found[0] : undefined;
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
