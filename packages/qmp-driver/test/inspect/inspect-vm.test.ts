import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { QmpClient } from 'qemu-qmp-client';
import { inspectVm } from '../../src/index.js';
import { DISK_BYTES, FakeVm, refuse } from '../support/fake-vm.js';

type Objects = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** QOM with what a device can be given, as QEMU 7.2 answers; `busnr` and `modules` as 10.0 does. */
const OBJECTS: Objects = {
  '/machine': {
    type: 'pc-i440fx-7.2-machine',
    'memory-backend': '/objects/pc.ram',
    memory: { size: 67_108_864, slots: 2, 'max-size': 134_217_728 },
    smp: { cpus: 2, cores: 2, sockets: 1, 'x-other': 1, clusters: 1, modules: 2 },
    boot: { order: 'cad' },
    usb: true,
    vmport: 'on',
    kernel: '',
    'rtc-time': { tm_sec: 1 },
  },
  '/machine/unattached/device[0]': {
    type: 'qemu64-x86_64-cpu',
    rdrand: true,
    pni: false,
    sse: true,
    model: 9,
    'apic-id': 0,
  },
  '/machine/unattached/device[4]': { type: 'PIIX3' },
  '/machine/unattached/device[13]': {
    type: 'isa-serial',
    parent_bus: '/machine/unattached/device[4]/isa.0',
    index: 0,
    chardev: 'console',
  },
  '/machine/peripheral/vb0': {
    type: 'virtio-blk-pci',
    parent_bus: '/machine/i440fx/pci.0',
    addr: 33,
    busnr: 0,
    romfile: '',
    vectors: 3,
    'num-queues': 1,
    'disable-modern': false,
    drive: 'quorum0',
    iothread: '/objects/io0',
    bootindex: -1,
    odd: { a: 1 },
  },
  '/machine/peripheral-anon/device[10]': {
    type: 'usb-tablet',
    parent_bus: '/machine/x/usb-bus.0',
    attached: true,
  },
  '/machine/peripheral-anon/device[2]': { type: 'usb-tablet', parent_bus: '/machine/x/usb-bus.0' },
  '/objects/io0': { type: 'iothread', 'poll-max-ns': 32_768 },
  '/objects/pc.ram': { type: 'memory-backend-ram', size: 67_108_864 },
  // Of -qmp, from QEMU 11.1 on.
  '/objects/compat_monitor0': { type: 'monitor-qmp', chardev: 'compat_monitor0' },
  '/objects/s0': { type: 'secret', data: 'hunter2', format: 'raw' },
};
const GIVEN: Readonly<Record<string, readonly (readonly [string, string, unknown?])[]>> = {
  'virtio-blk-pci': [
    ['addr', 'int32', -1],
    ['busnr', 'busnr'],
    ['romfile', 'str'],
    ['vectors', 'uint32', 4_294_967_295],
    ['num-queues', 'uint16', 1],
    ['disable-modern', 'bool', false],
    ['drive', 'str'],
    ['iothread', 'link<iothread>'],
    ['bootindex', 'int32'],
    ['virtio-backend', 'child<virtio-blk-device>'],
    ['odd', 'Odd'],
    ['gone', 'str'],
  ],
  'isa-serial': [
    ['index', 'uint32', 4_294_967_295],
    ['chardev', 'str'],
  ],
  'usb-tablet': [['attached', 'bool']],
  'isa-ipmi-kcs': [['bmc', 'link<ipmi-bmc>']],
  'qemu64-x86_64-cpu': [
    ['core-id', 'int32', -1],
    ['family', 'int'],
  ],
  nvdimm: [
    ['size', 'uint64'],
    ['label-size', 'size'],
    ['memdev', 'link<memory-backend>'],
  ],
  'usb-storage': [['drive', 'str']],
  igb: [
    ['multifunction', 'bool', false],
    ['mac', 'str'],
  ],
  iothread: [
    ['type', 'string'],
    ['poll-max-ns', 'int'],
  ],
  secret: [
    ['data', 'string'],
    ['format', 'string'],
  ],
};

