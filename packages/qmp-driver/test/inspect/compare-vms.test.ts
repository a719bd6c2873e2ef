import { describe, expect, test } from '@jest/globals';
import {
  checkSecondary,
  comparePair,
  type DiskLink,
  type DiskPair,
  FINDING_CODES,
  type FindingCode,
  shimFinding,
  type VmReport,
} from '../../src/index.js';
import {
  deviceReport,
  diskReport,
  omit,
  primaryReport,
  secondaryReport,
} from '../support/reports.js';

const LINK: DiskLink = {
  id: 'disk0',
  device: 'vb0',
  link: 'replication',
  server: { type: 'unix', path: '/run/r.nbd' },
  export: 'pvm',
};
const DISKS: readonly DiskPair[] = [{ link: LINK, secondary: { export: 'svm' } }];

function linkOf(over: Partial<DiskLink>): readonly DiskPair[] {
  return [{ link: { ...LINK, ...over }, secondary: { export: 'svm' } }];
}

function nbd(filename: string): Partial<VmReport> {
  return { disks: [diskReport({ leaves: [{ node: 'svm0', driver: 'nbd', filename }] })] };
}

interface Case {
  readonly what: string;
  readonly primary?: Partial<VmReport>;
  readonly secondary?: Partial<VmReport> | 'absent';
  readonly disks?: readonly DiskPair[];
  /** Severity, code and device of each finding. */
  readonly finds: readonly string[];
  readonly says?: string;
}

const { machine, cpu, version, monitors } = primaryReport();
const nic = deviceReport({
  id: 'nic0',
  path: '/machine/peripheral/nic0',
  type: 'virtio-net-pci',
  address: '05.0',
  properties: { mac: '52:54:00:00:00:01', netdev: 'net0', romfile: 'a.rom' },
});

