/** Device trees side by side. Migration matches devices by place; people and scripts by name. */
import { finding, type Finding } from './finding.js';
import type { DeviceReport, Scalar } from './vm-report.js';

/** The host's side of a device: may differ, and a guest does not see it. */
const HOST_SIDE = new Set([
  ...['drive', 'netdev', 'chardev', 'iothread', 'audiodev', 'werror', 'rerror', 'share-rw'],
  ...['ioeventfd', 'tx', 'x-txtimer', 'x-txburst', 'account-invalid', 'account-failed', 'romfile'],
]);
/**
 * QEMU guesses these from the disk's boot sector (hw/block/hd-geometry.c), which a replica has
 * later.
 */
const GUESSED = new Set(['cyls', 'heads', 'secs', 'bios-chs-trans']);
/** What tells apart two devices of one type on one bus. */
const POSITION = ['channel', 'scsi-id', 'lun', 'unit', 'nr', 'port', 'index', 'iobase', 'slot'];

const START_AGAIN =
  'Start the secondary with the command line that `gannet check --print-secondary` prints.';

export function compareDevices(
  primary: readonly DeviceReport[],
  secondary: readonly DeviceReport[],
): Finding[] {
  const findings: Finding[] = [];
  const left = new Set(secondary);
  const pairs: [DeviceReport, DeviceReport][] = [];
  const unmatched: DeviceReport[] = [];
  const take = (device: DeviceReport, same: (other: DeviceReport) => boolean): boolean => {
    const other = [...left].find(same);
    if (other === undefined) return false;
    left.delete(other);
    pairs.push([device, other]);
    return true;
  };
  // By place first, so that two swapped names are seen as that.
  for (const device of primary) {
    const place = placeOf(device);
    if (!take(device, (one) => one.type === device.type && placeOf(one) === place)) {
      unmatched.push(device);
    }
  }
  for (const device of unmatched) {
    if (device.id !== undefined && take(device, ({ id }) => id === device.id)) continue;
    const message = `the secondary has no ${describe(device)}`;
    findings.push(finding('error', 'device-missing', message, START_AGAIN, nameOf(device)));
  }
  for (const device of left) {
    const message = `the secondary has a ${describe(device)}, the primary has not`;
    findings.push(finding('error', 'device-extra', message, START_AGAIN, nameOf(device)));
  }
  for (const pair of pairs) findings.push(...differences(...pair));
  return findings;
}

function differences(ours: DeviceReport, theirs: DeviceReport): Finding[] {
  const findings: Finding[] = [];
  const parts: string[] = [];
  const differ = (what: string, a?: Scalar, b?: Scalar): void => {
    if (a !== b) parts.push(`${what} ${String(a ?? 'default')} and ${String(b ?? 'default')}`);
  };
  differ('type', ours.type, theirs.type);
  differ('place', placeOf(ours), placeOf(theirs));
  const names = new Set([...Object.keys(ours.properties), ...Object.keys(theirs.properties)]);
  for (const name of [...names].sort()) {
    if (HOST_SIDE.has(name) || GUESSED.has(name)) continue;
    differ(name, ours.properties[name], theirs.properties[name]);
  }
  const device = nameOf(ours);
  if (parts.length > 0) {
    const message = `${describe(ours)} differs (primary and secondary): ${parts.join('; ')}`;
    findings.push(finding('error', 'device-differs', message, START_AGAIN, device));
  }
  if (ours.id !== theirs.id) {
    const [a, b] = [ours.id ?? 'no name', theirs.id ?? 'no name'];
    const message = `${ours.type} at ${placeOf(ours)}: ${a} on the primary, ${b} on the secondary`;
    const remedy = 'Give it the same id on both sides, or name each in its own configuration.';
    findings.push(finding('warning', 'names-differ', message, remedy, device));
  }
  return findings;
}

function placeOf({ bus, address, properties }: DeviceReport): string {
  const position = POSITION.flatMap((name) => {
    const value = properties[name];
    return value === undefined ? [] : [`${name}=${String(value)}`];
  });
  return [bus ?? 'no bus', ...(address === undefined ? position : [address])].join(' ');
}

function describe(device: DeviceReport): string {
  return `${device.type} ${device.id ?? ''}`.trimEnd() + ` at ${placeOf(device)}`;
}

function nameOf({ id, path }: DeviceReport): string {
  return id ?? path;
}
