/** Findings about hosts: pure functions of their facts. */
import type { Finding, Severity, VmReport } from '@gannet/qmp-driver';
import type { Config } from '@gannet/contract';
import { formatBytes } from '@gannet/contract/format';
import type { BaseFacts, HostFacts } from './host-facts.js';

const WHY = {
  'memory-short':
    "The secondary's QEMU keeps two copies of the guest's memory, beside the buffers.",
  'base-missing': 'The replica writes committed data to its base image.',
  'base-holds-data': 'It may be the only copy of a disk, and the first copy would overwrite it.',
  'base-format': 'Data written in one image format is garbage when it is read in another.',
  'base-in-use': 'Two programs that write to the same image destroy it.',
  'base-foreign': 'The first copy would destroy the disk of another VM.',
  'base-size': 'The daemon refuses a base whose size is not that of the disk.',
  'base-unreadable': 'This file says whether the base holds data that must not be overwritten.',
  'base-space':
    'A sparse base grows. When the file system is full, write-back stops and memory fills.',
  'address-unreachable': 'The two sides must reach each other before protection can start.',
  'route-delays-acks':
    'QEMU does not set TCP_NODELAY: it waits for acknowledgements, which the kernel delays.',
  'folder-missing': 'The daemon could not create its socket or file there.',
  'qmp-unreachable': 'Without QMP, Gannet can neither read nor control the VM.',
  'peer-unreachable': 'The other side could not be checked.',
  'disks-differ': 'A disk that only one side knows is not replicated.',
  'engine-differs': 'The two daemons could not make a checkpoint together.',
  'vm-differs': 'The two daemons are configured for different VMs.',
  'fence-slow': 'The primary fences first and must be done before the secondary begins.',
  'fence-crosswise':
    'Whoever is cut off fences the other, and each host is cut off from the other.',
  'failover-late': 'A checkpoint is a sign of life of the primary, for as long as it may be old.',
  'same-host': 'If this host fails, both VMs fail.',
} as const;

/** QEMU's disks are whole sectors. */
const SECTOR_BYTES = 512;
/** An image without data takes less than this: qcow2 196 KiB, vhdx 4 MiB and a log. */
const EMPTY_IMAGE_BYTES = 8 * 1024 * 1024;

/** What `gannet check` may find about hosts. */
export type HostFindingCode = keyof typeof WHY;
export type HostFinding = Finding<HostFindingCode>;
export const HOST_FINDING_CODES = Object.keys(WHY) as readonly HostFindingCode[];

/** A finding, with the reason why it matters. */
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

/** Times in a configuration that do not go together. */
export function timingFindings({ fence, peer, primary, secondary }: Config): HostFinding[] {
  const findings: HostFinding[] = [];
  const { highMs } = peer;
  if (fence && fence.timeoutMs > highMs) {
    const message =
      `the fence may run for ${fence.timeoutMs} ms, but each side waits only \`peer.highMs\` ` +
      `(${highMs} ms) for the other: after a cut of the network, both hosts may be fenced`;
    const remedy =
      'Set `peer.highMs` to at least the time that your fence takes, and `fence.timeoutMs` to no ' +
      'more than `peer.highMs`, in both configurations.';
    findings.push(hostFinding('warning', 'fence-slow', message, remedy));
  }
  const periodMs = primary?.checkpointPeriodMs ?? 0;
  if (secondary?.failover === 'automatic' && periodMs > 2 * highMs) {
    const message =
      `an automatic failover may begin only ${periodMs + 2 * highMs} ms after the last ` +
      `checkpoint: the period (${periodMs} ms) and twice \`peer.highMs\``;
    const remedy = 'Shorten `primary.checkpointPeriodMs` if the VM must be back earlier.';
    findings.push(hostFinding('warning', 'failover-late', message, remedy));
  }
  return findings;
}

/**
 * Addresses that do not answer, and folders that cannot be used.
 *
 * @param whose the role of that host
 */
export function reachFindings(host: HostFacts, whose: string): HostFinding[] {
  return [
    ...host.unreachable.map(({ key, address, why }) => {
      const message = `${key} (${address}) does not answer on the ${whose} host: ${why}`;
      const remedy =
        "Start the secondary's daemon, then its QEMU; or correct the address or the tunnel.";
      return hostFinding('error', 'address-unreachable', message, remedy, key);
    }),
    ...host.folders.map(({ key, path, why }) => {
      const message = `the folder of ${key} on the ${whose} host cannot be used: ${why}`;
      const remedy = `Create ${path}, writable for the user that the daemon runs as.`;
      return hostFinding('error', 'folder-missing', message, remedy, key);
    }),
  ];
}

