import { addChild, addNode, type BlockdevContext, deleteNode, removeChild } from './blockdev.js';
import { GraphError, LinkError } from '../errors.js';
import { type DiskGraph, findDisk, listDisks, readGraph } from './graph.js';
import { type DiskLink, namesOf, nbdOptions } from './disk-link.js';
import { Deadline } from '../deadline.js';
import type { Mirror } from './mirror.js';
import { probeNbdServer } from './nbd-probe.js';
import { SeedTarget } from './seed-target.js';

/** One disk in the care of a PrimaryDriver: its mirror, and its nodes in the live graph. */
export class LinkedDisk {
  readonly disk: DiskLink;
  readonly mirror: Mirror;
  readonly target: SeedTarget;
  /** Names of all its nodes, as far as it is known. */
  nodes: ReadonlySet<string>;
  readonly #probePeer: boolean;

  constructor(disk: DiskLink, mirror: Mirror, nodes: readonly string[], probePeer: boolean) {
    this.disk = disk;
    this.nodes = new Set(nodes);
    this.mirror = mirror;
    this.target = new SeedTarget(disk, mirror.source.isThreaded, probePeer);
    this.#probePeer = probePeer;
  }

  /**
   * Connects to the replica, sees that it is as large as the disk, and starts the mirror.
   * @throws LinkError
   * @throws GraphError `DRIVER_SIZE_MISMATCH`
   * @throws SeedError
   */
  async startSeed(
    context: BlockdevContext,
    sizeBytes: number,
    speedBytesPerSec: number | undefined,
  ): Promise<void> {
    const { device, export: exportName } = this.disk;
    const node = namesOf(this.disk).seedNode;
    await this.#probe(context);
    await this.target.add(context);
    const options = context.deadline.options(context.commandTimeoutMs);
    const info = (await readGraph(context.qmp, options)).graph.info(node);
    const replicaBytes = info?.image['virtual-size'];
    if (replicaBytes !== sizeBytes) {
      throw new GraphError(
        'DRIVER_SIZE_MISMATCH',
        `${device} has ${sizeBytes} bytes, ` +
          `its replica (export ${exportName}, node ${node}) ${String(replicaBytes)}`,
        'Make the replica exactly as large as the disk.',
      );
    }
    await this.mirror.start(speedBytesPerSec, context.deadline.options(context.commandTimeoutMs));
  }

  /**
   * From now on the first error of the copy is final. To be called before the first link opens.
   * @throws LinkError `DRIVER_NOT_SEEDED`
   * @throws SeedError
   */
  seal(): void {
    const { mirror, disk } = this;
    // A plain NBD child has taken its place, at an earlier attempt.
    if (mirror.phase === 'ended') return;
    mirror.check();
    if (!mirror.isComplete) {
      const message = `${disk.device} is not seeded: its mirror is ${mirror.phase}`;
      throw new LinkError('DRIVER_NOT_SEEDED', message, 'Wait for seed() to resolve.');
    }
    mirror.seal();
  }

  /**
   * Makes the replica a child of the quorum, unless it is one.
   * @throws LinkError, GraphError, SeedError
   */
  async attach(context: BlockdevContext): Promise<void> {
    const { disk } = this;
    if (disk.link === 'mirror') {
      await this.#linkMirror(context);
      return;
    }
    const options = context.deadline.options(context.commandTimeoutMs);
    const { linkNode } = namesOf(disk);
    const quorum = quorumOf(disk, await findDisk(context.qmp, disk.device, options));
    if (!quorum.children.some(({ node }) => node === linkNode)) {
      await this.#probe(context);
      await addNode(context, linkNode, this.#childOptions());
      await addChild(context, quorum.node, linkNode);
    }
    if (disk.link === 'nbd') await this.endSeed(context);
  }

  /**
   * Ends the mirror, unless it is the link itself.
   * @throws SeedError `DRIVER_SEED_LOST`
   * @throws LinkError
   * @throws WaitError
   */
  async endSeed(context: BlockdevContext): Promise<void> {
    const { mirror, disk } = this;
    if (disk.link === 'mirror') {
      mirror.check();
      return;
    }
    if (mirror.phase !== 'new') await mirror.end({ force: false, ...context });
    await this.target.delete(context);
  }

  /** The mirror stays; what it writes to becomes a link, whose loss counts. */
  async #linkMirror(context: BlockdevContext): Promise<void> {
    if (!this.target.isResumable) return;
    const { nbdNode } = namesOf(this.disk);
    await this.#probe(context);
    await addNode(context, nbdNode, nbdOptions(this.disk, nbdNode));
    await this.target.swap(context, nbdNode);
    await this.target.deleteLinks(context);
  }

