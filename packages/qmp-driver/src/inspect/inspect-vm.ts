/** All that a pair has to agree on, read over QMP only, from a VM that is left as it is. */
import { posix } from 'node:path';
import type { BlockDeviceInfo, ChardevInfo, QmpClient, SchemaInfo } from 'qemu-qmp-client';
import { ColoError, step } from '../errors.js';
import {
  type DiskGraph,
  listDisks,
  type NodeGraph,
  type QueryOptions,
  readGraph,
} from '../disk/graph.js';
import { readCpu } from './inspect-cpu.js';
import { readDevices, readObjects } from './inspect-devices.js';
import { netdevsOf, numaOf, ramBlocksOf } from './inspect-text.js';
import { isRecord, isScalar, QomReader, scalarsOf, textOr } from './qom.js';
import type { DiskReport, HostImage, Scalar, VmFacts, VmReport } from './vm-report.js';

/** Of the machine's properties those that a guest can notice. */
const MACHINE_OPTIONS = [
  ...['acpi', 'default-bus-bypass-iommu', 'graphics', 'hpet', 'i8042', 'max-ram-below-4g'],
  ...['nvdimm', 'pic', 'pit', 'sata', 'smbios-entry-point-type', 'smbus', 'smm', 'usb', 'vmport'],
  ...['append', 'dtb', 'firmware', 'initrd', 'kernel'],
];
const DRIVERS = ['nbd', 'quorum', 'replication'];
const NO_UUID = '00000000-0000-0000-0000-000000000000';

/**
 * Reads a report of the VM. Some hundred small queries; the guest is not stopped.
 * @throws ColoError `DRIVER_COMMAND_FAILED` GraphError `DRIVER_GRAPH_UNSTABLE`, WaitError: QEMU
 *   could not be asked
 */
export async function inspectVm(qmp: QmpClient, options: QueryOptions = {}): Promise<VmReport> {
  const qom = new QomReader(qmp, options);
  const facts = await readFacts(qmp, options);
  const [name, uuid, colo, cpus, chardevs] = await asked(() =>
    Promise.all([
      qmp.execute('query-name', {}, options),
      qmp.execute('query-uuid', {}, options),
      qmp.execute('query-colo-status', {}, options),
      qmp.execute('query-cpus-fast', {}, options),
      qmp.execute('query-chardev', {}, options),
    ]),
  );
  const accelerator = await readAccelerator(qmp, qom, options);
  const machine = await readMachine(qom);
  const backend = idOf(await qom.get('/machine', 'memory-backend'));
  const defaultRam = await defaultRamOf(qom, machine.type);
  const target = cpus[0]?.target ?? 'x86_64';
  const info = (about: string): Promise<unknown> =>
    qom.ask('human-monitor-command', { 'command-line': `info ${about}` });
  const memory = await readMemory(qom);
  const numa = numaOf(await info('numa'), memory.slots !== undefined);
  return {
    ...facts,
    ...(name.name !== undefined && { name: name.name }),
    ...(uuid.UUID !== NO_UUID && { uuid: uuid.UUID }),
    colo,
    target,
    accelerator,
    machine,
    cpu: await readCpu(qom, cpus[0]?.['qom-path'] ?? '', target),
    memory: {
      ...memory,
      ...(numa !== undefined && { numa }),
      ...(backend !== undefined && backend !== defaultRam && { backend }),
    },
    ramBlocks: ramBlocksOf(await info('ramblock')),
    devices: await readDevices(qom, facts.disks),
    objects: await readObjects(qom, defaultRam),
    netdevs: netdevsOf(await info('network')),
    ...chardevsOf(chardevs),
  };
}

/** query-kvm is deprecated from 11.1 on, where query-accelerators takes its place. */
async function readAccelerator(
  qmp: QmpClient,
  qom: QomReader,
  options: QueryOptions,
): Promise<'kvm' | 'tcg'> {
  const answer = await qom.ask('query-accelerators');
  const enabled = isRecord(answer) ? answer['enabled'] : undefined;
  if (typeof enabled === 'string') return enabled === 'kvm' ? 'kvm' : 'tcg';
  const kvm = await asked(() => qmp.execute('query-kvm', {}, options));
  return kvm.enabled ? 'kvm' : 'tcg';
}

