import type { QmpClient } from 'qemu-qmp-client';
import { type DiskLink, namesOf } from '../disk/disk-link.js';
import { findDisk, type QueryOptions } from '../disk/graph.js';

/**
 * The node that has what is on the primary's own storage, and gets all writes of its guest.
 *
 * @throws GraphError
 */
export async function ownNodeOf(
  qmp: QmpClient,
  disk: DiskLink,
  options: QueryOptions,
): Promise<string> {
  const { quorum, topNode } = await findDisk(qmp, disk.device, options);
  const { linkNode } = namesOf(disk);
  return quorum?.children.find(({ node }) => node !== linkNode)?.node ?? topNode;
}