  /**
   * Takes everything of ours out of the graph, whatever state it is in.
   * @throws LinkError
   * @throws WaitError
   */
  async detach(context: BlockdevContext): Promise<void> {
    const { mirror, disk } = this;
    const { linkNode, nbdNode } = namesOf(disk);
    await mirror.end({ force: true, ...context });
    await removeChild(context, linkNode);
    await deleteNode(context, linkNode);
    if (await this.hasPivoted(context)) throw this.#pivoted();
    await this.target.delete(context);
    // Goes with the filter above it, unless adding that one failed half-way.
    await deleteNode(context, nbdNode);
  }

  #childOptions() {
    const { linkNode, nbdNode } = namesOf(this.disk);
    if (this.disk.link === 'nbd') return nbdOptions(this.disk, linkNode);
    return {
      driver: 'replication',
      mode: 'primary',
      'node-name': linkNode,
      file: nbdOptions(this.disk, nbdNode),
    } as const;
  }

  /**
   * Whether the guest's disk is the replica, and nothing else: somebody has completed the mirror.
   * @throws GraphError
   */
  async hasPivoted({ qmp, deadline, commandTimeoutMs }: BlockdevContext): Promise<boolean> {
    const disks = await listDisks(qmp, deadline.options(commandTimeoutMs));
    return disks.some(({ topNode }) => topNode === namesOf(this.disk).seedNode);
  }

  #pivoted(): LinkError {
    const { device } = this.disk;
    const { seedNode } = namesOf(this.disk);
    return new LinkError(
      'DRIVER_REMOVE_FAILED',
      `${device} cannot leave its replica (node ${seedNode}): somebody completed the mirror, so ` +
        'the guest writes there, and not to its own disk',
      'Let the secondary take over. Or end this QEMU, and start the VM from its own disk: it has ' +
        'all writes until then.',
    );
  }

  async #probe({ deadline, commandTimeoutMs }: BlockdevContext): Promise<void> {
    if (!this.#probePeer) return;
    await probeNbdServer(this.disk.server, deadline.options(commandTimeoutMs));
  }
}

/** @throws GraphError `DRIVER_NO_QUORUM` */
export function quorumOf(disk: DiskLink, graph: DiskGraph): NonNullable<DiskGraph['quorum']> {
  if (graph.quorum !== undefined) return graph.quorum;
  const { device, link } = disk;
  const { topNode, format } = graph;
  const message = `${device} (node ${topNode}, ${format}) has no quorum for a link ${link}`;
  const remedy = 'Use the link mirror, or start the VM with a quorum on its disk.';
  throw new GraphError('DRIVER_NO_QUORUM', message, remedy);
}

/** What a mirror is given to end before its connection is cut. */
const CANCEL_GRACE_MS = 2000;

/**
 * To be called before connections are yanked, as long as QEMU can drain its disks. One that hangs
 * is left to the yank.
 */
export async function cancelCopies(
  linked: readonly LinkedDisk[],
  commandTimeoutMs: number,
): Promise<void> {
  const timeoutMs = Math.min(CANCEL_GRACE_MS, commandTimeoutMs);
  for (const { mirror, disk } of linked) {
    if (mirror.isOver) continue;
    const deadline = new Deadline(`cancelling the copy of ${disk.device}`, { timeoutMs });
    const ending = mirror.end({ force: true, deadline, commandTimeoutMs: timeoutMs });
    await ending.catch(() => undefined);
  }
}
