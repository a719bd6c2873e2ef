import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient } from 'qemu-qmp-client';
import {
  comparePair,
  inspectVm,
  PrimaryDriver,
  secondaryCommandLine,
  type VmReport,
} from '../../src/index.js';
import { RealQemu } from '../support/real-qemu.js';

/**
 * Each VM, and the secondary that is started with the line which is printed for it. The VM is then
 * migrated there for real: what QEMU does not take, or what is not the same, ends that.
 */

let qemu: RealQemu;
let disk: string;

beforeEach(async () => {
  qemu = await RealQemu.create();
  disk = await qemu.image('disk.raw');
});
afterEach(() => qemu.close());

const MACHINE = ['-machine', 'pc,accel=tcg', '-cpu', 'qemu64', '-nodefaults', '-display', 'none'];
const VERSION = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
/** Later releases start no sound device for which there is no back end at all. */
const AUDIO = / version [78]\./.test(VERSION) ? [] : ['-audio', 'none'];
const QUORUM = 'vote-threshold=1,read-pattern=fifo';

function diskArguments(top = 'quorum0'): string[] {
  return [
    ...['-blockdev', `driver=raw,node-name=disk0,file.driver=file,file.filename=${disk}`],
    ...['-blockdev', `driver=quorum,node-name=${top},children.0=disk0,${QUORUM}`],
  ];
}
const VB0 = ['-device', 'virtio-blk-pci,id=vb0,drive=quorum0'];

async function startPrimary(args: readonly string[]): Promise<[QmpClient, VmReport]> {
  const path = qemu.path('p.qmp');
  const qmp = ['-S', '-qmp', `unix:${path},server=on,wait=off`];
  qemu.run('qemu-system-x86_64', ...MACHINE, ...qmp, ...args);
  const client = await qemu.monitor({ kind: 'unix', path });
  return [client, await inspectVm(client)];
}

interface Pair {
  readonly primary: QmpClient;
  readonly secondary: QmpClient;
  readonly codes: string[];
  /** Of the comparison of the two. */
  readonly differences: string[];
  readonly line: readonly string[];
}

interface PairOptions {
  readonly devices?: readonly string[];
  readonly qmp?: string;
  readonly target?: Parameters<RealQemu['monitor']>[0];
  readonly socketFolder?: string;
}

async function pairOf(
  args: readonly string[],
  {
    devices = ['vb0'],
    qmp = `unix:${qemu.path('s.qmp')}`,
    target = { kind: 'unix', path: qemu.path('s.qmp') },
    socketFolder = qemu.folder,
  }: PairOptions = {},
): Promise<Pair> {
  const [primary, report] = await startPrimary(args);
  const server = { type: 'unix', path: await qemu.exports(...devices) } as const;
  const { command, findings } = secondaryCommandLine(report, {
    server,
    disks: devices.map((device) => ({ device, export: device })),
    incoming: `unix:${qemu.path('mig')}`,
    qmp: [qmp],
    socketFolder,
  });
  qemu.run(...command);
  const secondary = await qemu.monitor(target);
  const links = devices.map((device) => ({
    link: { device, link: 'mirror', server, export: device, id: device } as const,
    secondary: { export: device },
  }));
  const differences = comparePair(report, await inspectVm(secondary), links)
    .filter(({ code, severity }) => severity === 'error' && code !== 'not-running')
    .map(({ message }) => message);
  const codes = findings.map(({ code }) => code).filter((code) => code !== 'options-unseen');
  return { primary, secondary, codes, differences, line: command };
}

async function migrate({ primary, secondary }: Pair): Promise<string> {
  await primary.execute('migrate', { uri: `unix:${qemu.path('mig')}` });
  for (;;) {
    const { status, 'error-desc': reason } = await primary.execute('query-migrate');
    if (status === 'completed') break;
    if (status === 'failed') return `failed: ${String(reason)}`;
    await sleep(20);
  }
  // The primary has sent all; the secondary loads it, or ends.
  for (;;) {
    const { status } = await secondary.execute('query-status');
    if (status !== 'inmigrate') return 'completed';
    await sleep(20);
  }
}

/** Memory that can grow, and a place for CPUs. */
const ROOM = ['-m', '64,slots=4,maxmem=1G', '-smp', '1,maxcpus=2,sockets=2'];

