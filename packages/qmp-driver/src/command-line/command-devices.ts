/** Devices of a running VM as arguments that make the same. */
import { finding, type Finding } from '../inspect/finding.js';
import type { NetdevNames } from './command-netdevs.js';
import { optionText, type OptionValue } from './option-text.js';
import type { DeviceReport } from '../inspect/vm-report.js';

/** The secondary's node by each name that the primary knows its disk by. */
export type DriveNames = ReadonlyMap<string, string>;

/** Given in another form, or not the secondary's. */
const OWN_FORM = new Set(['drive', 'addr']);
/** Of a drive without a medium. */
const REMOVABLE = /^(ide-cd|scsi-cd|floppy)$/;

/** What devices are connected to, by the primary's names. */
export interface DeviceEnds {
  readonly drives: DriveNames;
  readonly netdevs: NetdevNames;
}

export function deviceArguments(
  devices: readonly DeviceReport[],
  ends: DeviceEnds,
  findings: Finding[],
): string[] {
  return inOrder(devices).flatMap((device) => deviceArgument(device, ends, findings));
}

function deviceArgument(
  device: DeviceReport,
  { drives, netdevs }: DeviceEnds,
  findings: Finding[],
): readonly string[] {
  const { id, type, bus, address, properties, opaque, path } = device;
  const name = id ?? path;
  for (const property of opaque) {
    const message = `${type} ${name}: its ${property} is no plain value`;
    const remedy = 'Add it to the line by hand if it was given.';
    findings.push(finding('warning', 'property-not-derived', message, remedy, name));
  }
  if (type === 'isa-serial' && device.implicit) {
    const chardev = properties['chardev'];
    // Ports are numbered as they come.
    return ['-serial', chardev === undefined ? 'null' : `chardev:${String(chardev)}`];
  }
  const drive = driveOf(device, drives, findings);
  if (drive === 'none') return [];
  const entries: [string, OptionValue][] = [['driver', type]];
  if (id !== undefined) entries.push(['id', id]);
  if (bus !== undefined) entries.push(['bus', bus]);
  if (address !== undefined) entries.push(['addr', `0x${address}`]);
  if (drive !== undefined) entries.push(['drive', drive]);
  for (const [key, value] of Object.entries(properties)) {
    if (OWN_FORM.has(key)) continue;
    entries.push([key, key === 'netdev' ? (netdevs.get(String(value)) ?? value) : value]);
  }
  return ['-device', optionText(entries)];
}

/** @returns undefined for a device without a disk, `none` for one that cannot be made */
function driveOf(
  { id, type, path, properties }: DeviceReport,
  drives: DriveNames,
  findings: Finding[],
): string | undefined {
  const drive = properties['drive'];
  if (drive === undefined) return undefined;
  // A device that was named by its id or its path, or its drive by a node.
  const names = [String(drive), id ?? '', path, `${path}/virtio-backend`];
  const node = names.map((name) => drives.get(name)).find((found) => found !== undefined);
  if (node !== undefined) return node;
  const isRemovable = REMOVABLE.test(type);
  const message = `${type} ${id ?? path} uses ${String(drive)}, which is not a protected disk`;
  const remedy = isRemovable
    ? 'The secondary gets it empty: take the medium out of the primary.'
    : 'Add the disk to `disks` in the configuration.';
  const about = id ?? path;
  findings.push(
    finding(isRemovable ? 'warning' : 'error', 'drive-not-covered', message, remedy, about),
  );
  if (isRemovable) return undefined;
  const without = `${type} ${about} is left out of the line`;
  findings.push(finding('error', 'device-not-derived', without, remedy, about));
  return 'none';
}

/**
 * A device after those that it names, and the one whose bus it sits on; else in the order given, by
 * which anonymous ones are named.
 */
function inOrder(devices: readonly DeviceReport[]): readonly DeviceReport[] {
  const ordered = new Set<DeviceReport>();
  const visited = new Set<DeviceReport>();
  const visit = (device: DeviceReport): void => {
    if (visited.has(device)) return;
    visited.add(device);
    const { busPath, properties } = device;
    const named = new Set(Object.values(properties));
    const isBefore = ({ id, path }: DeviceReport): boolean =>
      busPath?.startsWith(`${path}/`) === true || (id !== undefined && named.has(id));
    devices.filter(isBefore).forEach(visit);
    ordered.add(device);
  };
  devices.forEach(visit);
  return [...ordered];
}