/**
 * Routes that make each checkpoint longer. They concern a protected VM too.
 *
 * @param whose the role of that host
 */
export function routeFindings({ routes = [] }: HostFacts, whose: string): HostFinding[] {
  return routes
    .filter(({ hasQuickAck }) => !hasQuickAck)
    .map(({ key, address, route }) => {
      const message =
        `the migration goes over TCP, and the ${whose} host delays its acknowledgements to ` +
        `${address}: each checkpoint may stop the guest 40 ms longer`;
      const remedy =
        `Run on the ${whose} host, as root: \`ip route replace ${route} quickack 1\`. ` +
        'docs/how-to/tls.md says how to keep it.';
      return hostFinding('warning', 'route-delays-acks', message, remedy, key);
    });
}

/**
 * Whether a secondary host has enough memory.
 *
 * @param guest the VM whose memory must fit: the primary VM, or the secondary VM itself
 */
export function memoryFindings(host: HostFacts, guest: VmReport | undefined): HostFinding[] {
  if (guest === undefined) return [];
  const neededBytes = 2 * guest.memory.sizeBytes + host.bufferBytes;
  const { totalBytes, availableBytes } = host.memory;
  if (neededBytes <= availableBytes) return [];
  const sum =
    `twice the guest's ${formatBytes(guest.memory.sizeBytes)}, ` +
    `and ${formatBytes(host.bufferBytes)} of buffers`;
  const message =
    `the secondary host has ${formatBytes(availableBytes)} of memory available, ` +
    `but may need ${formatBytes(neededBytes)} (${sum})`;
  const remedy = 'Free memory on the secondary host, or lower secondary.memory.hard.';
  const severity = neededBytes > totalBytes ? 'error' : 'warning';
  return [hostFinding(severity, 'memory-short', message, remedy)];
}

/**
 * Whether the bases can be used.
 *
 * @param isServing whether the daemon runs: then it has the bases open, and has checked them
 */
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
    const remedy = `If ${path} is no longer needed, remove it together with its state file.`;
    return found('base-unreadable', trouble, remedy);
  }
  if (!exists && base.sizeBytes === undefined) {
    const remedy = 'Create it, or set the `size` of this disk so that the daemon creates it.';
    return found('base-missing', `the base ${path} does not exist`, remedy);
  }
  if (record !== undefined && (record.vm !== vm || record.disk !== name)) {
    const message = `${path} belongs to the disk ${record.disk} of the VM ${record.vm}`;
    return found('base-foreign', message, `Set the \`base\` of ${name} to another path.`);
  }
  if (base.found?.isInUse === true) {
    const remedy =
      'Stop the program that uses it (a VM, another Gannet daemon), or name another base.';
    return found('base-in-use', `${path} is in use by another process`, remedy);
  }
  if (base.found && base.found.format !== base.format) {
    const message = `${path} is a ${base.found.format} image, but \`format\` is ${base.format}`;
    const remedy =
      `Set \`format: ${base.found.format}\` for the disk ${name}, ` +
      'or remove the image: the daemon creates it again.';
    return found('base-format', message, remedy);
  }
  const wrongSize = whyWrongSize(base);
  if (wrongSize !== undefined) {
    const remedy =
      'Set `size` to what the primary disk has, and make the base as large, or remove it: ' +
      'the daemon creates it again.';
    return found('base-size', wrongSize, remedy);
  }
  if (overwrite) return [];
  const remedy =
    'Move the file elsewhere. If its data is no longer needed, run `gannet secondary --overwrite`.';
  if (record?.state === 'retired' || record?.state === 'failed-over') {
    const message = `${path} holds the disk of a VM that has failed over (${record.state})`;
    return found('base-holds-data', message, remedy);
  }
  if (record === undefined && exists && holdsData(base)) {
    return found('base-holds-data', `${path} holds data of unknown origin`, remedy);
  }
  return [];
}

function whyWrongSize({ path, sizeBytes, wantedBytes }: BaseFacts): string | undefined {
  if (sizeBytes === undefined) return undefined;
  if (wantedBytes !== undefined && sizeBytes !== wantedBytes) {
    return `${path} has ${sizeBytes} bytes, but \`size\` is ${wantedBytes}`;
  }
  if (sizeBytes % SECTOR_BYTES === 0) return undefined;
  return `${path} has ${sizeBytes} bytes, no multiple of ${SECTOR_BYTES}`;
}

/** An image without data still has its tables. */
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
  const message =
    `${path} may grow to ${formatBytes(sizeBytes)}, ` +
    `but its file system has ${formatBytes(missing)} too little space`;
  const remedy = 'Free or add space on that file system, or move the base to another.';
  return [hostFinding('warning', 'base-space', message, remedy, name)];
}
