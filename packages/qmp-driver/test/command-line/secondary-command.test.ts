import { describe, expect, test } from '@jest/globals';
import {
  secondaryCommandLine,
  type SecondaryCommandOptions,
  shellText,
  type VmReport,
} from '../../src/index.js';
import { deviceReport, diskReport, omit, primaryReport } from '../support/reports.js';

const OPTIONS: SecondaryCommandOptions = {
  server: { type: 'unix', path: '/run/r.nbd' },
  disks: [{ device: 'vb0', export: 'svm' }],
  incoming: 'tcp:127.0.0.1:4444',
  qmp: ['unix:/run/s.qmp', '127.0.0.1:5555'],
  socketFolder: '/run/vm',
};

function derive(over: Partial<VmReport> = {}, options: Partial<SecondaryCommandOptions> = {}) {
  const { command, findings } = secondaryCommandLine(primaryReport(over), {
    ...OPTIONS,
    ...options,
  });
  const values = (option: string): string[] =>
    command.flatMap((word, index) => (word === option ? [command[index + 1] ?? ''] : []));
  const found = findings
    .filter(({ code }) => code !== 'options-unseen')
    .map(({ severity, code, device }) => [severity, code, device].join(' ').trim());
  return { command, values, found, findings };
}

const { cpu, machine } = primaryReport();

test('without COLO it waits with -S, its memory in a file of its own', () => {
  const { memory } = primaryReport();
  const properties = { size: 1 << 30, share: true, 'mem-path': '/dev/shm/web.ram' };
  const backend = { id: 'ram0', type: 'memory-backend-file', properties };
  const vm = { objects: [backend], memory: { ...memory, backend: 'ram0' } };
  const own = derive(vm, { incoming: undefined, memoryFile: '/dev/shm/web.ram.secondary' });
  expect(own.command.slice(-1)).toEqual(['-S']);
  expect(own.command).not.toContain('-incoming');
  const [object = ''] = own.values('-object');
  expect(object).toContain('mem-path=/dev/shm/web.ram.secondary');
  expect(object).toContain('share=on');
  expect(derive(vm, { incoming: undefined }).values('-object')[0]).toMatch(/web\.ram(,|$)/);
});

describe('the whole line', () => {
  test('of a plain VM', () => {
    const { command, found, findings } = derive({ name: 'web, "1"', uuid: 'u-u-i-d' });
    expect(command).toEqual([
      'qemu-system-x86_64',
      ...['-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-name', 'guest=web,, "1"', '-uuid', 'u-u-i-d'],
      ...['-machine', 'type=pc-i440fx-7.2,accel=kvm,usb=off,vmport=on', '-boot', 'order=cad'],
      ...['-cpu', 'qemu64', '-smp', 'cpus=2,maxcpus=2,sockets=1,cores=2,threads=1'],
      ...['-m', 'size=1073741824B'],
      ...['-qmp', 'unix:/run/s.qmp,server=on,wait=off'],
      ...['-chardev', 'socket,id=gannet-qmp1,host=127.0.0.1,port=5555,server=on,wait=off'],
      ...['-mon', 'chardev=gannet-qmp1,mode=control'],
      '-blockdev',
      'driver=nbd,node-name=svm0,server.type=unix,server.path=/run/r.nbd,export=svm',
      '-blockdev',
      'driver=quorum,node-name=quorum0,children.0=svm0,vote-threshold=1,read-pattern=fifo',
      '-device',
      'driver=virtio-blk-pci,id=vb0,bus=pci.0,addr=0x04.0,drive=quorum0,vectors=3',
      ...['-incoming', 'tcp:127.0.0.1:4444'],
    ]);
    expect(found).toEqual([]);
    expect(findings.map(({ code }) => code)).toEqual(['options-unseen']);
  });

  test('for a shell', () => {
    expect(shellText(['qemu', '-S', '-name', "it's", '-append', 'a b'])).toBe(
      `qemu \\\n  -S \\\n  -name 'it'\\''s' \\\n  -append 'a b'`,
    );
  });
});

