/** What is wrong with a VM or a pair of VMs, why it matters, and what to do. */

/** Why it matters, by code: the same whatever the particulars are. */
const WHY = {
  // One VM
  'colo-broken-version': 'Its primary ends as after a migration: the guest stops, unprotected.',
  'colo-not-built': 'Without COLO the two VMs cannot run in step.',
  'driver-missing': 'The disk could not be connected to its replica.',
  'oob-missing': 'A peer that hangs without closing the connection could stop the guest for good.',
  'not-running': 'COLO starts from a running guest.',
  'migration-under-way': 'QEMU runs one migration at a time, and COLO is a migration.',
  'migration-blocked': 'COLO is a migration: it would fail when all disks have been copied.',
  'disk-read-only': 'Nothing is replicated of a disk that never changes, and QEMU refuses to try.',
  'disk-not-found': 'A disk that is not replicated is missing after a failover.',
  'disk-named-twice': 'Two links of one disk would write to two replicas that differ.',
  'no-quorum': 'A quorum cannot be put on top of a node that a running device uses.',
  'quorum-in-iothread': 'QEMU aborts, and the guest is gone.',
  'job-in-the-way': 'Seeding needs a block job of its own on this disk.',
  'already-linked': 'The names of our nodes are taken, or an earlier protection was not removed.',
  'already-protected': 'Most checks are only possible before COLO runs.',
  'tcg-q35': 'QEMU before 11.1 aborts under TCG when COLO starts on q35.',
  'tcg-cpu-max': "Under TCG the secondary's memory is corrupted after a checkpoint with this CPU.",
  'tcg-one-cpu':
    'With a single CPU TCG leaves out barriers, and requests to a virtio disk may hang.',
  'tcg-without-shim': 'Under TCG COLO deadlocks, or loses dirty pages, without the shim.',
  'ram-not-shared': 'This engine reads and writes the memory of the guest as a file.',
  'ram-shared-twice': 'Two guests in one memory destroy each other.',
  'no-second-monitor': 'A QMP socket serves one client: ours keeps everybody else out.',
  // The pair
  'secondary-absent': 'The two sides could not be compared.',
  'secondary-not-incoming': "The primary's state can only be loaded by a QEMU that waits for it.",
  'secondary-not-fresh': "The primary's state replaces that of a QEMU that has never run a guest.",
  'version-differs': 'The state of devices may not be understood, or be understood differently.',
  'machine-differs': "The primary's state does not fit into another machine.",
  'accelerator-differs': 'CPU state and timing differ between accelerators.',
  'cpu-differs': 'The guest would suddenly run on another CPU.',
  'memory-differs': 'The migration fails when blocks of memory differ in size.',
  'device-missing': 'The migration fails at the first device that has no counterpart.',
  'device-extra': 'After a failover the guest would find a device that it does not know.',
  'device-differs': 'The state of a device does not fit, or the guest finds it changed.',
  'names-differ': 'The migration goes by place, but a person or a script goes by name.',
  'disk-size-differs': 'A write beyond the end of the replica would be lost.',
  'replica-not-used': 'The secondary would run on a disk that knows nothing of the primary.',
  'secondary-no-quorum': 'After a failover the guest cannot be moved to its local file.',
  // The secondary's command line
  'device-not-derived': 'The secondary would lack a device that the primary has.',
  'property-not-derived': 'The device may differ between the two sides.',
  'numa-not-derived': 'The migration fails when memory is divided in another way.',
  'object-not-derived': 'The secondary would lack an object that the primary has.',
  'drive-not-covered': 'A disk that is not protected does not exist on the other side.',
  'netdev-not-derived': 'The guest would lose its network at a failover.',
  'network-doubled': 'Both guests have the same MAC address and would answer the same requests.',
  'audiodev-changed': "The sound of the guest need not be heard on the secondary's host.",
  'socket-path-too-long': 'A path of a unix socket has at most 107 bytes.',
  'chardev-changed': "The host's end of a port need not be the same on both sides.",
  'host-file-needed': 'The command line names a file of the host; it has to be there too.',
  'options-unseen': 'QMP does not show every option that QEMU was started with.',
} as const;

/** Codes of findings, stable. */
export type FindingCode = keyof typeof WHY;

export type Severity = 'error' | 'warning' | 'info';

/**
 * An `error` prevents protection; a `warning` means that something will not work; `info` is a note.
 */
export interface Finding<Code extends string = FindingCode> {
  readonly severity: Severity;
  /** Stable; to be compared. */
  readonly code: Code;
  /** What is wrong. */
  readonly message: string;
  /** Why it matters. */
  readonly why: string;
  /** What to do: sentences. */
  readonly remedy: string;
  readonly device?: string;
}

/** All codes, in the order above. */
export const FINDING_CODES = Object.keys(WHY) as readonly FindingCode[];

/** Makes a finding; why it matters comes with the code. */
export function finding(
  severity: Severity,
  code: FindingCode,
  message: string,
  remedy: string,
  device?: string,
): Finding {
  const about = device === undefined ? {} : { device };
  return { severity, code, message, why: WHY[code], remedy, ...about };
}