describe('the printed line makes the same VM', () => {
  const rows: readonly (readonly [what: string, args: readonly string[], codes?: string[]])[] = [
    [
      'a CPU that was plugged',
      ['-device', 'qemu64-x86_64-cpu,id=cpu1,socket-id=1,core-id=0,thread-id=0'],
    ],
    [
      'pc-dimm',
      [
        ...['-object', 'memory-backend-ram,id=m1,size=64M'],
        ...['-device', 'pc-dimm,id=d0,memdev=m1'],
      ],
    ],
    [
      'virtio-mem',
      [
        ...['-object', 'memory-backend-ram,id=m1,size=64M'],
        ...['-device', 'virtio-mem-pci,id=vm0,memdev=m1,requested-size=32M'],
      ],
    ],
    [
      'nvdimm',
      [
        ...['-machine', 'nvdimm=on', '-object', 'memory-backend-ram,id=m1,size=64M'],
        ...['-device', 'nvdimm,id=nv0,memdev=m1'],
      ],
    ],
    [
      'nvdimm with labels',
      [
        ...['-machine', 'nvdimm=on', '-object', 'memory-backend-ram,id=m1,size=64M'],
        ...['-device', 'nvdimm,id=nv0,memdev=m1,label-size=128K'],
      ],
    ],
    ['sound without -audiodev', [...AUDIO, '-device', 'AC97'], ['audiodev-changed']],
    [
      'sound',
      [
        ...['-audiodev', 'none,id=snd', '-device', 'intel-hda'],
        ...['-device', 'hda-duplex,audiodev=snd'],
      ],
      ['audiodev-changed'],
    ],
    ['-nic', ['-nic', 'user,model=virtio-net-pci'], ['network-doubled']],
    ['-net', ['-net', 'nic', '-net', 'user'], ['network-doubled']],
    [
      'an IPMI device and its controller',
      ['-device', 'ipmi-bmc-sim,id=bmc0', '-device', 'isa-ipmi-kcs,id=a,bmc=bmc0'],
    ],
    ['virtio-iommu-pci', ['-device', 'virtio-iommu-pci']],
    [
      'sources of randomness',
      [
        ...['-object', 'rng-builtin,id=r0', '-device', 'virtio-rng-pci,rng=r0'],
        ...['-object', 'rng-random,id=r1,filename=/dev/zero', '-device', 'virtio-rng-pci,rng=r1'],
      ],
    ],
  ];

  test.each(rows)('%s', async (_what, args, codes = []) => {
    const pair = await pairOf([...ROOM, ...diskArguments(), ...VB0, ...args]);
    expect(pair.differences).toEqual([]);
    expect(pair.codes).toEqual(codes);
    expect(await migrate(pair)).toBe('completed');
  });

  test('a disk on usb-storage', async () => {
    const usb = ['-usb', '-device', 'usb-storage,id=us0,drive=quorum0'];
    const pair = await pairOf([...ROOM, ...diskArguments(), ...usb], { devices: ['us0'] });
    expect(pair.differences).toEqual([]);
    expect(pair.codes).toEqual([]);
    expect(await migrate(pair)).toBe('completed');
  });

  test('USB devices that take the next port, and a hub that QEMU makes', async () => {
    const usb = ['-usb', '-device', 'usb-kbd', '-device', 'usb-storage,id=us0,drive=quorum0'];
    const more = [...usb, '-device', 'usb-mouse', '-device', 'usb-tablet,id=a0'];
    const pair = await pairOf([...ROOM, ...diskArguments(), ...more], { devices: ['us0'] });
    expect(pair.differences).toEqual([]);
    expect(await migrate(pair)).toBe('completed');
  });

  test('firmware in flash memory, and its variables', async () => {
    const code = await qemu.image('code.fd', 1 << 20);
    const vars = await qemu.image('vars.fd', 1 << 17);
    const flash = [
      ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code}`],
      ...['-blockdev', `driver=raw,node-name=vars,file.driver=file,file.filename=${vars}`],
      ...['-machine', 'pflash1=vars'],
    ];
    const pair = await pairOf([...ROOM, ...diskArguments(), ...VB0, ...flash]);
    expect(pair.differences).toEqual([]);
    expect(pair.codes).toEqual(['host-file-needed', 'host-file-needed']);
    expect(await migrate(pair)).toBe('completed');
  });

  test('a disk and a medium that never change, and are not replicated', async () => {
    const config = await qemu.image('config.raw');
    const iso = await qemu.image('cd.iso');
    const more = [
      ...['-blockdev', `driver=raw,node-name=c,file.driver=file,file.filename=${config}`],
      ...['-blockdev', `driver=file,node-name=i,filename=${iso},read-only=on`],
      ...['-device', 'ide-cd,drive=i'],
    ];
    const readOnly = more.map((word) => word.replace('node-name=c,', 'node-name=c,read-only=on,'));
    const vb1 = ['-device', 'virtio-blk-pci,id=vb1,drive=c'];
    const pair = await pairOf([...ROOM, ...diskArguments(), ...VB0, ...readOnly, ...vb1]);
    expect(pair.differences).toEqual([]);
    expect(pair.codes).toEqual(['host-file-needed', 'host-file-needed']);
    expect(await migrate(pair)).toBe('completed');
  });

  test('disks whose nodes have the names that ours have', async () => {
    const args = [...ROOM, ...diskArguments('svm0'), '-device', 'virtio-blk-pci,id=vb0,drive=svm0'];
    const other = await qemu.image('other.raw');
    const second = [
      ...['-drive', `if=none,id=dr1,format=raw,file=${other}`],
      ...['-device', 'virtio-blk-pci,id=vb1,drive=dr1'],
    ];
    const pair = await pairOf([...args, ...second], { devices: ['vb0', 'vb1'] });
    expect(pair.differences).toEqual([]);
    expect(await migrate(pair)).toBe('completed');
  });
});

describe('monitors and sockets of the printed line', () => {
  test('at an IPv6 address', async () => {
    const port = 20_000 + (process.pid % 20_000);
    const pair = await pairOf([...ROOM, ...diskArguments(), ...VB0], {
      qmp: `[::1]:${port}`,
      target: { kind: 'tcp', host: '::1', port },
    });
    expect(pair.differences).toEqual([]);
    expect((await inspectVm(pair.secondary)).monitors).toMatchObject([{ id: 'gannet-qmp0' }]);
  });

  test('in a folder with a long path', async () => {
    const folder = qemu.path('f'.repeat(96 - qemu.folder.length));
    await mkdir(folder);
    const serial = [
      '-chardev',
      'null,id=console-of-the-guest',
      '-serial',
      'chardev:console-of-the-guest',
    ];
    const pair = await pairOf([...ROOM, ...diskArguments(), ...VB0, ...serial], {
      socketFolder: folder,
    });
    expect(pair.differences).toEqual([]);
    expect(pair.codes).toEqual(['chardev-changed']);
  });
});

test('NUMA nodes: a finding of the line, and of the comparison with a VM without', async () => {
  const nodes = [
    ...['-m', '128', '-smp', '2', '-object', 'memory-backend-ram,id=m0,size=64M'],
    ...['-object', 'memory-backend-ram,id=m1,size=64M'],
    ...['-numa', 'node,nodeid=0,cpus=0,memdev=m0', '-numa', 'node,nodeid=1,cpus=1,memdev=m1'],
  ];
  const pair = await pairOf([...nodes, ...diskArguments(), ...VB0]);
  expect(pair.codes).toEqual(['numa-not-derived']);
  expect(pair.differences).toEqual([
    expect.stringMatching(/^memory: .*numa=node 0 cpus: 0; node 0 size: 64 MB; node 1 cpus: 1/),
    expect.stringMatching(/^the block of memory m0: 67108864 bytes on the primary, missing/),
    expect.stringMatching(/^the block of memory m1/),
  ]);
});

test('what cannot be migrated is found while nothing is copied yet', async () => {
  const args = ['-m', '64', ...diskArguments(), ...VB0];
  const [client] = await startPrimary([
    ...args,
    ...['-device', 'rocker,name=r0'],
    ...['-blockdev', `driver=file,node-name=v0,filename=${await qemu.image('d.vdi')}`],
  ]);
  await client.executeRaw('blockdev-create', {
    'job-id': 'make',
    options: { driver: 'vdi', file: 'v0', size: 1 << 20 },
  });
  while ((await client.execute('query-jobs')).some(({ status }) => status !== 'concluded')) {
    await sleep(20);
  }
  await client.execute('blockdev-add', { driver: 'vdi', 'node-name': 'odd', file: 'v0' });
  const server = { type: 'unix', path: '/nowhere/nbd.sock' } as const;
  const link = { device: 'vb0', link: 'nbd', server, export: 'pvm', id: 'g0' } as const;
  const findings = await new PrimaryDriver(client).preflight([link]);
  expect(findings.filter(({ code }) => code !== 'not-running')).toMatchObject([
    { code: 'migration-blocked', message: expect.stringMatching(/vdi format used by node 'odd'/) },
    { code: 'migration-blocked', message: expect.stringMatching(/non-migratable device.*rocker/) },
  ]);
  // The words of the refusal that would come after the copy.
  const starting = client.execute('migrate', { uri: 'exec:cat >/dev/null' });
  await expect(starting).rejects.toThrow(/non-migratable device.*rocker/);
});