describe('machine, CPU and memory', () => {
  test('files of the host', () => {
    const options = { kernel: '/k', initrd: '/i', dtb: '/d', append: 'quiet', firmware: '/o.fd' };
    const { values, found } = derive({ machine: { ...machine, options, boot: {} } });
    expect(['-kernel', '-initrd', '-dtb', '-append', '-bios'].flatMap(values)).toEqual([
      ...['/k', '/i', '/d', 'quiet', '/o.fd'],
    ]);
    expect(values('-boot')).toEqual([]);
    expect(found).toEqual(Array(4).fill('info host-file-needed'));
  });

  test('features of the CPU', () => {
    const given = { ...cpu, features: { rdrand: true, sse3: false, model: 9 } };
    expect(derive({ cpu: given }).values('-cpu')).toEqual(['qemu64,rdrand=on,sse3=off,model=9']);
    const unknown = omit(cpu, 'features');
    const { values, found } = derive({ cpu: unknown });
    expect(values('-cpu')).toEqual(['qemu64']);
    expect(found).toEqual(['warning property-not-derived cpu']);
  });

  test('memory that can grow, and its back end', () => {
    const memory = { sizeBytes: 512, maxBytes: 1024, slots: 2, backend: 'mem' };
    const object = {
      id: 'mem',
      type: 'memory-backend-file',
      properties: { size: 512, share: true, 'mem-path': '/huge' },
    };
    const { values, found } = derive({ memory, objects: [object] });
    expect(values('-m')).toEqual(['size=512B,slots=2,maxmem=1024B']);
    expect(values('-machine')[0]).toMatch(/,memory-backend=mem$/);
    expect(values('-object')).toEqual([
      'qom-type=memory-backend-file,id=mem,size=512B,share=on,mem-path=/huge',
    ]);
    expect(found).toEqual(['info host-file-needed']);
  });

  test('flash memory: of files, and of what is none', () => {
    const image = { format: 'raw', driver: 'file', filename: '/o.fd' };
    const code = { ...diskReport(), device: 'pflash0', names: ['pflash0'], topNode: '#block1' };
    const disks = [diskReport(), { ...code, readOnly: true, image }];
    const flash = { pflash0: 'pflash0', pflash1: 'vars' };
    const { values, found } = derive({ disks, machine: { ...machine, flash } });
    expect(values('-blockdev')).toContain(
      'driver=raw,node-name=file0,read-only=on,file.driver=file,file.filename=/o.fd',
    );
    expect(values('-machine')[0]).toMatch(/,pflash0=file0$/);
    expect(found).toEqual(['info host-file-needed', 'error device-not-derived pflash1']);
  });

  test('NUMA nodes', () => {
    const { found } = derive({ memory: { sizeBytes: 512, numa: 'node 0 cpus: 0' } });
    expect(found).toEqual(['error numa-not-derived memory']);
  });

  test('an object that a device names', () => {
    const objects = [{ id: 'r0', type: 'rng-egd', properties: {} }];
    const devices = [deviceReport({ type: 'virtio-rng-pci', properties: { rng: 'r0' } })];
    expect(derive({ objects, devices }).found).toEqual(['error object-not-derived r0']);
  });

  test('objects', () => {
    const objects = [
      { id: 'io0', type: 'iothread', properties: { 'poll-max-ns': 32768 } },
      { id: 'f0', type: 'filter-mirror', properties: {} },
    ];
    const { values, found } = derive({ objects });
    expect(values('-object')).toEqual(['qom-type=iothread,id=io0']);
    expect(found).toEqual(['warning object-not-derived f0']);
  });
});

describe('disks', () => {
  test('several, over TCP, one by a drive with a name that QEMU made up', () => {
    const path = '/machine/peripheral-anon/device[0]';
    const plain = omit(diskReport(), 'quorum');
    const second = { ...plain, device: 'drive1', names: ['drive1', '#block9'], topNode: '#block9' };
    const device = deviceReport({ path, address: '05.0', properties: { drive: 'drive1' } });
    const anonymous = omit(device, 'id');
    const { values, found } = derive(
      { disks: [diskReport(), second], devices: [deviceReport(), anonymous] },
      {
        server: { type: 'inet', host: '127.0.0.1', port: 10809 },
        disks: [
          { device: 'vb0', export: 'a-svm' },
          { device: 'drive1', export: 'b-svm' },
        ],
      },
    );
    expect(values('-blockdev').slice(2)).toEqual([
      'driver=nbd,node-name=svm1,' +
        'server.type=inet,server.host=127.0.0.1,server.port=10809,export=b-svm',
      'driver=quorum,node-name=quorum1,children.0=svm1,vote-threshold=1,read-pattern=fifo',
    ]);
    expect(values('-device')[1]).toBe('driver=virtio-blk-pci,bus=pci.0,addr=0x05.0,drive=quorum1');
    expect(found).toEqual([]);
  });

  test('one that is not protected, a CD, and one that is not there', () => {
    const other = deviceReport({
      id: 'vb1',
      path: '/machine/peripheral/vb1',
      address: '05.0',
      properties: { drive: 'data' },
    });
    const cd = deviceReport({
      id: 'cd0',
      path: '/machine/peripheral/cd0',
      type: 'ide-cd',
      bus: 'ide.1',
      address: undefined as never,
      properties: { drive: 'iso', unit: 0 },
    });
    const { values, found } = derive(
      { devices: [deviceReport(), other, cd] },
      { disks: [...OPTIONS.disks, { device: 'gone', export: 'x' }] },
    );
    expect(values('-device').map((text) => text.split(',')[1])).toEqual(['id=vb0', 'id=cd0']);
    expect(values('-device')[1]).toBe('driver=ide-cd,id=cd0,bus=ide.1,unit=0');
    expect(found).toEqual([
      'error disk-not-found gone',
      'error drive-not-covered vb1',
      'error device-not-derived vb1',
      'warning drive-not-covered cd0',
    ]);
  });
});

