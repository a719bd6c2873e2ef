/**
 * The primary's own disks, read-only over NBD on a unix socket, while its guest runs.
 *
 * QEMU has one NBD server for each process (QEMU blockdev-nbd.c, nbd_server). If somebody else uses
 * it, it is left alone. A reader may see a guest's write that the replica has not seen yet, and the
 * other way round.
 */
import { rm } from 'node:fs/promises';
import type { QmpClient } from 'qemu-qmp-client';
import { type DiskLink, namesOf } from '../disk/disk-link.js';
import { findDisk } from '../disk/graph.js';
import type { Bounds } from '../deadline.js';
import { LinkError, step } from '../errors.js';

/** Of the ids of our exports; ids and export names are the same. */
const PREFIX = 'gannet-own-';

/** Read-only exports of the primary's own disks, which its daemon makes for a comparison. */
export class OwnDisks {
  readonly #qmp: QmpClient;
  readonly #timeoutMs: number;
  readonly #exports: string[] = [];

  private constructor(
    qmp: QmpClient,
    /** Path of the socket. */
    readonly path: string,
    timeoutMs: number,
  ) {
    this.#qmp = qmp;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Call close() when they have been read.
   * @param path of the socket; QEMU creates it, so the folder must be one where it may
   * @throws LinkError `DRIVER_EXPORT_FAILED`
   * @throws GraphError `DRIVER_DISK_NOT_FOUND`
   * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
   * @throws WaitError
   */
  static async open(
    qmp: QmpClient,
    disks: readonly DiskLink[],
    path: string,
    { timeoutMs }: Bounds,
  ): Promise<OwnDisks> {
    const own = new OwnDisks(qmp, path, timeoutMs);
    await own.#clearLeftovers();
    await own.#start();
    try {
      for (const disk of disks) await own.#add(disk);
      return own;
    } catch (error) {
      await own.close().catch(() => undefined);
      throw error;
    }
  }

  /** Name of the export of a disk. */
  exportOf({ id }: DiskLink): string {
    return `${PREFIX}${id}`;
  }

  /**
   * Ends all connections, and QEMU's NBD server.
   * @throws LinkError `DRIVER_EXPORT_FAILED`
   * @throws WaitError
   */
  async close(): Promise<void> {
    for (const id of this.#exports.splice(0)) await this.#delete(id);
    await this.#stop();
    await rm(this.path, { force: true }).catch(() => undefined);
  }

  async #start(): Promise<void> {
    const addr = { type: 'unix', data: { path: this.path } } as const;
    await this.#run(`start its NBD server on ${this.path}`, (bounds) =>
      this.#qmp.execute('nbd-server-start', { addr }, bounds),
    );
  }

  async #stop(): Promise<void> {
    await this.#run('stop its NBD server', (bounds) =>
      this.#qmp.execute('nbd-server-stop', {}, bounds),
    );
  }

  async #add(disk: DiskLink): Promise<void> {
    const bounds = { timeoutMs: this.#timeoutMs };
    const { quorum, topNode } = await findDisk(this.#qmp, disk.device, bounds);
    const { linkNode } = namesOf(disk);
    const local = quorum?.children.find(({ node }) => node !== linkNode);
    const id = this.exportOf(disk);
    const node = local?.node ?? topNode;
    await this.#run(`export node ${node}`, (within) =>
      this.#qmp.execute(
        'block-export-add',
        { type: 'nbd', id, name: id, 'node-name': node, writable: false },
        within,
      ),
    );
    this.#exports.push(id);
  }

  async #delete(id: string): Promise<void> {
    await this.#run(`remove the export ${id}`, (bounds) =>
      this.#qmp.execute('block-export-del', { id, mode: 'hard' }, bounds),
    );
  }

  /** A daemon that was killed has left its exports and the server. */
  async #clearLeftovers(): Promise<void> {
    const all = await this.#run('list its exports', (bounds) =>
      this.#qmp.execute('query-block-exports', {}, bounds),
    );
    const ours = all.filter(({ id }) => id.startsWith(PREFIX));
    for (const { id } of ours) await this.#delete(id);
    const isUsed = all.some(({ id, type }) => type === 'nbd' && !id.startsWith(PREFIX));
    if (ours.length === 0 || isUsed) return;
    await this.#stop();
  }

  #run<T>(what: string, run: (bounds: Bounds) => Promise<T>): Promise<T> {
    return step(
      () => run({ timeoutMs: this.#timeoutMs }),
      (words, cause) => {
        const remedy =
          "If another program uses this QEMU's NBD server, wait until it is done; if none does, " +
          'stop the server with the QMP command nbd-server-stop. QEMU must be able to create ' +
          'the socket.';
        const message = `QEMU did not ${what}: ${words}`;
        return new LinkError('DRIVER_EXPORT_FAILED', message, remedy, { cause });
      },
    );
  }
}
