import type { EventOf, QmpClient } from 'qemu-qmp-client';
import { type DiskLink, namesOf, nbdNodesOf } from './disk-link.js';
import { findDisk, type QueryOptions } from './graph.js';

/** A link that no longer carries all writes: the replica must not commit any more. */
export interface LinkFailure {
  readonly device: string;
  /** The node or job that failed. */
  readonly node: string;
  readonly message: string;
}

/** The primary's own disk failed. The replica has every write. */
export interface DiskFailure {
  readonly device: string;
  readonly node: string;
  /**
   * - `lacks-write`: the guest was told that a write or flush is done, which only the replica has:
   *   it would read old data from its own disk.
   * - `stopped`: QEMU has stopped the guest (`werror=stop`, or `enospc` without space). The next
   *   checkpoint would abort QEMU: no way leads from run state `io-error` to `colo`.
   * - `reported`: the guest is told that its disk failed.
   * - `read-elsewhere`: a read failed, and another child of the quorum answered it.
   */
  readonly effect: 'lacks-write' | 'stopped' | 'reported' | 'read-elsewhere';
  readonly message: string;
}

export interface WatchedDisk {
  readonly disk: DiskLink;
  /** Names of all its nodes (DiskGraph.nodes). */
  readonly nodes: ReadonlySet<string>;
}

/** Both are called synchronously with QEMU's event. */
export interface DiskWatcher {
  readonly onLink: (failure: LinkFailure) => void;
  readonly onDisk: (failure: DiskFailure) => void;
}

/**
 * Listens for I/O errors of disks: those of each child of a quorum, and those that reach the guest.
 * @param disksNow the linked disks, asked at each event
 * @returns the function that stops it
 */
export function watchDisks(
  qmp: QmpClient,
  disksNow: () => readonly WatchedDisk[],
  watcher: DiskWatcher,
): () => void {
  return qmp.on((event) => {
    if (event.event === 'QUORUM_REPORT_BAD') noteBad(event, disksNow(), watcher);
    else if (event.event === 'BLOCK_IO_ERROR') noteError(event, disksNow(), watcher);
  });
}

/** With `vote-threshold=1` the guest hears of no error as long as one child has succeeded. */
function noteBad(
  { data }: EventOf<'QUORUM_REPORT_BAD'>,
  disks: readonly WatchedDisk[],
  { onLink, onDisk }: DiskWatcher,
): void {
  const { 'node-name': node, type, error = 'no reason given' } = data;
  const bad = disks.find((one) => namesOf(one.disk).linkNode === node || one.nodes.has(node));
  if (bad === undefined) return;
  const { device, link } = bad.disk;
  if (!nbdNodesOf(bad.disk).includes(node)) {
    const effect = type === 'read' ? 'read-elsewhere' : 'lacks-write';
    const message = `a ${type} of ${device} failed on its own disk (node ${node}): ${error}`;
    onDisk({ device, node, effect, message });
  } else if (link !== 'replication' || type === 'flush') {
    // A replication child refuses all writes until COLO runs, and reports none from then on.
    const message = `a ${type} of ${device} did not reach its replica (node ${node}): ${error}`;
    onLink({ device, node, message });
  }
}

/** An error that stops the guest ends the protection, whichever disk it is of. */
function noteError(
  { data }: EventOf<'BLOCK_IO_ERROR'>,
  disks: readonly WatchedDisk[],
  { onDisk }: DiskWatcher,
): void {
  const { action, operation, reason, device: drive, 'node-name': node = '' } = data;
  const ours = disks.find(({ disk, nodes }) => nodes.has(node) || disk.device === drive);
  if (action === 'ignore' || disks.length === 0) return;
  if (ours === undefined && action !== 'stop') return;
  const device = ours?.disk.device ?? (drive === '' ? node : drive);
  const message = `a ${operation} of ${device} failed: ${reason}`;
  onDisk({ device, node, effect: action === 'stop' ? 'stopped' : 'reported', message });
}

/**
 * Looks whether the replica is still a child of its quorum: QEMU has no event for a change of the
 * graph. A disk whose link is its mirror has no child.
 * @returns the names of all nodes of the disk
 * @throws GraphError
 * @throws WaitError
 */
export async function checkDisk(
  qmp: QmpClient,
  disk: DiskLink,
  options: QueryOptions,
  onLink: (failure: LinkFailure) => void,
): Promise<ReadonlySet<string>> {
  const { device, link } = disk;
  const { linkNode: node } = namesOf(disk);
  const { quorum, nodes } = await findDisk(qmp, device, options);
  const isThere = quorum?.children.some((child) => child.node === node) === true;
  if (link !== 'mirror' && !isThere) {
    const message = `${device} has lost its replica: ${node} is not a child of its quorum any more`;
    onLink({ device, node, message });
  }
  return new Set(nodes);
}