/** @throws as inspectVm() */
export async function readFacts(qmp: QmpClient, options: QueryOptions): Promise<VmFacts> {
  const [status, migration, capabilities, schema] = await asked(() =>
    Promise.all([
      qmp.execute('query-status', {}, options),
      qmp.execute('query-migrate', {}, options),
      qmp.execute('query-migrate-capabilities', {}, options),
      qmp.execute('query-qmp-schema', {}, options),
    ]),
  );
  const disks = await listDisks(qmp, options);
  const { blocks, graph } = await readGraph(qmp, options);
  const readOnly = new Set(
    blocks.flatMap(({ inserted }) => (inserted?.ro === true ? (inserted['node-name'] ?? []) : [])),
  );
  const removable = new Set(
    blocks.flatMap((block) => (block.removable ? (block.inserted?.['node-name'] ?? []) : [])),
  );
  const { major, minor, micro, package: packaged } = qmp.version;
  const qom = new QomReader(qmp, options);
  const iothreads = await Promise.all(disks.map((disk) => iothreadOf(qom, disk)));
  return {
    version: { major, minor, micro, package: packaged },
    oob: qmp.capabilities.includes('oob'),
    status: status.status,
    migration: migration.status ?? 'none',
    blockedReasons: migration['blocked-reasons'] ?? [],
    coloCapable: capabilities.some(({ capability }) => capability === 'x-colo'),
    drivers: DRIVERS.filter((driver) => blockdevDrivers(schema).has(driver)),
    disks: disks.map((disk, at) => ({
      ...disk,
      ...(iothreads[at] !== undefined && { iothread: iothreads[at] }),
      leaves: leavesOf(disk.topNode, graph),
      ...imageOf(disk.topNode, graph),
      readOnly: readOnly.has(disk.topNode),
      removable: removable.has(disk.topNode),
    })),
    nodes: graph.taken,
  };
}

/**
 * The I/O thread that serves the disk: its own, or for a SCSI disk that of its controller.
 * @throws ColoError `DRIVER_COMMAND_FAILED`
 * @throws WaitError
 */
export async function iothreadOf(qom: QomReader, disk: DiskGraph): Promise<string | undefined> {
  const place = disk.names.find((name) => name.startsWith('/machine/'));
  const device = place ?? `/machine/peripheral/${disk.device}`;
  const own = idOf(await qom.get(device, 'iothread'));
  if (own !== undefined) return own;
  const bus = await qom.get(device, 'parent_bus');
  return typeof bus === 'string' ? idOf(await qom.get(posix.dirname(bus), 'iothread')) : undefined;
}

function asked<T>(run: () => Promise<T>): Promise<T> {
  return step(run, (words, cause) => {
    const message = `QEMU cannot be asked what it is able to do: ${words}`;
    return new ColoError('DRIVER_COMMAND_FAILED', message, 'See whether QEMU still answers.', {
      cause,
    });
  });
}

function leavesOf(top: string, graph: NodeGraph): DiskReport['leaves'] {
  const children = graph.children(top);
  if (children.length > 0) return children.flatMap(({ node }) => leavesOf(node, graph));
  const info: BlockDeviceInfo | undefined = graph.info(top);
  const filename = info?.image.filename ?? info?.file ?? '';
  return [{ node: top, driver: info?.drv ?? '', filename }];
}

/** A file, or a format on top of one and nothing else. */
function imageOf(top: string, graph: NodeGraph): { image?: HostImage } {
  const [below, ...more] = graph.children(top);
  const [format, file] = [graph.info(top), graph.info(below?.node ?? top)];
  if (format === undefined || file === undefined || more.length > 0) return {};
  const isLeaf = below === undefined || graph.children(below.node).length === 0;
  // Options that are part of what is seen, such as an offset, are part of the name.
  const isPlain = format.file === file.file && !/^json:/.test(file.file);
  if (!isLeaf || !isPlain || !['file', 'host_device'].includes(file.drv)) return {};
  return { image: { format: format.drv, driver: file.drv, filename: file.file } };
}

