/**
 * Dirty bitmaps on the primary's own disks: what its guest has written since each was added. They
 * are on the nodes below the quorum, so that they see all writes, whatever is above. They are in
 * QEMU's memory, and end with it. All of ours have names that begin alike.
 */
import type { BlockDeviceInfo, QmpClient } from 'qemu-qmp-client';
import type { Bounds } from '../deadline.js';
import type { DiskLink } from '../disk/disk-link.js';
import { LinkError, step } from '../errors.js';
import { ownNodeOf } from './own-node.js';

const PREFIX = 'gannet-writes-';
/** What a bitmap tells apart. Smaller ones cost memory, larger ones copy more. */
const GRANULARITY_BYTES = 64 * 1024;

/** The bitmaps of one QEMU. */
export class WriteBitmaps {
  readonly #qmp: QmpClient;
  readonly #bounds: Bounds;

  constructor(qmp: QmpClient, bounds: Bounds) {
    this.#qmp = qmp;
    this.#bounds = bounds;
  }

  /**
   * Begins to record the writes to all of these disks. If it fails for one, none is left.
   * @throws LinkError `DRIVER_BITMAP_FAILED`
   * @throws GraphError
   */
  async add(disks: readonly DiskLink[], id: string): Promise<void> {
    const begin = (disk: DiskLink): Promise<void> => this.#add(disk, nameOf(id), false);
    await this.#each(disks, id, begin);
  }

  /**
   * Makes a copy of what is recorded, which does not change any more. If it fails, none is left.
   * @throws LinkError `DRIVER_BITMAP_FAILED`
   * @throws GraphError
   */
  async freeze(disks: readonly DiskLink[], id: string, copy: string): Promise<string> {
    const [name, frozen] = [nameOf(id), nameOf(copy)];
    await this.#each(disks, copy, async (disk) => {
      await this.#add(disk, frozen, true);
      const node = await ownNodeOf(this.#qmp, disk, this.#bounds);
      await this.#run(`merge the bitmap ${name} of node ${node}`, () =>
        this.#qmp.execute(
          'block-dirty-bitmap-merge',
          { node, target: frozen, bitmaps: [name] },
          this.#bounds,
        ),
      );
    });
    return frozen;
  }

  /**
   * Whether this one has recorded, on the disk's own node as it is now, all the time.
   * @throws LinkError `DRIVER_BITMAP_FAILED`
   * @throws GraphError
   */
  async isRecording(disk: DiskLink, id: string): Promise<boolean> {
    const node = await ownNodeOf(this.#qmp, disk, this.#bounds);
    const info = (await this.#nodes()).find((one) => one['node-name'] === node);
    const own = info?.['dirty-bitmaps']?.find(({ name }) => name === nameOf(id));
    return own?.recording === true && own.inconsistent !== true;
  }

  /**
   * Removes all of ours but these, wherever they are. One that is in use stays.
   * @throws LinkError `DRIVER_BITMAP_FAILED` if QEMU could not be asked
   */
  async keepOnly(ids: readonly string[]): Promise<void> {
    const kept = new Set(ids.map(nameOf));
    for (const info of await this.#nodes()) {
      const node = info['node-name'] ?? '';
      for (const { name, busy } of info['dirty-bitmaps'] ?? []) {
        if (name === undefined || !name.startsWith(PREFIX) || kept.has(name) || busy) continue;
        await this.#run(`remove the bitmap ${name} of node ${node}`, () =>
          this.#qmp.execute('block-dirty-bitmap-remove', { node, name }, this.#bounds),
        );
      }
    }
  }

  async #each(
    disks: readonly DiskLink[],
    id: string,
    work: (disk: DiskLink) => Promise<void>,
  ): Promise<void> {
    try {
      for (const disk of disks) await work(disk);
    } catch (error) {
      await this.#drop(nameOf(id)).catch(() => undefined);
      throw error;
    }
  }

  async #add(disk: DiskLink, name: string, disabled: boolean): Promise<void> {
    const node = await ownNodeOf(this.#qmp, disk, this.#bounds);
    const how = { granularity: GRANULARITY_BYTES, persistent: false, disabled };
    await this.#run(`add a bitmap to node ${node}`, () =>
      this.#qmp.execute('block-dirty-bitmap-add', { node, name, ...how }, this.#bounds),
    );
  }

  async #drop(name: string): Promise<void> {
    for (const info of await this.#nodes()) {
      if (info['dirty-bitmaps']?.some((one) => one.name === name) !== true) continue;
      const node = info['node-name'] ?? '';
      await this.#qmp.execute('block-dirty-bitmap-remove', { node, name }, this.#bounds);
    }
  }

  #nodes(): Promise<readonly BlockDeviceInfo[]> {
    return this.#run('list its nodes', () =>
      this.#qmp.execute('query-named-block-nodes', { flat: true }, this.#bounds),
    );
  }

  #run<T>(what: string, run: () => Promise<T>): Promise<T> {
    return step(run, (words, cause) => {
      const remedy =
        'Nothing is lost by it, but if the secondary is lost, its disks are copied as a whole. See ' +
        'whether another program changes the block graph of this QEMU.';
      const message = `QEMU did not ${what}: ${words}`;
      return new LinkError('DRIVER_BITMAP_FAILED', message, remedy, { cause });
    });
  }
}

function nameOf(id: string): string {
  return `${PREFIX}${id}`;
}