const CASES: readonly Case[] = [
  { what: 'nothing', finds: [] },
  // The primary
  {
    what: 'the range that cannot enter COLO',
    primary: { version: { ...version, major: 10, minor: 0, micro: 6 } },
    secondary: { version: { ...version, major: 10, minor: 0, micro: 6 } },
    finds: ['error colo-broken-version', 'error colo-broken-version'],
    says: '10.0.0 to 10.0.6',
  },
  {
    what: 'the release after it',
    primary: { version: { ...version, major: 10, minor: 0, micro: 7 } },
    secondary: { version: { ...version, major: 10, minor: 0, micro: 7 } },
    finds: [],
  },
  {
    what: 'no x-colo on either side',
    primary: { coloCapable: false },
    secondary: { coloCapable: false },
    finds: ['error colo-not-built', 'error colo-not-built'],
    says: "the secondary's QEMU is not COLO capable",
  },
  {
    what: 'drivers',
    primary: { drivers: ['nbd', 'quorum'] },
    finds: ['error driver-missing'],
    says: 'replication',
  },
  { what: 'no oob', primary: { oob: false }, finds: ['error oob-missing'] },
  { what: 'a stopped guest', primary: { status: 'paused' }, finds: ['error not-running'] },
  { what: 'a migration', primary: { migration: 'active' }, finds: ['error migration-under-way'] },
  {
    what: 'a migration, with a status that came with QEMU 9.1',
    primary: { migration: 'postcopy-recover-setup' },
    finds: ['error migration-under-way'],
  },
  {
    what: 'blocks of memory',
    primary: { ramBlocks: { 'pc.ram': 1, 'system.flash0': 2, 'vga.vram': 3 } },
    secondary: { ramBlocks: { 'pc.ram': 1, 'vga.vram': 4, 'e1000.rom': 5 } },
    finds: ['error memory-differs', 'error memory-differs', 'warning memory-differs'],
    says: 'system.flash0: 2 bytes on the primary, missing on the secondary',
  },
  {
    what: 'blocks of memory that one side cannot tell',
    secondary: { ramBlocks: {} },
    finds: [],
  },
  {
    what: 'a disk that is not there',
    disks: linkOf({ device: 'vdz' }),
    finds: ['error disk-not-found vdz', 'error drive-not-covered vb0', 'error disk-not-found vdz'],
    says: 'on the secondary: no disk "vdz"; QEMU has vb0 (node quorum0)',
  },
  {
    what: 'a disk that nobody protects',
    primary: { disks: [diskReport(), scratch({})] },
    finds: ['error drive-not-covered vb1'],
    says: 'vb1 (node scratch) is written, and it is not protected',
  },
  {
    what: 'one that is only read',
    primary: { disks: [diskReport(), scratch({ readOnly: true })] },
    finds: ['warning drive-not-covered vb1'],
  },
  {
    what: 'a medium in a drive',
    primary: { disks: [diskReport(), scratch({ removable: true })] },
    finds: ['warning drive-not-covered vb1'],
  },
  {
    what: 'a disk under two names',
    disks: [...DISKS, ...linkOf({ device: 'quorum0', id: 'disk1' })],
    finds: ['error disk-named-twice quorum0'],
  },
  {
    what: 'no quorum',
    primary: { disks: [omitQuorum()] },
    finds: ['error no-quorum vb0'],
    says: 'node quorum0',
  },
  {
    what: 'no quorum, but a link that needs none',
    primary: { disks: [omitQuorum()], drivers: ['nbd'] },
    disks: linkOf({ link: 'mirror' }),
    finds: [],
  },
  {
    what: 'an I/O thread, and a link that changes the quorum',
    primary: { disks: [{ ...primaryReport().disks[0], iothread: 'io0' } as never] },
    finds: ['error quorum-in-iothread vb0'],
    says: 'has the I/O thread io0',
  },
  {
    what: 'an I/O thread, and a link that leaves the quorum alone',
    primary: { disks: [{ ...primaryReport().disks[0], iothread: 'io0' } as never] },
    disks: linkOf({ link: 'mirror' }),
    finds: [],
  },
  {
    what: 'a block job',
    primary: { disks: [diskReport({ jobs: ['backup0'] })] },
    finds: ['error job-in-the-way vb0'],
    says: 'backup0',
  },
  {
    what: 'our own nodes',
    primary: { nodes: ['quorum0', 'disk0-seed'] },
    finds: ['error already-linked vb0'],
  },
  {
    what: 'a protected VM, whose secondary is left alone',
    primary: { migration: 'colo', status: 'colo', nodes: ['disk0-link'] },
    secondary: 'absent',
    finds: ['info already-protected'],
  },
  {
    what: 'q35 under TCG',
    primary: { accelerator: 'tcg', machine: { ...machine, type: 'pc-q35-7.2' } },
    secondary: { accelerator: 'tcg', machine: { ...machine, type: 'pc-q35-7.2' } },
    finds: ['error tcg-q35'],
  },
  {
    what: 'q35 under TCG, with the first QEMU whose COLO takes it',
    primary: {
      accelerator: 'tcg',
      version: { ...version, major: 11, minor: 1, micro: 0 },
      machine: { ...machine, type: 'pc-q35-11.1' },
    },
    secondary: {
      accelerator: 'tcg',
      version: { ...version, major: 11, minor: 1, micro: 0 },
      machine: { ...machine, type: 'pc-q35-11.1' },
    },
    finds: [],
  },
  {
    what: 'a migration that fails, with a status that came with QEMU 11.1',
    primary: { migration: 'failing' },
    finds: ['error migration-under-way'],
  },
  {
    what: 'q35 under KVM',
    primary: { machine: { ...machine, type: 'pc-q35-7.2' } },
    secondary: { machine: { ...machine, type: 'pc-q35-7.2' } },
    finds: [],
  },
  {
    what: 'cpu max under TCG',
    primary: { accelerator: 'tcg', cpu: { ...cpu, model: 'max' } },
    secondary: { accelerator: 'tcg', cpu: { ...cpu, model: 'max' } },
    finds: ['error tcg-cpu-max'],
  },
  ...(['tcg', 'kvm'] as const).map((accelerator) => ({
    what: `no room for a second CPU under ${accelerator}`,
    primary: { accelerator, cpu: { ...cpu, topology: { cpus: 1, maxcpus: 1 } } },
    secondary: { accelerator, cpu: { ...cpu, topology: { cpus: 1, maxcpus: 1 } } },
    finds: accelerator === 'tcg' ? ['warning tcg-one-cpu'] : [],
  })),
  {
    what: 'one monitor each',
    primary: { monitors: monitors.slice(0, 1) },
    secondary: { monitors: monitors.slice(0, 1) },
    finds: ['info no-second-monitor', 'info no-second-monitor'],
  },
  // The pair
  { what: 'no secondary', secondary: 'absent', finds: ['warning secondary-absent'] },
  {
    what: 'a secondary that runs',
    secondary: { status: 'running' },
    finds: ['error secondary-not-incoming'],
  },
  {
    what: 'another series',
    secondary: { version: { ...version, minor: 1 } },
    finds: ['error version-differs'],
    says: '7.2.22 (Debian), the secondary 7.1.22 (Debian)',
  },
  {
    what: 'another stable release',
    secondary: { version: { ...version, micro: 9 } },
    finds: ['warning version-differs'],
  },
  {
    what: 'another machine, once',
    secondary: { machine: { ...machine, type: 'pc-i440fx-7.1', options: {} } },
    finds: ['error machine-differs'],
    says: 'pc-i440fx-7.2 on the primary, pc-i440fx-7.1 on the secondary',
  },
  {
    what: 'another option of the machine; host files apart',
    secondary: { machine: { ...machine, options: { usb: true, vmport: 'on', firmware: 'x.bin' } } },
    finds: ['error machine-differs'],
    says: "the machine's usb: false on the primary, true on the secondary",
  },
  {
    what: 'another accelerator',
    secondary: { accelerator: 'tcg' },
    finds: ['error accelerator-differs'],
  },
  {
    what: 'another CPU model',
    secondary: { cpu: { ...cpu, model: 'Nehalem' } },
    finds: ['error cpu-differs'],
  },
  {
    what: 'another CPU topology',
    secondary: { cpu: { ...cpu, topology: { ...cpu.topology, cpus: 1 } } },
    finds: ['error cpu-differs'],
  },
  {
    what: 'another CPU feature',
    secondary: { cpu: { ...cpu, flags: ['sse', 'avx'] } },
    finds: ['error cpu-differs'],
    says: 'sse2 on the primary, avx on the secondary',
  },
  {
    what: 'less memory',
    secondary: { memory: { sizeBytes: 2 ** 29 } },
    finds: ['error memory-differs'],
  },
  {
    what: 'a device of the primary alone',
    primary: { devices: [deviceReport(), nic] },
    finds: ['error device-missing nic0'],
    says: 'no virtio-net-pci nic0 at pci.0 05.0',
  },
  {
    what: 'a device of the secondary alone',
    secondary: { devices: [deviceReport(), nic] },
    finds: ['error device-extra nic0'],
  },
  {
    what: 'a device in another place',
    secondary: { devices: [deviceReport({ address: '06.0' })] },
    finds: ['error device-differs vb0'],
    says: 'place pci.0 04.0 and pci.0 06.0',
  },
  {
    what: 'another property that the guest sees; its default on the other side',
    secondary: { devices: [deviceReport({ properties: { drive: 'x', serial: 's' } })] },
    finds: ['error device-differs vb0'],
    says: 'serial default and s; vectors 3 and default',
  },
  {
    what: "the host's side of a device",
    primary: { devices: [nic] },
    secondary: {
      devices: [{ ...nic, properties: { ...nic.properties, netdev: 'net7', romfile: 'b.rom' } }],
    },
    finds: [],
  },
  {
    what: 'the same device by another name',
    secondary: { devices: [deviceReport({ id: 'other' })] },
    finds: ['warning names-differ vb0'],
  },
  {
    what: 'names swapped',
    primary: { devices: [deviceReport(), deviceReport({ id: 'vb1', address: '05.0' })] },
    secondary: {
      devices: [deviceReport({ id: 'vb1' }), deviceReport({ id: 'vb0', address: '05.0' })],
    },
    finds: ['warning names-differ vb0', 'warning names-differ vb1'],
  },
  {
    what: 'disks on one SCSI bus, told apart by their lun',
    primary: { devices: [scsi(0), scsi(1)] },
    secondary: { devices: [scsi(1), scsi(0)] },
    finds: [],
  },
  {
    what: 'a replica of another size',
    disks: [{ link: LINK, secondary: { export: 'svm', sizeBytes: 512 } }],
    finds: ['error disk-size-differs vb0'],
    says: 'vb0 has 1073741824 bytes, the replica 512',
  },
  {
    what: "a secondary's disk of another size",
    secondary: { disks: [{ ...secondaryReport().disks[0], sizeBytes: 512 } as never] },
    finds: ['error disk-size-differs vb0'],
  },
  {
    what: 'another file as disk',
    secondary: { disks: [diskReport()] },
    finds: ['error replica-not-used vb0'],
    says: 'file /vm/disk.raw',
  },
  {
    what: 'another export',
    secondary: nbd('nbd+unix:///disk1-svm?socket=/run/r.nbd'),
    finds: ['error replica-not-used vb0'],
  },
  {
    what: 'the export of the primary',
    secondary: nbd('nbd+unix:///pvm?socket=/run/r.nbd'),
    finds: ['error replica-not-used vb0'],
  },
  { what: 'the export over TCP', secondary: nbd('nbd://localhost:10809/svm'), finds: [] },
  {
    what: 'the export in JSON',
    secondary: nbd('json:{"driver": "nbd", "export": "svm", "tls-creds": "t"}'),
    finds: [],
  },
  {
    what: 'a secondary without quorum',
    secondary: {
      disks: secondaryReport().disks.map((disk) => omit(disk, 'quorum')),
    },
    finds: ['warning secondary-no-quorum vb0'],
  },
  {
    what: 'another name of the disk on the secondary',
    secondary: { disks: [{ ...secondaryReport().disks[0], device: 'sd0', names: [] } as never] },
    disks: [{ link: LINK, secondary: { device: 'sd0', export: 'svm' } }],
    finds: [],
  },
];

