/** Judging host facts: pure. */
import type { Finding, Severity, VmReport } from '@gannet/qmp-driver';
import { formatBytes } from '@gannet/contract/format';
import type { BaseFacts, HostFacts } from './host-facts.js';

const WHY = {
  'memory-short': "COLO keeps two copies of the guest's memory, and the buffers come on top.",
  'base-missing': 'A replica needs a base to which committed state is written.',
  'base-holds-data': 'It may be the only copy of a disk.',
  'base-format': 'What is written in one format and read in another is no disk.',
  'base-in-use': 'Two that write to one image destroy it.',
  'base-foreign': 'Seeding over it would destroy the disk of another VM.',
  'base-unreadable': 'What the base is worth is written in this file.',
  'base-space': 'A sparse base grows; when it cannot, write-back stops and memory fills.',
  'address-unreachable': 'Both sides have to reach each other before anything is begun.',
  'folder-missing': 'The socket or file could not be created.',
  'qmp-unreachable': 'Nothing can be read of the VM, and nothing be done to it.',
  'peer-unreachable': 'The other side could not be asked, and half of what is checked was not.',
  'disks-differ': 'A disk that one side does not know of is not replicated.',
  'vm-differs': 'The two daemons speak of different VMs.',
  'same-host': 'A VM and its secondary on one host die together.',
} as const;

/** No image with nothing in it takes more: qcow2 196 KiB, vhdx 4 MiB and a log. */
const EMPTY_IMAGE_BYTES = 8 * 1024 * 1024;

export type HostFindingCode = keyof typeof WHY;
export type HostFinding = Finding<HostFindingCode>;
export const HOST_FINDING_CODES = Object.keys(WHY) as readonly HostFindingCode[];

export function hostFinding(
  severity: Severity,
  code: HostFindingCode,
  message: string,
  remedy: string,
  device?: string,
): HostFinding {
  const about = device === undefined ? {} : { device };
  return { severity, code, message, why: WHY[code], remedy, ...about };
}

export function reachFindings(host: HostFacts, whose: string): HostFinding[] {
  return [
    ...host.unreachable.map(({ key, address, why }) => {
      const message = `from the ${whose}, ${key} ${address} does not answer: ${why}`;
      const remedy =
        'Start the secondary (its daemon, then its QEMU), or mend the address or tunnel.';
      return hostFinding('error', 'address-unreachable', message, remedy, key);
    }),
    ...host.folders.map(({ key, path, why }) => {
      const message = `on the ${whose}, the folder of ${key}, ${path}, is of no use: ${why}`;
      const remedy = 'Make it, and give it to the user that the daemon runs as.';
      return hostFinding('error', 'folder-missing', message, remedy, key);
    }),
  ];
}

/** @param guest the VM whose memory is to fit: the primary, or the secondary itself */
export function memoryFindings(host: HostFacts, guest: VmReport | undefined): HostFinding[] {
  if (guest === undefined) return [];
  const neededBytes = 2 * guest.memory.sizeBytes + host.bufferBytes;
  const { totalBytes, availableBytes } = host.memory;
  if (neededBytes <= availableBytes) return [];
  const sum = `${formatBytes(neededBytes)} may be needed (twice ${formatBytes(guest.memory.sizeBytes)}, and ${formatBytes(host.bufferBytes)} of buffers)`;
  const message = `the secondary host has ${formatBytes(availableBytes)} of memory to give; ${sum}`;
  const remedy = 'Free memory, or lower secondary.memory.hard.';
  const severity = neededBytes > totalBytes ? 'error' : 'warning';
  return [hostFinding(severity, 'memory-short', message, remedy)];
}

/** @param isServing the daemon runs: it has opened the bases, so they are its own */
export function baseFindings(host: HostFacts, vm: string, isServing: boolean): HostFinding[] {
  return host.bases.flatMap((base) => [
    ...(isServing ? [] : contentFindings(base, vm, host.overwrite)),
    ...spaceFindings(base),
  ]);
}

function contentFindings(base: BaseFacts, vm: string, overwrite: boolean): HostFinding[] {
  const { name, path, exists, record, trouble } = base;
  const found = (code: HostFindingCode, message: string, remedy: string): HostFinding[] => [
    hostFinding('error', code, message, remedy, name),
  ];
  if (trouble !== undefined) {
    const remedy = 'If the base beside it is of no more use, remove both.';
    return found('base-unreadable', trouble, remedy);
  }
  if (!exists && base.sizeBytes === undefined) {
    const remedy = `Create it, or give the disk a size in the configuration.`;
    return found('base-missing', `there is no base ${path}`, remedy);
  }
  if (record !== undefined && (record.vm !== vm || record.disk !== name)) {
    const message = `${path} is the base of disk ${record.disk} of ${record.vm}`;
    return found('base-foreign', message, 'Give this disk a base of its own.');
  }
  if (base.found?.isInUse === true) {
    const remedy = 'Stop what uses it (a VM, another gannet daemon), or name another base.';
    return found('base-in-use', `${path} is in use by another process`, remedy);
  }
  if (base.found && base.found.format !== base.format) {
    const message = `${path} is ${base.found.format}, the configuration says ${base.format}`;
    const remedy = `Set \`format: ${base.found.format}\` for disk ${name}, or remove the image to have it made anew.`;
    return found('base-format', message, remedy);
  }
  if (overwrite) return [];
  const remedy = 'Move it away, or say --overwrite if it is of no more use.';
  if (record?.state === 'retired' || record?.state === 'failed-over') {
    const message = `${path} is ${record.state}: the disk of a VM that has failed over`;
    return found('base-holds-data', message, remedy);
  }
  if (record === undefined && exists && holdsData(base)) {
    return found('base-holds-data', `${path} holds data, and no state file says of what`, remedy);
  }
  return [];
}

/** An image without data has its tables all the same. */
function holdsData({ allocatedBytes, format }: BaseFacts): boolean {
  return allocatedBytes > (format === 'raw' ? 0 : EMPTY_IMAGE_BYTES);
}

function spaceFindings({
  name,
  path,
  sizeBytes,
  allocatedBytes,
  freeBytes,
}: BaseFacts): HostFinding[] {
  if (sizeBytes === undefined || freeBytes === undefined) return [];
  const missing = sizeBytes - allocatedBytes - freeBytes;
  if (missing <= 0) return [];
  const message = `${path} may grow to ${formatBytes(sizeBytes)}; its file system lacks ${formatBytes(missing)} for that`;
  const remedy = 'Give the file system more space, or move the base.';
  return [hostFinding('warning', 'base-space', message, remedy, name)];
}
