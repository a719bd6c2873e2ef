/**
 * The disk of a primary VM and of its secondary, without the VMs: two QEMUs that a load goes
 * through, as set up by each contender's own documentation.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskLimits, LabDaemon, type SlowHost } from '@gannet/lab';
import type { LinkKind } from '@gannet/qmp-driver';
import { BlockLayer } from './qemu.js';
import { BenchError, type Scope } from './scope.js';
import { slowHost } from './slow-host.js';

const MIB = 1024 * 1024;
const SETTLE_MS = 60_000;
/**
 * For what both sides write between two checkpoints and what is not written back yet; COLO's RAM
 * disks hold as much.
 */
const MEMORY = { soft: 2048 * MIB, hard: 2560 * MIB };

export interface Pair {
  /** Where the primary's load goes. */
  readonly primaryUri: string;
  /** Where the secondary's goes; none where there is no secondary. */
  readonly secondaryUri: string | undefined;
  /** Both loads rest. */
  checkpoint(): Promise<void>;
  /** @throws BenchError when something went wrong that the loads were not told of */
  check(): Promise<void> | void;
  /** Waits until nothing is being written back. */
  settled(): Promise<void>;
  /** After a checkpoint, lifts the limits and compares the disks. */
  compare(): Promise<void>;
}

export interface PairOptions {
  readonly scope: Scope;
  readonly sizeBytes: number;
  /** Of the disk of each host; none by default. */
  readonly limits?: DiskLimits | undefined;
}

/** Two hosts, each with a disk that holds the same data. */
class Hosts {
  private constructor(
    private readonly options: PairOptions,
    readonly folder: string,
    private readonly slow: { readonly primary: SlowHost; readonly secondary: SlowHost } | undefined,
  ) {}

  static async create(options: PairOptions): Promise<Hosts> {
    const { scope, limits, sizeBytes } = options;
    const folder = await scope.folder();
    const slow = limits && {
      primary: await slowHost(scope, limits),
      secondary: await slowHost(scope, limits),
    };
    for (const name of ['primary.raw', 'secondary.raw']) {
      const to = [`of=${path.join(folder, name)}`, 'bs=4M', `count=${sizeBytes / 4 / MIB}`];
      // Written, so that no request of the load has to allocate.
      await scope.run(['dd', 'if=/dev/zero', 'oflag=direct', ...to]);
    }
    return new Hosts(options, folder, slow);
  }

