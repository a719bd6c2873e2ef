import type { DeviceReport, DiskReport, VmReport } from '../../src/index.js';

const GIB = 2 ** 30;

export function diskReport(over: Partial<DiskReport> = {}): DiskReport {
  return {
    device: 'vb0',
    names: ['vb0', '/machine/peripheral/vb0/virtio-backend', 'quorum0'],
    topNode: 'quorum0',
    sizeBytes: GIB,
    format: 'quorum',
    quorum: { node: 'quorum0', children: [{ child: 'children.0', node: 'disk0' }] },
    nodes: ['quorum0', 'disk0', 'file0'],
    jobs: [],
    leaves: [{ node: 'file0', driver: 'file', filename: '/vm/disk.raw' }],
    readOnly: false,
    removable: false,
    ...over,
  };
}

export function deviceReport(over: Partial<DeviceReport> = {}): DeviceReport {
  return {
    id: 'vb0',
    path: '/machine/peripheral/vb0',
    type: 'virtio-blk-pci',
    bus: 'pci.0',
    busPath: '/machine/i440fx/pci.0',
    address: '04.0',
    implicit: false,
    properties: { drive: 'quorum0', vectors: 3 },
    opaque: [],
    ...over,
  };
}

/** A sound primary. */
export function primaryReport(over: Partial<VmReport> = {}): VmReport {
  return {
    version: { major: 7, minor: 2, micro: 22, package: 'Debian' },
    oob: true,
    status: 'running',
    migration: 'none',
    blockedReasons: [],
    coloCapable: true,
    drivers: ['nbd', 'quorum', 'replication'],
    disks: [diskReport()],
    nodes: ['file0', 'disk0', 'quorum0'],
    colo: { mode: 'none', 'last-mode': 'none', reason: 'none' },
    target: 'x86_64',
    accelerator: 'kvm',
    machine: {
      type: 'pc-i440fx-7.2',
      options: { usb: false, vmport: 'on', firmware: 'bios-256k.bin' },
      flash: {},
      boot: { order: 'cad' },
    },
    cpu: {
      model: 'qemu64',
      features: {},
      flags: ['sse', 'sse2'],
      topology: { cpus: 2, maxcpus: 2, sockets: 1, cores: 2, threads: 1 },
    },
    memory: { sizeBytes: GIB },
    ramBlocks: { 'pc.ram': GIB },
    devices: [deviceReport()],
    objects: [],
    netdevs: [],
    chardevs: [],
    monitors: [
      { id: 'compat_monitor0', filename: 'unix:/run/a.qmp,server=on', connected: true },
      { id: 'compat_monitor1', filename: 'disconnected:unix:/run/b.qmp', connected: false },
    ],
    ...over,
  };
}

/** The secondary that fits primaryReport(). */
export function secondaryReport(over: Partial<VmReport> = {}): VmReport {
  const leaf = { node: 'svm0', driver: 'nbd', filename: 'nbd+unix:///svm?socket=/run/r.nbd' };
  return primaryReport({
    status: 'inmigrate',
    disks: [diskReport({ leaves: [leaf] })],
    nodes: ['svm0', 'quorum0'],
    ...over,
  });
}

export function omit<T extends object, K extends keyof T & string>(from: T, key: K): Omit<T, K> {
  const rest = Object.entries(from).filter(([name]) => name !== key);
  return Object.fromEntries(rest) as unknown as Omit<T, K>;
}
