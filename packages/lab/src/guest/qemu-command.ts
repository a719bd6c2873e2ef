import type { LabGuest } from './guest.js';
import { defaultRegions, formatRegions, guestDiskName, type OracleRegion } from './regions.js';

/** The command line of a QEMU. LabVm adds the console, QMP and the run directory. */
export interface QemuCommand {
  readonly args: readonly string[];
  /** A library to preload. */
  readonly preload?: string;
}

export interface LabMachine {
  readonly guest: LabGuest;
  /** Never probed for: a /dev/kvm that opens may still be slower than TCG. Default: tcg. */
  readonly accel?: 'tcg' | 'kvm';
  /** Default: pc. With q35, QEMU before 11.1 aborts when COLO starts under TCG. */
  readonly type?: 'pc' | 'q35';
  /** Default: 128. Less memory makes checkpoints faster; the guest needs 96. */
  readonly memoryMb?: number;
  /** Default: `defaultRegions` over all disks. */
  readonly regions?: readonly OracleRegion[];
  /** Pause of each oracle after each request. Default: 0. */
  readonly thinkUs?: number;
  readonly extraArgs?: readonly string[];
  /** Added to the kernel's command line. */
  readonly kernelArgs?: readonly string[] | undefined;
  /** An I/O thread for each disk. Default false. */
  readonly iothreads?: boolean;
  /** A file for its memory, as checkpoints without COLO need it. They need no shim. */
  readonly ram?: string | undefined;
  /** A network card, and a guest that uses it (findNetworkGuest). */
  readonly card?: { readonly tap: string; readonly address: string } | undefined;
}

/** A disk that is a local file. */
export interface LabDisk {
  /** An image, or a block device. */
  readonly path: string;
  /** Default raw. */
  readonly format?: string;
  /** A quorum on top, which can take the replica as a second child. Default true. */
  readonly quorum?: boolean;
  /** Bypass the host's page cache. Default false. */
  readonly direct?: boolean;
}

/** A disk that is an export of a replicator. */
export interface ExportDisk {
  readonly socketPath: string;
  readonly exportName: string;
}

/** The names that the builders give to the parts of disk number `index`, counted from 0. */
export function diskNames(index: number): {
  /** The node of the local file (primary). */
  readonly local: string;
  /** The node of the NBD client (secondary). */
  readonly svm: string;
  /** The node that the device uses, where there is a quorum. */
  readonly quorum: string;
  /** The device. */
  readonly device: string;
  /** The guest's name. */
  readonly guest: string;
} {
  return {
    local: `disk${index}`,
    svm: `svm${index}`,
    quorum: `quorum${index}`,
    device: `vb${index}`,
    guest: guestDiskName(index),
  };
}

/** A VM on local disks: a primary, or a VM that is to become one. */
export function primaryCommand(machine: LabMachine, disks: readonly LabDisk[]): QemuCommand {
  const args = disks.flatMap((disk, index) => {
    const { local } = diskNames(index);
    const cache = disk.direct === true ? ['file.cache.direct=on', 'file.aio=native'] : [];
    const file = [`driver=${disk.format ?? 'raw'}`, `node-name=${local}`, 'file.driver=file'];
    const options = [...file, `file.filename=${escapeComma(disk.path)}`, ...cache];
    const above =
      disk.quorum === false ? deviceArgs(machine, index, local) : quorumArgs(machine, index, local);
    return ['-blockdev', options.join(','), ...above];
  });
  return command(machine, disks.length, args);
}

/**
 * A secondary: the same machine, with exports of a running replicator as disks, waiting for the
 * migration at `incoming`, as -incoming takes it; with `ram` it waits for its daemon.
 */
export function secondaryCommand(
  machine: LabMachine,
  disks: readonly ExportDisk[],
  incoming: string,
): QemuCommand {
  const args = disks.flatMap((disk, index) => {
    const { svm } = diskNames(index);
    const options = [
      'driver=nbd',
      `node-name=${svm}`,
      'server.type=unix',
      `server.path=${escapeComma(disk.socketPath)}`,
      `export=${escapeComma(disk.exportName)}`,
    ];
    return ['-blockdev', options.join(','), ...quorumArgs(machine, index, svm)];
  });
  const waits = machine.ram === undefined ? ['-incoming', incoming] : ['-S'];
  return command(machine, disks.length, [...args, ...waits]);
}

function quorumArgs(machine: LabMachine, index: number, child: string): string[] {
  const { quorum } = diskNames(index);
  const options = `children.0=${child},vote-threshold=1,read-pattern=fifo`;
  return [
    '-blockdev',
    `driver=quorum,node-name=${quorum},${options}`,
    ...deviceArgs(machine, index, quorum),
  ];
}

function deviceArgs({ iothreads = false }: LabMachine, index: number, drive: string): string[] {
  const device = `virtio-blk-pci,id=${diskNames(index).device},drive=${drive}`;
  const address = `addr=0x${(4 + index).toString(16)}`;
  if (!iothreads) return ['-device', `${device},${address}`];
  const thread = `io${index}`;
  return ['-object', `iothread,id=${thread}`, '-device', `${device},${address},iothread=${thread}`];
}

function command(machine: LabMachine, disks: number, diskArgs: readonly string[]): QemuCommand {
  const { guest, accel = 'tcg', type = 'pc', memoryMb = 128 } = machine;
  const { thinkUs = 0, extraArgs = [], kernelArgs = [] } = machine;
  const names = Array.from({ length: disks }, (_, index) => guestDiskName(index));
  const regions = machine.regions ?? defaultRegions(names);
  const append = [
    // On a busy host the kernel may count no ticks of the timer while it checks it, and panic.
    'console=ttyS0 quiet panic=-1 no_timer_check',
    `gannet.oracles=${formatRegions(regions)}`,
    `gannet.think_us=${thinkUs}`,
    ...kernelArgs,
    ...(machine.card ? [`rdinit=/network-init gannet.address=${machine.card.address}`] : []),
  ];
  const memory = machine.ram === undefined ? '' : ',memory-backend=ram0';
  const args = [
    // qemu64 is the same CPU on every host.
    ...['-machine', `${type},accel=${accel}${memory}`, '-cpu', 'qemu64', '-m', `${memoryMb}`],
    // One processor, but with room for a second: with maxcpus=1, TCG drops `lock` prefixes and
    // fences, although virtio's other side runs in another thread, and rarely a notification is
    // lost.
    ...['-smp', '1,maxcpus=2'],
    ...['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', append.join(' ')],
    ...diskArgs,
    ...cardArgs(machine),
    ...ramArgs(machine.ram, memoryMb),
    ...extraArgs,
  ];
  return accel === 'tcg' && machine.ram === undefined ? { args, preload: guest.shim } : { args };
}

function ramArgs(file: string | undefined, memoryMb: number): string[] {
  if (file === undefined) return [];
  const options = `id=ram0,size=${memoryMb}M,mem-path=${escapeComma(file)},share=on`;
  return ['-object', `memory-backend-file,${options}`];
}

function cardArgs({ card }: LabMachine): string[] {
  if (!card) return [];
  const device = 'virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:12:34:56,addr=0x3,romfile=';
  const netdev = `tap,id=net0,ifname=${card.tap},script=no,downscript=no,vhost=off`;
  return ['-netdev', netdev, '-device', device];
}

/** QEMU's option lists double a comma that is part of a value. */
function escapeComma(value: string): string {
  return value.replaceAll(',', ',,');
}
