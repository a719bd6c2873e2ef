import type { QmpClient } from 'qemu-qmp-client';
import { type DiskLink, namesOf } from './disk-link.js';

/**
 * Listens for errors of the quorums' children. Those of writes mean nothing for a replication child:
 * it refuses all writes until COLO runs, and reports none from then on.
 * @param disksNow the linked disks, asked at each event
 * @param onBad called synchronously with the event
 * @returns the function that stops it
 */
export function watchQuorums(
  qmp: QmpClient,
  disksNow: () => readonly DiskLink[],
  onBad: (failure: { device: string; node: string; message: string }) => void,
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