test('a disk that is read-only, replicated or not', () => {
  const image = { format: 'raw', driver: 'file', filename: '/c.iso' };
  const readOnly = { readOnly: true, image };
  const other = diskReport({ device: 'vb1', names: ['vb1'], topNode: 'c', ...readOnly });
  const { values, found } = derive({ disks: [diskReport(readOnly), other] });
  expect(values('-blockdev')[2]).toBe(
    'driver=raw,node-name=c,read-only=on,file.driver=file,file.filename=/c.iso',
  );
  expect(found).toEqual(['error disk-read-only vb0', 'info host-file-needed']);
});

describe('devices and their back ends', () => {
  test('a device whose state QEMU does not load', () => {
    const { values, found } = derive({ devices: [deviceReport({ type: 'isa-cirrus-vga' })] });
    expect(values('-device')).toEqual([]);
    expect(found).toEqual(['error device-not-derived vb0']);
  });

  test('sound, and a socket without a short enough path', () => {
    const devices = [deviceReport({ type: 'AC97', properties: { audiodev: 'a', chardev: 'c' } })];
    const chardevs = [{ id: 'c', filename: 'null' }];
    const socketFolder = `/${'f'.repeat(101)}`;
    const { values, found } = derive({ devices, chardevs }, { socketFolder });
    expect(values('-audiodev')).toEqual(['none,id=a']);
    expect(found).toEqual(['error socket-path-too-long c', 'info audiodev-changed a']);
    const given = derive({ devices, chardevs }, { backends: { a: 'pa', c: 'null' } });
    expect(given.values('-audiodev')).toEqual(['pa,id=a']);
    expect(given.found).toEqual([]);
  });

  test('a bus comes before what sits on it, anonymous ones keep their order', () => {
    const scsi = deviceReport({
      id: 'sd0',
      path: '/machine/peripheral/sd0',
      type: 'scsi-generic',
      bus: 's0.0',
      busPath: '/machine/peripheral/s0/virtio-backend/s0.0',
      address: undefined as never,
      properties: {},
    });
    const controller = deviceReport({
      id: 's0',
      path: '/machine/peripheral/s0',
      type: 'virtio-scsi-pci',
      properties: {},
    });
    const { values } = derive({ devices: [scsi, deviceReport(), controller] });
    expect(values('-device').map((text) => text.split(',')[1])).toEqual([
      ...['id=s0', 'id=sd0', 'id=vb0'],
    ]);
  });

  test('serial ports and their sockets', () => {
    const serial = (index: number, chardev?: string) =>
      deviceReport({
        path: `/machine/unattached/device[${index}]`,
        type: 'isa-serial',
        implicit: true,
        properties: chardev === undefined ? { index } : { index, chardev },
      });
    const chardevs = [
      { id: 'con', filename: 'pty:/dev/pts/1' },
      { id: 'tap', filename: 'unix:/x' },
      { id: 'unused', filename: 'null' },
    ];
    const { values, found } = derive(
      { devices: [serial(0, 'con'), serial(1), serial(2, 'tap')], chardevs },
      { backends: { tap: 'file,path=/log' } },
    );
    expect(values('-serial')).toEqual(['chardev:con', 'null', 'chardev:tap']);
    expect(values('-chardev').slice(1)).toEqual([
      'socket,id=con,path=/run/vm/con.sock,server=on,wait=off',
      'file,path=/log,id=tap',
    ]);
    expect(found).toEqual(['info chardev-changed con']);
  });

  test.each([
    ['user', 'net=10.0.2.0,restrict=off', 'user,id=n'],
    ['tap', 'ifname=tap0,script=/etc/up', 'tap,ifname=tap0,script=no,downscript=no,id=n'],
    ['tap', 'helper=/usr/lib/h,br=br0', 'bridge,br=br0,id=n'],
  ])('a network of type %s,%s', (type, settings, expected) => {
    const { values, found } = derive({ netdevs: [{ id: 'n', type, settings }] });
    expect(values('-netdev')).toEqual([expected]);
    expect(found).toEqual(['warning network-doubled n']);
    // Walled off until the failover.
    expect(derive({ netdevs: [{ id: 'n', type, settings }] }, { network: ['n'] }).found).toEqual(
      [],
    );
  });

  test.each([
    ['tap', 'fd=7'],
    ['vhost-user', 'chardev=c'],
  ])('a network of type %s,%s cannot be derived, but given', (type, settings) => {
    const netdevs = [{ id: 'n', type, settings }];
    const { values, found } = derive({ netdevs });
    expect(values('-netdev')).toEqual([]);
    expect(found).toEqual(['error netdev-not-derived n']);
    const given = derive({ netdevs }, { backends: { n: 'tap,ifname=t9' } });
    expect(given.values('-netdev')).toEqual(['tap,ifname=t9,id=n']);
  });

  test('a property that is no plain value', () => {
    const { found } = derive({ devices: [deviceReport({ opaque: ['numa'] })] });
    expect(found).toEqual(['warning property-not-derived vb0']);
  });
});