  async place(side: 'primary' | 'secondary', pid: number | undefined): Promise<void> {
    if (pid !== undefined) await this.slow?.[side].take(pid);
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** The primary's QEMU: a quorum over the local file. */
  async primary(): Promise<BlockLayer> {
    const { scope } = this.options;
    const layer = await BlockLayer.start(scope, await scope.folder(), [
      '-blockdev',
      `driver=raw,node-name=disk0,file.driver=file,file.filename=${this.file('primary.raw')},` +
        'file.cache.direct=on,file.aio=native',
      '-blockdev',
      'driver=quorum,node-name=quorum0,children.0=disk0,vote-threshold=1,read-pattern=fifo',
    ]);
    await this.place('primary', layer.running.pid);
    return layer;
  }

  async compare(primaryUri: string, secondaryUri: string): Promise<void> {
    await this.slow?.primary.limit(undefined);
    await this.slow?.secondary.limit(undefined);
    const command = ['qemu-img', 'compare', '-f', 'raw', '-F', 'raw', primaryUri, secondaryUri];
    await this.options.scope.run(command);
  }
}

/** @throws BenchError when QEMU reported an error of a child that its quorum has got over */
function expectNoTrouble(...layers: readonly BlockLayer[]): void {
  for (const { troubles, running } of layers) {
    if (running.isOver) throw new BenchError(`QEMU ended: ${running.stderrTail}`);
    if (troubles.length > 0) throw new BenchError(`QEMU swallowed an error: ${troubles[0]}`);
  }
}

/** The quorum over the local disk, alone. */
export async function nativePair(options: PairOptions): Promise<Pair> {
  const hosts = await Hosts.create(options);
  const primary = await hosts.primary();
  return {
    primaryUri: await primary.export('quorum0'),
    secondaryUri: undefined,
    checkpoint: () => Promise.resolve(),
    settled: () => Promise.resolve(),
    check: () => expectNoTrouble(primary),
    compare: () => Promise.resolve(),
  };
}

/**
 * QEMU's own COLO (docs/COLO-FT.txt, docs/block-replication.txt). Its notes ask for the active and
 * the hidden disk in a RAM disk.
 */
export async function coloPair(options: PairOptions, where: 'disk' | 'memory'): Promise<Pair> {
  const { scope, sizeBytes } = options;
  const hosts = await Hosts.create(options);
  const overlays = await scope.folder(where);
  for (const name of ['active.qcow2', 'hidden.qcow2']) {
    await scope.run([
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      path.join(overlays, name),
      `${sizeBytes}`,
    ]);
  }
  const direct = (prefix: string): string => `,${prefix}cache.direct=on,${prefix}aio=native`;
  const overlay = (prefix: string, name: string): string =>
    `${prefix}driver=qcow2,${prefix}file.driver=file,` +
    `${prefix}file.filename=${path.join(overlays, name)}` +
    (where === 'disk' ? direct(`${prefix}file.`) : '');
  const secondary = await BlockLayer.start(scope, await scope.folder(), [
    '-drive',
    `if=none,id=parent0,driver=raw,file.driver=file,file.filename=${hosts.file('secondary.raw')}` +
      direct('file.'),
    '-drive',
    'if=none,id=childs0,driver=replication,mode=secondary,top-id=colo-disk0,' +
      `${overlay('file.', 'active.qcow2')},${overlay('file.backing.', 'hidden.qcow2')},` +
      'file.backing.backing=parent0',
    '-drive',
    'if=none,id=colo-disk0,node-name=quorum0,driver=quorum,read-pattern=fifo,vote-threshold=1,' +
      'children.0=childs0',
  ]);
  await hosts.place('secondary', secondary.running.pid);
  await secondary.do('nbd-server-add', { device: 'parent0', writable: true });
  await secondary.do('xen-set-replication', { enable: true, primary: false });
  const primary = await hosts.primary();
  await linkTo(primary, 'replication', secondary.socketPath, 'parent0');
  const primaryUri = await primary.export('quorum0');
  const secondaryUri = await secondary.export('quorum0');
  return {
    primaryUri,
    secondaryUri,
    checkpoint: async () => {
      await secondary.do('xen-colo-do-checkpoint');
    },
    settled: () => Promise.resolve(),
    check: async () => {
      expectNoTrouble(primary, secondary);
      await secondary.do('query-xen-replication-status').then((status) => {
        const { error, desc } = status as { error: boolean; desc?: string };
        if (error) throw new BenchError(`replication failed: ${desc ?? ''}`);
      });
    },
    compare: () => hosts.compare(primaryUri, secondaryUri),
  };
}

/** Gannet as its README says: `gannet secondary`, checkpoints by call. */
export async function gannetPair(options: PairOptions, link: LinkKind): Promise<Pair> {
  const { scope } = options;
  const hosts = await Hosts.create(options);
  const folder = await scope.folder();
  const nbd = path.join(folder, 'nbd.sock');
  const daemon = await LabDaemon.start({
    role: 'secondary',
    dir: folder,
    config: {
      vm: 'bench',
      control: path.join(folder, 'control.sock'),
      qmp: `unix:${path.join(folder, 'none.sock')}`,
      disks: [{ name: 'disk', device: 'disk0', base: hosts.file('secondary.raw') }],
      secondary: { nbd: `unix:${nbd}`, source: 'external', overwrite: true, memory: MEMORY },
    },
  });
  scope.defer(async () => {
    await daemon.kill();
  });
  await hosts.place('secondary', daemon.pid);
  const primary = await hosts.primary();
  const primaryUri = await primary.export('quorum0');
  await linkTo(primary, link, nbd, 'pvm');
  const checkpoint = async (): Promise<void> => {
    await daemon.client.call('seal');
    await daemon.client.call('commit');
  };
  await checkpoint();
  const server = `server.type=unix,server.path=${nbd}`;
  const secondary = await BlockLayer.start(scope, await scope.folder(), [
    '-blockdev',
    `driver=nbd,node-name=svm0,${server},export=svm`,
    '-blockdev',
    'driver=quorum,node-name=quorum0,children.0=svm0,vote-threshold=1,read-pattern=fifo',
  ]);
  await hosts.place('secondary', secondary.running.pid);
  const secondaryUri = await secondary.export('quorum0');
  return {
    primaryUri,
    secondaryUri,
    checkpoint,
    settled: async () => {
      const isBusy = async (): Promise<boolean> => {
        const status = (await daemon.client.call('status')) as {
          disks: { epochsToWriteBack: number }[];
        };
        return status.disks.some(({ epochsToWriteBack }) => epochsToWriteBack > 0);
      };
      const deadlineMs = performance.now() + SETTLE_MS;
      while (await isBusy()) {
        if (performance.now() > deadlineMs) throw new BenchError('write-back does not end');
        await sleep(20);
      }
    },
    check: async () => {
      expectNoTrouble(primary, secondary);
      const status = (await daemon.client.call('status')) as Record<string, unknown>;
      if (status['state'] !== 'protected' || status['link'] !== 'connected') {
        throw new BenchError(`Gannet gave up: ${JSON.stringify(status)}`);
      }
    },
    compare: () => hosts.compare(primaryUri, secondaryUri),
  };
}

/**
 * The steps of QEMU's documentation for a new child; the mirror copies nothing, since the disks are
 * equal.
 */
async function linkTo(
  primary: BlockLayer,
  kind: LinkKind,
  socketPath: string,
  exportName: string,
): Promise<void> {
  const nbd = { driver: 'nbd', server: { type: 'unix', path: socketPath }, export: exportName };
  if (kind === 'mirror') {
    await primary.do('blockdev-add', { ...nbd, 'node-name': 'link0' });
    await primary.do('blockdev-mirror', {
      ...{ 'job-id': 'link', device: 'quorum0', target: 'link0', sync: 'none' },
      'copy-mode': 'write-blocking',
    });
    await primary.qmp.waitForEvent('BLOCK_JOB_READY', { timeoutMs: 10_000 });
    return;
  }
  const node = kind === 'nbd' ? nbd : { driver: 'replication', mode: 'primary', file: nbd };
  await primary.do('blockdev-add', { ...node, 'node-name': 'link0' });
  await primary.do('x-blockdev-change', { parent: 'quorum0', node: 'link0' });
  if (kind === 'replication') {
    await primary.do('xen-set-replication', { enable: true, primary: true });
  }
}
