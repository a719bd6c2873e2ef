import type { QmpClient } from 'qemu-qmp-client';
import { iothreadOf } from './inspect/inspect-vm.js';
import { QomReader } from './inspect/qom.js';
import type { DiskLink } from './disk/disk-link.js';
import { type DiskGraph, findDisk, type QueryOptions } from './disk/graph.js';
import { quorumOf } from './disk/linked-disk.js';

/** A disk to be linked, as it is in QEMU. */
export interface FoundDisk {
  readonly disk: DiskLink;
  readonly graph: DiskGraph;
  /** Whether it is served in an I/O thread. */
  readonly isThreaded: boolean;
}

/**
 * Finds the disks in QEMU, in the order of `disks`.
 * @throws GraphError `DRIVER_DISK_NOT_FOUND`
 * @throws GraphError `DRIVER_NO_QUORUM`
 * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function findDisks(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions,
): Promise<FoundDisk[]> {
  const qom = new QomReader(qmp, options);
  const found: FoundDisk[] = [];
  for (const disk of disks) {
    const graph = await findDisk(qmp, disk.device, options);
    if (disk.link !== 'mirror') quorumOf(disk, graph);
    const isThreaded = (await iothreadOf(qom, graph)) !== undefined;
    found.push({ disk, graph, isThreaded });
  }
  return found;
}