async function readMachine(qom: QomReader): Promise<VmReport['machine']> {
  const type = textOr(await qom.get('/machine', 'type'), '').replace(/-machine$/, '');
  const there = new Set((await qom.list('/machine')).map(({ name }) => name));
  const names = MACHINE_OPTIONS.filter((name) => there.has(name));
  const values = [...(await qom.values('/machine', names))];
  const given = values.filter(
    (entry): entry is [string, Scalar] => isScalar(entry[1]) && entry[1] !== '',
  );
  const options = Object.fromEntries(given);
  const drives = await qom.values(
    '/machine',
    ['pflash0', 'pflash1'].filter((name) => there.has(name)),
  );
  const flash = Object.fromEntries(
    [...drives].flatMap(([name, drive]) =>
      typeof drive === 'string' && drive !== '' ? [[name, drive]] : [],
    ),
  );
  return { type, options, flash, boot: scalarsOf(await qom.get('/machine', 'boot')) };
}

async function defaultRamOf(qom: QomReader, type: string): Promise<string | undefined> {
  const machines = await qom.ask('query-machines');
  const list: readonly unknown[] = Array.isArray(machines) ? machines : [];
  const own = list.filter(isRecord).find(({ name }) => name === type);
  return typeof own?.['default-ram-id'] === 'string' ? own['default-ram-id'] : undefined;
}

async function readMemory(
  qom: QomReader,
): Promise<{ sizeBytes: number; maxBytes?: number; slots?: number }> {
  const memory = scalarsOf(await qom.get('/machine', 'memory'));
  const maxBytes = Number(memory['max-size'] ?? 0);
  const slots = Number(memory['slots'] ?? 0);
  const summary = scalarsOf(await qom.ask('query-memory-size-summary'));
  const sizeBytes = Number(memory['size'] ?? summary['base-memory'] ?? 0);
  return { sizeBytes, ...(slots > 0 && { maxBytes, slots }) };
}

function idOf(path: unknown): string | undefined {
  return typeof path === 'string' ? /^\/objects\/(.+)$/.exec(path)?.[1] : undefined;
}

/**
 * `-qmp` and `-monitor` name their character devices compat_monitorN; libvirt's own is charmonitor.
 */
function chardevsOf(chardevs: readonly ChardevInfo[]): Pick<VmReport, 'chardevs' | 'monitors'> {
  const isMonitor = ({ label }: ChardevInfo): boolean => /^(compat_|char)?monitor|qmp/i.test(label);
  return {
    chardevs: chardevs
      .filter((one) => !isMonitor(one))
      .map(({ label, filename }) => ({ id: label, filename })),
    monitors: chardevs.filter(isMonitor).map(({ label, filename }) => ({
      id: label,
      filename,
      connected: !filename.startsWith('disconnected:'),
    })),
  };
}

/**
 * Values of blockdev-add's `driver`: names of types are opaque, so they are followed from the
 * command.
 */
function blockdevDrivers(schema: readonly SchemaInfo[]): ReadonlySet<string> {
  const named = (name: unknown): SchemaInfo | undefined => schema.find((one) => one.name === name);
  const command = schema.find(
    (one) => one['meta-type'] === 'command' && one.name === 'blockdev-add',
  );
  const members = named(command?.['arg-type'])?.['members'];
  const list: readonly unknown[] = Array.isArray(members) ? members : [];
  const driver = list.find((member) => isRecord(member) && member['name'] === 'driver');
  // `members` since 6.2; `values` is deprecated, and may be hidden.
  const values: unknown = isRecord(driver) ? named(driver['type'])?.['members'] : undefined;
  const texts = (Array.isArray(values) ? values : []).flatMap((value: unknown) =>
    isRecord(value) && typeof value['name'] === 'string' ? [value['name']] : [],
  );
  return new Set(texts);
}
