/**
 * Devices and objects as they are, from QOM.
 *
 * `device-list-properties` tells what a type can be given, with the default of most; what differs
 * from the default on the live device, was given, or came out of something that was given. A copy
 * that is given all of it is the same device, also where QEMU would choose again (vectors, queues,
 * legacy or not).
 */
import type { PropertyInfo, QomReader } from './qom.js';
import { isScalar } from './qom.js';
import type { DeviceReport, DiskReport, ObjectReport, Scalar } from './vm-report.js';

/** What QEMU puts into /machine/unattached when nobody asked for it, but a user could have. */
const IMPLICIT = new RegExp(
  '^(isa-(serial|parallel)|VGA|(cirrus|qxl)-vga|vmware-svga|virtio-|e1000e?|rtl8139|ne2k|pcnet|' +
    'ide-(hd|cd)|scsi-|usb-(?!hub|uhci)|am53c974|lsi)',
);
/**
 * Set by the places that a device is in, or by itself. QMP does not say which can be written: see
 * NOTES.md.
 */
const NOT_GIVEN = new Set([
  ...['addr', 'attached', 'busnr', 'realized', 'hotplugged', 'big-endian-framebuffer'],
  'guest-stats',
]);

/** Set by the device that has them, and refused or wrong from outside: type and property. */
const NOT_WRITABLE: readonly (readonly [type: RegExp, property: RegExp])[] = [
  [/^(pc-dimm|nvdimm|virtio-mem)/, /^size$/],
  // The machine gives them where they matter.
  [/^virtio-iommu/, /^(len-)?reserved-regions/],
  // Its virtual functions make it one, but its PCI header says so only if it was given.
  [/^igb$/, /^multifunction$/],
];
/** A CPU that was plugged has its place for itself; all else comes with -cpu. */
const CPU = /-cpu$/;
const CPU_PLACE = /^(cluster|core|die|module|socket|thread)-id$/;

const FOLDERS = ['unattached', 'peripheral', 'peripheral-anon'];

/** @param disks those of the VM: some devices hand theirs on to another that they make */
export async function readDevices(
  qom: QomReader,
  disks: readonly DiskReport[],
): Promise<DeviceReport[]> {
  const devices: DeviceReport[] = [];
  for (const folder of FOLDERS) {
    devices.push(...(await readFolder(qom, `/machine/${folder}`, folder === 'unattached')));
  }
  const ordered = await inPortOrder(qom, devices);
  return ordered.map((device) => {
    const { type, path, properties } = device;
    if (type !== 'usb-storage' || properties['drive'] !== undefined) return device;
    const disk = disks.find(({ names }) => names.some((name) => name.startsWith(`${path}/`)));
    if (disk === undefined) return device;
    return { ...device, properties: { ...properties, drive: disk.topNode } };
  });
}

/**
 * QEMU gives a USB device the first free port, and makes a hub when none is left: the ports are the
 * same where the order on the bus is.
 */
async function inPortOrder(
  qom: QomReader,
  devices: readonly DeviceReport[],
): Promise<readonly DeviceReport[]> {
  const isUsb = ({ type, busPath }: DeviceReport): boolean =>
    type.startsWith('usb-') && busPath !== undefined;
  const ports = devices.filter(isUsb);
  const buses = new Set(ports.flatMap(({ busPath }) => busPath ?? []));
  const order: unknown[] = [];
  for (const bus of buses) {
    const links = (await qom.list(bus)).map(({ name }) => name);
    const number = (name: string): number => Number(/\d+/.exec(name)?.[0]);
    const children = links.filter((name) => /^child\[\d+\]$/.test(name));
    children.sort((a, b) => number(a) - number(b));
    order.push(...(await qom.values(bus, children)).values());
  }
  ports.sort((a, b) => order.indexOf(a.path) - order.indexOf(b.path));
  const rest = devices.filter((device) => !isUsb(device));
  return [...rest, ...ports];
}