/** A second disk, without a quorum. */
function scratch(over: { readonly readOnly?: true; readonly removable?: true }) {
  const names = { device: 'vb1', names: ['vb1', 'scratch'], topNode: 'scratch', format: 'raw' };
  return { ...omitQuorum(), ...names, ...over };
}

function omitQuorum() {
  return omit(diskReport(), 'quorum');
}

function scsi(lun: number) {
  return deviceReport({
    id: `sd${lun}`,
    type: 'scsi-hd',
    bus: 's0.0',
    properties: { lun, 'scsi-id': 0 },
    address: undefined as never,
  });
}

describe('comparePair', () => {
  test.each(CASES)('$what', ({ primary, secondary, disks = DISKS, finds, says }) => {
    const other = secondary === 'absent' ? undefined : secondaryReport(secondary);
    const findings = comparePair(primaryReport(primary), other, disks);
    const seen = findings.map(({ severity, code, device }) =>
      [severity, code, device].join(' ').trim(),
    );
    expect(seen).toEqual(finds);
    if (says !== undefined)
      expect(findings.map(({ message }) => message).join('\n')).toContain(says);
    for (const { why, remedy } of findings) {
      expect(why).toMatch(/\.$/);
      expect(remedy).toMatch(/\.$/);
    }
  });

  test('reports survive JSON', () => {
    const [a, b] = [primaryReport(), secondaryReport({ status: 'running' })].map(
      (report) => JSON.parse(JSON.stringify(report)) as VmReport,
    );
    if (a === undefined) throw new Error('no report');
    expect(comparePair(a, b, DISKS).map(({ code }) => code)).toEqual(['secondary-not-incoming']);
  });

  test('a secondary alone', () => {
    const disks = [{ device: 'vb0', export: 'svm' }];
    expect(checkSecondary(secondaryReport(), disks)).toEqual([]);
    const wrong = secondaryReport({ status: 'running', coloCapable: false });
    expect(checkSecondary(wrong, [{ device: 'vb0', export: 'x' }]).map(({ code }) => code)).toEqual(
      ['colo-not-built', 'secondary-not-incoming', 'replica-not-used'],
    );
  });

  test('the shim', () => {
    expect(shimFinding('primary', 'error')).toMatchObject({ code: 'tcg-without-shim' });
    expect(shimFinding('primary', 'warning').message).toContain('cannot be seen');
  });
});

test('every code of a pair has a case', () => {
  const here = new Set(CASES.flatMap(({ finds }) => finds.map((text) => text.split(' ')[1])));
  here.add('tcg-without-shim');
  // secondary-command.test.ts, preflight.test.ts, compare-vms.engine.test.ts
  const elsewhere: readonly FindingCode[] = [
    ...(['device-not-derived', 'property-not-derived', 'object-not-derived'] as const),
    ...(['drive-not-covered', 'netdev-not-derived', 'network-doubled'] as const),
    ...(['migration-blocked', 'disk-read-only'] as const),
    ...(['ram-not-shared', 'ram-shared-twice', 'secondary-not-fresh'] as const),
    ...(['numa-not-derived', 'audiodev-changed', 'socket-path-too-long'] as const),
    ...(['chardev-changed', 'host-file-needed', 'options-unseen'] as const),
  ];
  const missing = FINDING_CODES.filter((code) => !here.has(code) && !elsewhere.includes(code));
  expect(missing).toEqual([]);
});
