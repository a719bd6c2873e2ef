import type { QmpClient } from 'qemu-qmp-client';
import { type DiskLink, namesOf } from './disk-link.js';
import { findDisk, type QueryOptions } from './graph.js';

type OnBad = (failure: { device: string; node: string; message: string }) => void;

/**
 * Listens for errors of the quorums' children. Those of writes mean nothing for a replication
 * child: it refuses all writes until COLO runs, and reports none from then on.
 * @param disksNow the linked disks, asked at each event
 * @param onBad called synchronously with the event
 * @returns the function that stops it
 */
export function watchQuorums(
  qmp: QmpClient,
  disksNow: () => readonly DiskLink[],
  onBad: OnBad,
): () => void {
  return qmp.on((event) => {
    if (event.event !== 'QUORUM_REPORT_BAD') return;
    const { 'node-name': node, type, error = 'no reason given' } = event.data;
    const bad = disksNow().find((disk) => namesOf(disk).linkNode === node);
    if (bad === undefined || (bad.link === 'replication' && type !== 'flush')) return;
    const message = `a ${type} of ${bad.device} did not reach its replica (node ${node}): ${error}`;
    onBad({ device: bad.device, node, message });
  });
}

/**
 * Looks whether each replica is still a child of its quorum: QEMU has no event for a change of the
 * graph. A disk whose link is its mirror has no child.
 * @throws GraphError
 * @throws WaitError
 */
export async function checkChildren(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions,
  onBad: OnBad,
): Promise<void> {
  for (const disk of disks.filter(({ link }) => link !== 'mirror')) {
    const { device } = disk;
    const { linkNode: node } = namesOf(disk);
    const { quorum } = await findDisk(qmp, device, options);
    if (quorum?.children.some((child) => child.node === node) === true) continue;
    const message = `${device} has lost its replica: ${node} is not a child of its quorum any more`;
    onBad({ device, node, message });
  }
}