async function readFolder(
  qom: QomReader,
  folder: string,
  implicit: boolean,
): Promise<DeviceReport[]> {
  const devices: DeviceReport[] = [];
  for (const { name, type } of await qom.children(folder)) {
    if (implicit && !(IMPLICIT.test(type) && name.startsWith('device['))) continue;
    devices.push(await readDevice(qom, `${folder}/${name}`, type, implicit));
  }
  return devices;
}

async function readDevice(
  qom: QomReader,
  path: string,
  type: string,
  implicit: boolean,
): Promise<DeviceReport> {
  const known = (await qom.typeProperties(type)).filter((one) => !one.type.startsWith('child<'));
  const values = await qom.values(path, [...known.map(({ name }) => name), 'parent_bus']);
  const parent = values.get('parent_bus');
  // The system bus is everywhere, and cannot be named.
  const isBus = typeof parent === 'string' && parent !== '' && lastPart(parent) !== 'sysbus';
  const busPath = isBus ? parent : undefined;
  const devfn = values.get('addr');
  const isPci = known.some(({ name }) => name === 'romfile') && typeof devfn === 'number';
  const id = /^\/machine\/peripheral\/(.+)$/.exec(path)?.[1];
  const properties: Record<string, Scalar> = {};
  const opaque: string[] = [];
  for (const property of known) {
    const { name } = property;
    const value = plain(values.get(name));
    if (isRefused(type, name, value)) continue;
    if (value === undefined || (NOT_GIVEN.has(name) && (name !== 'addr' || isPci))) continue;
    if (!isScalar(value)) opaque.push(name);
    else if (differs(property, value)) properties[name] = value;
  }
  return {
    ...(id !== undefined && { id }),
    path,
    type,
    ...(busPath !== undefined && { bus: lastPart(busPath), busPath }),
    ...(isPci && devfn >= 0 && { address: pciAddress(devfn) }),
    implicit,
    properties,
    opaque,
  };
}

function isRefused(type: string, property: string, value: unknown): boolean {
  if (CPU.test(type)) return !CPU_PLACE.test(property);
  if (type === 'nvdimm' && property === 'label-size') return value === 0;
  return NOT_WRITABLE.some(([types, names]) => types.test(type) && names.test(property));
}

/** Links to objects and to devices become their ids; what is empty is nothing. */
function plain(value: unknown): unknown {
  if (value === '' || value === null) return undefined;
  if (Array.isArray(value) && value.length === 0) return undefined;
  const isNamed =
    typeof value === 'string' && /^\/(objects|machine\/peripheral)\/[^/]+$/.test(value);
  return isNamed ? lastPart(value) : value;
}

function differs({ name, type, defaultValue }: PropertyInfo, value: Scalar): boolean {
  if (defaultValue !== undefined) return value !== defaultValue;
  if (name === 'bootindex') return Number(value) >= 0;
  // Links that do not lead to an object are made by the board.
  if (type.startsWith('link<')) return !String(value).startsWith('/');
  return typeof value !== 'boolean';
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Slot and function as QEMU writes them (hw/pci/pci.c, prop_pci_busnr). */
function pciAddress(devfn: number): string {
  return `${(devfn >> 3).toString(16).padStart(2, '0')}.${devfn & 7}`;
}

export async function readObjects(
  qom: QomReader,
  defaultRam: string | undefined,
): Promise<ObjectReport[]> {
  const objects: ObjectReport[] = [];
  for (const { name, type } of await qom.children('/objects')) {
    // From 11.1 on monitors are objects, too; -qmp makes them.
    if (name === defaultRam || type.startsWith('monitor-')) continue;
    const known = await qom.typeProperties(type, 'qom-list-properties');
    const names = known.map((one) => one.name).filter((one) => one !== 'type');
    const values = [...(await qom.values(`/objects/${name}`, names))];
    const given = values.flatMap(([key, value]): [string, Scalar][] => {
      const shown = plain(value);
      // A key is read out in the clear by QOM; it is not ours to pass on.
      return isScalar(shown) && !/^(data|password)/.test(key) ? [[key, shown]] : [];
    });
    objects.push({ id: name, type, properties: Object.fromEntries(given) });
  }
  return objects;
}