let vm: FakeVm;
let qmp: QmpClient;

beforeEach(async () => {
  vm = new FakeVm();
  serveQom(vm, OBJECTS);
  qmp = await vm.connect();
});
afterEach(() => qmp.close());

function serveQom({ qemu }: FakeVm, objects: Objects): void {
  qemu.reply('query-name', { name: 'web' });
  qemu.reply('query-uuid', { UUID: '00000000-0000-0000-0000-000000000000' });
  qemu.reply('query-kvm', { enabled: false, present: true });
  qemu.reply('query-cpus-fast', [
    { 'cpu-index': 0, 'qom-path': '/machine/unattached/device[0]', target: 'x86_64' },
  ]);
  qemu.reply('query-chardev', [
    { label: 'console', filename: 'pty:/dev/pts/0', 'frontend-open': true },
    { label: 'compat_monitor1', filename: 'disconnected:unix:/b,server=on', 'frontend-open': true },
    { label: 'compat_monitor0', filename: 'unix:/a,server=on', 'frontend-open': true },
    { label: 'charmonitor', filename: 'unix:/libvirt,server=on', 'frontend-open': true },
    { label: 'gannet-qmp', filename: 'unix:/c,server=on', 'frontend-open': true },
  ]);
  qemu.reply('query-machines', [{ name: 'pc-i440fx-7.2', 'default-ram-id': 'pc.ram' }]);
  qemu.reply(
    'human-monitor-command',
    'nic0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n' +
      ' \\ net0: index=0,type=tap,ifname=tap0,script=no\r\n' +
      'net1: index=0,type=user,net=10.0.2.0\r\n',
  );
  qemu.on('qom-get', ({ arguments: { path, property } }) => {
    const object = objects[String(path)] ?? {};
    if (!Object.hasOwn(object, String(property))) return refuse(`Property '${String(property)}'`);
    return { return: object[String(property)] };
  });
  qemu.on('qom-list', ({ arguments: { path } }) => {
    const own = Object.keys(objects[String(path)] ?? {}).map((name) => ({ name, type: 'string' }));
    const children = Object.entries(objects).flatMap(([child, { type }]) => {
      const name = child.slice(String(path).length + 1);
      if (!child.startsWith(`${String(path)}/`) || name.includes('/')) return [];
      return [{ name, type: `child<${String(type)}>` }];
    });
    return { return: [...own, ...children] };
  });
  for (const command of ['device-list-properties', 'qom-list-properties']) {
    qemu.on(command, ({ arguments: { typename } }) => ({
      return: (GIVEN[String(typename)] ?? []).map(([name, type, value]) => {
        return { name, type, ...(value !== undefined && { 'default-value': value }) };
      }),
    }));
  }
  // `-cpu qemu64,+rdrand,-pni,model=9`: switches act on every CPU, keys on the type alone.
  qemu.on('query-cpu-model-expansion', ({ arguments: { model } }) => {
    const { name, props } = model as { name: string; props: Record<string, unknown> };
    if (!['qemu64', 'qemu64-v1', 'base'].includes(name)) return refuse('no such model');
    const plain = { sse: name !== 'base', model: name === 'qemu64' ? 9 : 6, 'apic-id': -1 };
    return { return: { model: { name, props: { ...plain, ...props, rdrand: true, pni: false } } } };
  });
}

