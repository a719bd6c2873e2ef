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
import type { DeviceReport, ObjectReport, Scalar } from './vm-report.js';

/** What QEMU puts into /machine/unattached when nobody asked for it, but a user could have. */
const IMPLICIT = new RegExp(
  '^(isa-(serial|parallel)|VGA|(cirrus|qxl)-vga|vmware-svga|virtio-|e1000e?|rtl8139|ne2k|pcnet|' +
    'ide-(hd|cd)|scsi-|usb-(?!uhci)|am53c974|lsi)',
);
/**
 * Set by the places that a device is in, or by itself. QMP does not say which can be written: see
 * NOTES.md.
 */
const NOT_GIVEN = new Set([
  ...['addr', 'attached', 'busnr', 'realized', 'hotplugged', 'big-endian-framebuffer'],
  'guest-stats',
]);

export async function readDevices(qom: QomReader): Promise<DeviceReport[]> {
  const named = await readFolder(qom, '/machine/peripheral', false);
  const anonymous = await readFolder(qom, '/machine/peripheral-anon', false);
  const implicit = await readFolder(qom, '/machine/unattached', true);
  return [...implicit, ...named, ...anonymous];
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
  const busPath = typeof parent === 'string' && parent !== '' ? parent : undefined;
  const devfn = values.get('addr');
  const isPci = known.some(({ name }) => name === 'romfile') && typeof devfn === 'number';
  const id = /^\/machine\/peripheral\/(.+)$/.exec(path)?.[1];
  const properties: Record<string, Scalar> = {};
  const opaque: string[] = [];
  for (const property of known) {
    const { name } = property;
    const value = plain(values.get(name));
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

/** Links to objects become their ids; what is empty is nothing. */
function plain(value: unknown): unknown {
  if (value === '' || value === null) return undefined;
  if (Array.isArray(value) && value.length === 0) return undefined;
  return typeof value === 'string' && value.startsWith('/objects/') ? lastPart(value) : value;
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
