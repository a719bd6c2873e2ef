/**
 * The primary's own disks, read-only over NBD on a unix socket, while its guest runs.
 *
 * QEMU has one NBD server for each process (QEMU blockdev-nbd.c, nbd_server). If somebody else uses
 * it, it is left alone. A reader may see a guest's write that the replica has not seen yet, and the
 * other way round.
 */
import { rm, stat } from 'node:fs/promises';
import type { QmpClient, ReturnOf } from 'qemu-qmp-client';
import type { DiskLink } from '../disk/disk-link.js';
import { type Bounds, Deadline } from '../deadline.js';
import { LinkError, step } from '../errors.js';
import { ownNodeOf } from './own-node.js';

/** Of the ids of our exports; ids and export names are the same. */
const PREFIX = 'gannet-own-';
const POLL_MS = 20;

function isOurs({ id }: ReturnOf<'query-block-exports'>[number]): boolean {
  return id.startsWith(PREFIX);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Read-only exports of the primary's own disks, which its daemon makes for a comparison. */
export class OwnDisks {
  readonly #qmp: QmpClient;
  readonly #timeoutMs: number;
  readonly #bitmap: string | undefined;
  readonly #exports: string[] = [];

  private constructor(
    qmp: QmpClient,
    /** Path of the socket. */
    readonly path: string,
    timeoutMs: number,
    bitmap: string | undefined,
  ) {
    this.#bitmap = bitmap;
    this.#qmp = qmp;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Call close() when they have been read.
   * @param path of the socket; QEMU creates it, so the folder must be one where it may
   * @param bitmap is offered with each disk, as metadata context `qemu:dirty-bitmap:BITMAP`; it must
   *   be disabled
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
    bitmap?: string,
  ): Promise<OwnDisks> {
    const own = new OwnDisks(qmp, path, timeoutMs, bitmap);
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
   * Ends all connections, and QEMU's NBD server. Where a read of an export hangs on its storage,
   * the server is left: to stop it would make QEMU wait for that read. The next open() clears it.
   *
   * @throws LinkError `DRIVER_EXPORT_FAILED`
   * @throws WaitError
   */
  async close(): Promise<void> {
    for (const id of this.#exports.splice(0)) await this.#delete(id);
    await this.#untilGone();
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
    const id = this.exportOf(disk);
    const node = await ownNodeOf(this.#qmp, disk, bounds);
    const bitmaps = this.#bitmap === undefined ? {} : { bitmaps: [this.#bitmap] };
    await this.#run(`export node ${node}`, (within) =>
      this.#qmp.execute(
        'block-export-add',
        { type: 'nbd', id, name: id, 'node-name': node, writable: false, ...bitmaps },
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
    const all = await this.#all();
    const ours = all.filter(isOurs);
    // One that is shutting down hangs on its storage, and can't be deleted twice.
    for (const { id } of ours.filter((one) => !one['shutting-down'])) await this.#delete(id);
    await this.#untilGone();
    const isUsed = all.some((one) => one.type === 'nbd' && !isOurs(one));
    if (isUsed) return;
    if (ours.length > 0) await this.#stop();
    // Its exports went when their storage responded again; or it went with another QEMU.
    else if (await exists(this.path)) await this.#stop().catch(() => undefined);
  }

  #all(): Promise<ReturnOf<'query-block-exports'>> {
    return this.#run('list its exports', (bounds) =>
      this.#qmp.execute('query-block-exports', {}, bounds),
    );
  }

  /** QEMU has deleted our exports: that takes as long as what was read of them. */
  async #untilGone(): Promise<void> {
    const deadline = new Deadline('the end of an export', { timeoutMs: this.#timeoutMs });
    for (let left = await this.#all(); left.some(isOurs); left = await this.#all()) {
      await deadline.pause(POLL_MS);
    }
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