describe('inspectVm', () => {
  test('reports all that a pair has to agree on', async () => {
    const report = await inspectVm(qmp);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report).toMatchObject({
      version: { major: 7, minor: 2, micro: 0 },
      name: 'web',
      target: 'x86_64',
      accelerator: 'tcg',
      status: 'running',
      migration: 'none',
      coloCapable: true,
      oob: true,
      drivers: ['nbd', 'quorum', 'replication'],
      machine: {
        type: 'pc-i440fx-7.2',
        options: { usb: true, vmport: 'on' },
        boot: { order: 'cad' },
      },
      memory: { sizeBytes: 67_108_864, slots: 2, maxBytes: 134_217_728 },
      chardevs: [{ id: 'console', filename: 'pty:/dev/pts/0' }],
      netdevs: [
        { id: 'net0', type: 'tap', settings: 'ifname=tap0,script=no' },
        { id: 'net1', type: 'user', settings: 'net=10.0.2.0' },
      ],
    });
    expect(report.machine.options).not.toHaveProperty('kernel');
    expect(report.memory).not.toHaveProperty('backend');
    expect(report).not.toHaveProperty('uuid');
    expect(report.monitors.map(({ id, connected }) => [id, connected])).toEqual([
      ['compat_monitor1', false],
      ['compat_monitor0', true],
      ['charmonitor', true],
      ['gannet-qmp', true],
    ]);
  });

  test('disks down to their leaves', async () => {
    const { disks } = await inspectVm(qmp);
    expect(disks[0]).toMatchObject({
      device: 'vb0',
      sizeBytes: DISK_BYTES,
      quorum: { node: 'quorum0' },
      leaves: [{ node: 'file0', driver: 'file' }],
    });
    expect(disks[1]?.quorum).toBeUndefined();
  });

  test('devices: what differs from the default, in the order of their numbers', async () => {
    const { devices } = await inspectVm(qmp);
    expect(devices.map(({ path }) => path)).toEqual([
      '/machine/unattached/device[13]',
      '/machine/peripheral/vb0',
      '/machine/peripheral-anon/device[2]',
      '/machine/peripheral-anon/device[10]',
    ]);
    expect(devices[0]).toMatchObject({
      implicit: true,
      bus: 'isa.0',
      properties: { index: 0, chardev: 'console' },
    });
    expect(devices[1]).toEqual({
      id: 'vb0',
      path: '/machine/peripheral/vb0',
      type: 'virtio-blk-pci',
      bus: 'pci.0',
      busPath: '/machine/i440fx/pci.0',
      address: '04.1',
      implicit: false,
      properties: { vectors: 3, drive: 'quorum0', iothread: 'io0' },
      opaque: ['odd'],
    });
    expect(devices[3]).toMatchObject({ bus: 'usb-bus.0', properties: {} });
    expect(devices[3]).not.toHaveProperty('id');
  });

  test('objects, without the default memory and without secrets', async () => {
    const { objects } = await inspectVm(qmp);
    expect(objects).toEqual([
      { id: 'io0', type: 'iothread', properties: { 'poll-max-ns': 32_768 } },
      { id: 's0', type: 'secret', properties: { format: 'raw' } },
    ]);
  });

  test('a CPU, and what it was given', async () => {
    const { cpu } = await inspectVm(qmp);
    expect(cpu).toEqual({
      model: 'qemu64',
      flags: ['rdrand', 'sse'],
      features: { rdrand: true, pni: false, model: 9 },
      topology: { cpus: 2, cores: 2, sockets: 1, modules: 2 },
    });
  });

  test('a CPU of which it cannot be told', async () => {
    serveQom(vm, { ...OBJECTS, '/machine/unattached/device[0]': { type: 'max-x86_64-cpu' } });
    const { cpu } = await inspectVm(qmp);
    expect(cpu.model).toBe('max');
    expect(cpu).not.toHaveProperty('features');
  });

  test('what a device has of another, or finds out by itself', async () => {
    const bus = { parent_bus: '/machine/x' };
    const vb0 = { type: 'usb-storage', drive: '', ...bus };
    serveQom(vm, {
      ...OBJECTS,
      '/machine/peripheral/vb0': vb0,
      '/machine/peripheral/fb': { type: 'ramfb', parent_bus: '/machine/unattached/sysbus' },
      '/machine/peripheral/bmc0': { type: 'ipmi-bmc-sim' },
      '/machine/peripheral/ipmi': { type: 'isa-ipmi-kcs', bmc: '/machine/peripheral/bmc0' },
      '/machine/peripheral/cpu1': { type: 'qemu64-x86_64-cpu', 'core-id': 1, family: 15 },
      '/machine/peripheral/d0': { type: 'nvdimm', size: 1, 'label-size': 0, memdev: '/objects/m' },
      '/machine/peripheral/nic0': { type: 'igb', multifunction: true, mac: '52:54:00:12:34:56' },
    });
    const { devices } = await inspectVm(qmp);
    const properties = new Map(devices.map(({ id, path, properties: own }) => [id ?? path, own]));
    expect(devices.find(({ id }) => id === 'fb')).not.toHaveProperty('bus');
    expect(properties.get('ipmi')).toEqual({ bmc: 'bmc0' });
    expect(properties.get('cpu1')).toEqual({ 'core-id': 1 });
    expect(properties.get('d0')).toEqual({ memdev: 'm' });
    // It says so of itself; given from outside, its header would say so too, and be another one.
    expect(properties.get('nic0')).toEqual({ mac: '52:54:00:12:34:56' });
    // It has handed its drive on to a disk of its own.
    expect(properties.get('vb0')).toEqual({ drive: 'quorum0' });
  });

  test('USB devices, in the order of their bus and not of their names', async () => {
    const at = { parent_bus: '/machine/x/usb-bus.0' };
    serveQom(vm, {
      ...OBJECTS,
      '/machine/unattached/device[20]': { type: 'usb-hub', ...at },
      '/machine/peripheral/a0': { type: 'usb-tablet', ...at },
      '/machine/x/usb-bus.0': {
        type: 'usb-bus',
        'child[10]': '/machine/peripheral-anon/device[10]',
        'child[9]': '/machine/peripheral/a0',
        'child[2]': '/machine/peripheral-anon/device[2]',
      },
    });
    const { devices } = await inspectVm(qmp);
    expect(devices.filter(({ type }) => /usb/.test(type)).map(({ path }) => path)).toEqual([
      '/machine/peripheral-anon/device[2]',
      '/machine/peripheral/a0',
      '/machine/peripheral-anon/device[10]',
    ]);
  });

  test('flash memory, and what is in the way of a migration', async () => {
    serveQom(vm, { ...OBJECTS, '/machine': { ...OBJECTS['/machine'], pflash0: 'f', pflash1: '' } });
    vm.qemu.reply('query-migrate', { 'blocked-reasons': ['a device is in the way'] });
    const { machine, blockedReasons } = await inspectVm(qmp);
    expect(machine.flash).toEqual({ pflash0: 'f' });
    expect(blockedReasons).toEqual(['a device is in the way']);
  });

  test('changes nothing', async () => {
    await inspectVm(qmp);
    const reading = /^(query-|qom-(get|list)|qmp_cap|device-list|x-debug-query|human-monitor)/;
    expect(vm.commands().filter((command) => !reading.test(command))).toEqual([]);
  });

  test.each([
    ['kvm', 'kvm'],
    ['tcg', 'tcg'],
  ])('the accelerator of a QEMU that has query-accelerators: %s', async (enabled, expected) => {
    vm.qemu.reply('query-accelerators', { enabled, present: ['tcg', 'kvm'] });
    expect((await inspectVm(qmp)).accelerator).toBe(expected);
    expect(vm.commands()).not.toContain('query-kvm');
  });

  test('QEMU that does not answer', async () => {
    vm.qemu.on('qom-list', () => 'silence');
    await expect(inspectVm(qmp, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'DRIVER_DEADLINE',
    });
    serveQom(vm, OBJECTS);
    vm.qemu.on('query-kvm', () => refuse('no'));
    await expect(inspectVm(qmp)).rejects.toMatchObject({ code: 'DRIVER_COMMAND_FAILED' });
  });
});
