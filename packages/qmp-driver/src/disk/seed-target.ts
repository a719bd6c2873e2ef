/**
 * What a mirror writes to.
 *
 *   without seedExports   mirror ──► seedNode (nbd)
 *   with seedExports      mirror ──► seedNode (raw) ──► seedLinks[n] (nbd)
 *
 * The second kind outlives its connection. An NBD node that was yanked is dead for good (QEMU
 * block/nbd.c, NBD_CLIENT_QUIT), and one whose connection broke may connect again by itself
 * (NBD_CLIENT_CONNECTING_NOWAIT), but blockdev-reopen puts another one below the raw node while the
 * job stands still. It flushes the old one first, which fails on a dead connection unless the
 * server has not offered FLUSH.
 */
import { addNode, type BlockdevContext, deleteNode } from './blockdev.js';
import { LinkError, SeedError, step } from '../errors.js';
import { type DiskLink, namesOf, nbdOptions } from './disk-link.js';
import { probeNbdServer } from './nbd-probe.js';
import { withGuestPaused } from './with-guest-paused.js';
import { yankAll } from '../yank.js';

const RETRY_PAUSE_MS = 200;
const PROBE_TIMEOUT_MS = 2000;
/** After this many refusals by a server that greets, the copy cannot be resumed. */
const REFUSALS_MAX = 3;

/** The nodes that one disk's mirror writes to. */
export class SeedTarget {
  readonly #disk: DiskLink;
  readonly #isThreaded: boolean;
  readonly #probePeer: boolean;
  #current = 0;

  /** @param isThreaded whether the disk is served in an I/O thread */
  constructor(disk: DiskLink, isThreaded: boolean, probePeer: boolean) {
    this.#disk = disk;
    this.#isThreaded = isThreaded;
    this.#probePeer = probePeer;
  }

  get isResumable(): boolean {
    return this.#disk.seedExports !== undefined;
  }

  /** @throws LinkError */
  async add(context: BlockdevContext): Promise<void> {
    const { seedNode } = namesOf(this.#disk);
    const { seedExports } = this.#disk;
    if (seedExports === undefined) {
      await addNode(context, seedNode, nbdOptions(this.#disk, seedNode));
      return;
    }
    this.#current = 0;
    const [link] = namesOf(this.#disk).seedLinks;
    // A node whose connection broke may connect again by itself at its next request, to the export
    // that it was given. If that export began a copy, the copy would silently begin again in the
    // middle, and what was sent before would be lost. So no data goes through that node.
    await addNode(context, link, this.#linkOptions(link, seedExports.begin));
    await deleteNode(context, link);
    await addNode(context, link, this.#linkOptions(link, seedExports.resume));
    await addNode(context, seedNode, this.#options(link));
  }

  /**
   * Replaces a dead connection, as soon as the replicator can be reached. The job is halted.
   * @throws SeedError `DRIVER_SEED_FAILED` if the replicator refuses to go on
   * @throws WaitError
   */
  async reconnect(context: BlockdevContext, onWait: () => void): Promise<void> {
    const { device, seedExports } = this.#disk;
    const dead = namesOf(this.#disk).seedLinks[this.#current === 0 ? 0 : 1];
    const fresh = namesOf(this.#disk).seedLinks[this.#current === 0 ? 1 : 0];
    for (let refusals = 0; ;) {
      onWait();
      // The old connection must have no request under way, and must not connect again.
      const old = { nodes: [dead], chardevs: [], migration: false };
      await yankAll(context.qmp, old, context.commandTimeoutMs);
      const isReachable = await this.#probe(context);
      if (isReachable) {
        try {
          const options = this.#linkOptions(fresh, seedExports?.resume ?? '');
          await addNode(context, fresh, options);
          break;
        } catch (error) {
          if (!(error instanceof LinkError)) throw error;
          refusals += 1;
          if (refusals >= REFUSALS_MAX) throw refused(device, error);
        }
      }
      await context.deadline.pause(RETRY_PAUSE_MS);
    }
    await this.swap(context, fresh);
    await deleteNode(context, dead);
    this.#current = 1 - this.#current;
  }

  /**
   * Puts the NBD node `link` below the mirror. QEMU drains the mirror for that, but not the guest,
   * whose writes go there too: in an I/O thread one of them met a node without a child, and QEMU
   * 7.2 crashed.
   * @throws LinkError `DRIVER_ADD_FAILED`
   */
  async swap(context: BlockdevContext, link: string): Promise<void> {
    const { qmp, deadline, commandTimeoutMs } = context;
    const options = [this.#options(link)];
    const bounds = deadline.options(commandTimeoutMs);
    const send = (): Promise<unknown> => qmp.execute('blockdev-reopen', { options }, bounds);
    await step(
      () => (this.#isThreaded ? withGuestPaused(qmp, bounds, send) : send()),
      (words, cause) => {
        const message = `the mirror of ${this.#disk.device} can't be put on node ${link}: ${words}`;
        return new LinkError('DRIVER_ADD_FAILED', message, 'Protect the VM again.', { cause });
      },
    );
  }

  /**
   * Deletes what is left of the copy's own nodes.
   * @throws LinkError `DRIVER_REMOVE_FAILED`
   */
  async delete(context: BlockdevContext): Promise<void> {
    const { seedNode, seedLinks } = namesOf(this.#disk);
    await deleteNode(context, seedNode);
    await this.deleteLinks(context, seedLinks);
  }

  async deleteLinks(
    context: BlockdevContext,
    links: readonly string[] = namesOf(this.#disk).seedLinks,
  ): Promise<void> {
    if (!this.isResumable) return;
    for (const link of links) await deleteNode(context, link);
  }

  async #probe({ deadline }: BlockdevContext): Promise<boolean> {
    if (!this.#probePeer) return true;
    try {
      await probeNbdServer(this.#disk.server, deadline.options(PROBE_TIMEOUT_MS));
      return true;
    } catch (error) {
      if (error instanceof LinkError) return false;
      throw error;
    }
  }

  #linkOptions(node: string, exportName: string) {
    return { ...nbdOptions(this.#disk, node, exportName), discard: 'unmap' } as const;
  }

  #options(link: string) {
    const { seedNode } = namesOf(this.#disk);
    return { driver: 'raw', 'node-name': seedNode, file: link, discard: 'unmap' } as const;
  }
}

function refused(device: string, cause: LinkError): SeedError {
  return new SeedError(
    'DRIVER_SEED_FAILED',
    `the replicator refuses to go on with the copy of ${device}: ${cause.message}`,
    'It was restarted, or has given up the copy: protect the VM again, from the beginning.',
    { cause },
  );
}
