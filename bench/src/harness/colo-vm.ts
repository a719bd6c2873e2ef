/** Stock COLO between two VMs, as QEMU's docs/COLO-FT.txt has it. */
import path from 'node:path';
import { LabVm, type QemuCommand } from '@gannet/lab';
import { type ComparedCard, PrimaryDriver, SecondaryDriver } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import { BenchError, type Scope } from './scope.js';

export interface ColoOptions {
  readonly scope: Scope;
  /** For the secondary's sockets. */
  readonly folder: string;
  /** Where the active and the hidden disk are. */
  readonly overlays: string;
  readonly primary: LabVm;
  /** How the primary was started, with the secondary's card. Its first disk is protected. */
  readonly command: QemuCommand;
  /** See LabVmOptions. */
  readonly qemu?: readonly string[] | undefined;
  /** Cards whose packets are compared. */
  readonly cards?: readonly ComparedCard[] | undefined;
  /** The secondary's disk, a raw image. */
  readonly disk: string;
  readonly sizeBytes: number;
  readonly periodMs: number;
  /** Bypass the page cache of the host: for limited disks. The overlays too, if they are on one. */
  readonly direct?: 'disk' | 'disk and overlays' | undefined;
  /** Called before anything is copied. */
  readonly onStarted?: ((secondary: LabVm) => Promise<void>) | undefined;
}

export interface ColoSecondary {
  readonly vm: LabVm;
  /** How many there have been since COLO runs. */
  readonly checkpoints: () => number;
  close(): Promise<void>;
}

/** Starts the secondary; returns when COLO runs. A mirror copies the disk before. */
export async function startColo(options: ColoOptions): Promise<ColoSecondary> {
  const { scope, folder, overlays, command, qemu, sizeBytes, periodMs } = options;
  const network = options.cards ?? [];
  const file = (name: string): string => path.join(folder, name);
  for (const name of ['active.qcow2', 'hidden.qcow2']) {
    const image = path.join(overlays, name);
    await scope.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, `${sizeBytes}`]);
  }
  const incoming = `unix:${file('incoming.sock')}`;
  const { preload } = command;
  const vm = await LabVm.start({
    ...{ name: 'colo-svm', dir: folder },
    args: [...withoutFirstDisk(command.args), ...coloDrives(options), '-incoming', incoming],
    ...(preload === undefined ? {} : { preload }),
    ...(qemu === undefined ? {} : { qemu }),
  });
  scope.defer(() => vm.dispose());
  await options.onStarted?.(vm);
  const [pvm, svm] = await Promise.all(
    [options.primary, vm].map((each) =>
      QmpClient.connect({ target: { kind: 'unix', path: each.qmpPaths[1] } }),
    ),
  );
  if (!pvm || !svm) throw new BenchError('no QMP');
  const nbd = file('nbd.sock');
  await svm.executeRaw('nbd-server-start', { addr: { type: 'unix', data: { path: nbd } } });
  await svm.executeRaw('nbd-server-add', { device: 'parent0', writable: true });
  await new SecondaryDriver(svm, { network }).prepare();
  const driver = new PrimaryDriver(pvm, { network });
  const server = { type: 'unix', path: nbd } as const;
  const disks = [
    { device: 'vb0', link: 'replication', server, export: 'parent0', id: 'bench0' } as const,
  ];
  await driver.seed(disks);
  await driver.attach(disks);
  await driver.start({ uri: incoming, periodMs, timeoutMs: 120_000 });
  await driver.finishSeed();
  let checkpoints = 0;
  svm.onEvent('RESUME', () => checkpoints++);
  return {
    vm,
    checkpoints: () => checkpoints,
    close: async () => {
      await Promise.all([pvm.close(), svm.close()]);
      await vm.dispose();
    },
  };
}

/** Of the lab's command lines: disk0 and the quorum above it. */
function withoutFirstDisk(args: readonly string[]): string[] {
  const isOfIt = (value: string | undefined): boolean =>
    /node-name=(disk|quorum)0\b/.test(value ?? '');
  return args.filter(
    (arg, at) =>
      !(arg === '-blockdev' && isOfIt(args[at + 1])) &&
      !(args[at - 1] === '-blockdev' && isOfIt(arg)),
  );
}

/** The top one has the name that the device asks for. */
function coloDrives({ disk, overlays, direct }: ColoOptions): string[] {
  const unbuffered = (prefix: string): string => `,${prefix}cache.direct=on,${prefix}aio=native`;
  const overlay = (prefix: string, name: string): string =>
    `${prefix}driver=qcow2,${prefix}file.driver=file,` +
    `${prefix}file.filename=${path.join(overlays, name)}` +
    (direct === 'disk and overlays' ? unbuffered(`${prefix}file.`) : '');
  return [
    '-drive',
    `if=none,id=parent0,driver=raw,file.driver=file,file.filename=${disk}` +
      (direct === undefined ? '' : unbuffered('file.')),
    '-drive',
    'if=none,id=childs0,driver=replication,mode=secondary,top-id=quorum0,' +
      `${overlay('file.', 'active.qcow2')},${overlay('file.backing.', 'hidden.qcow2')},` +
      'file.backing.backing=parent0',
    '-drive',
    'if=none,id=quorum0,driver=quorum,read-pattern=fifo,vote-threshold=1,children.0=childs0',
  ];
}
