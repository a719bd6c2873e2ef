/** What would keep a VM from being protected, found before anything is touched. */
import type { QmpClient } from 'qemu-qmp-client';
import { GraphError } from '../errors.js';
import { finding, type Finding, type FindingCode } from './finding.js';
import { chooseDisk, type QueryOptions } from '../disk/graph.js';
import { readFacts } from './inspect-vm.js';
import { type DiskLink, namesOf, nbdNodesOf } from '../disk/disk-link.js';
import type { EngineKind } from '../checkpoint-engine.js';
import { MIGRATION_OVER } from '../migration.js';
import { coloBrokenIn } from '../qemu-quirks.js';
import type { DiskReport, VmFacts } from './vm-report.js';

/**
 * @throws ColoError `DRIVER_COMMAND_FAILED` GraphError `DRIVER_GRAPH_UNSTABLE`: QEMU could not be
 *   asked
 */
export async function inspect(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions,
  engine?: EngineKind,
): Promise<Finding[]> {
  return preflight(await readFacts(qmp, options), disks, engine);
}

/** What stands in the way of protecting these disks of the VM. */
export function preflight(
  vm: VmFacts,
  disks: readonly DiskLink[],
  engine: EngineKind = 'colo',
): Finding[] {
  const findings =
    engine === 'colo'
      ? [...versionFindings(vm, 'QEMU'), ...oobFindings(vm), ...coloFindings(vm)]
      : oobFindings(vm);
  if (vm.status !== 'running') {
    const message = `the guest does not run: QEMU's status is ${vm.status}`;
    const remedy = 'Start the guest with cont before it is protected.';
    findings.push(finding('error', 'not-running', message, remedy));
  }
  if (!MIGRATION_OVER.has(vm.migration)) {
    const message = `a migration is under way: its status is ${vm.migration}`;
    const remedy =
      'Wait for its end, or cancel it with migrate_cancel. If it stays `cancelling`, restart QEMU.';
    findings.push(finding('error', 'migration-under-way', message, remedy));
  }
  return [
    ...findings,
    ...migrationFindings(vm),
    ...driverFindings(vm, disks),
    ...diskFindings(vm, disks),
    ...uncoveredFindings(vm, disks),
  ];
}

/** QEMU tells of disks, and of devices whose type it cannot migrate. */
function migrationFindings({ blockedReasons }: VmFacts): Finding[] {
  return blockedReasons.map((reason) => {
    const message = `QEMU refuses to migrate this VM: ${reason}`;
    const remedy =
      'Take the device out of the VM, or use one of another type in its place. Convert a disk ' +
      'with `qemu-img convert`, to raw or qcow2.';
    return finding('error', 'migration-blocked', message, remedy);
  });
}

export function coloFindings({ coloCapable }: VmFacts): Finding[] {
  if (coloCapable) return [];
  const message = 'this QEMU is not COLO capable: it has no migration capability x-colo';
  const remedy =
    "Use a QEMU built with --enable-replication, such as Debian's, or `engine: vsmr` on both " +
    'hosts.';
  return [finding('error', 'colo-not-built', message, remedy)];
}

export function versionFindings({ version }: VmFacts, whose: string): Finding[] {
  const { major, minor, micro } = version;
  const broken = coloBrokenIn(version);
  if (broken === undefined) return [];
  const [first, last] = [broken.firstMicro, broken.fixedInMicro - 1];
  const range = `${major}.${minor}.${first} to ${major}.${minor}.${last}`;
  const number = `${major}.${minor}.${micro}`;
  const message = `${whose} ${number} cannot enter COLO (${range} complete an ordinary migration)`;
  const remedy = `Use QEMU ${major}.${minor}.${broken.fixedInMicro} or later, or 7.2.`;
  return [finding('error', 'colo-broken-version', message, remedy)];
}

function oobFindings({ oob }: VmFacts): Finding[] {
  if (oob) return [];
  const message =
    'this QMP connection has no out-of-band execution: a hung peer could not be cut off';
  const remedy = 'Connect to a monitor on a socket of its own (-qmp unix:…), which offers it.';
  return [finding('error', 'oob-missing', message, remedy)];
}

function driverFindings({ drivers }: VmFacts, disks: readonly DiskLink[]): Finding[] {
  const wanted = new Set(['nbd']);
  for (const { link } of disks) {
    if (link !== 'mirror') wanted.add('quorum');
    if (link === 'replication') wanted.add('replication');
  }
  return [...wanted]
    .filter((driver) => !drivers.includes(driver))
    .map((driver) => {
      const message = `this QEMU is not built with the block driver ${driver}`;
      const remedy =
        driver === 'nbd'
          ? 'Install the package that has it, or use another QEMU.'
          : 'Use another kind of link: nbd needs no replication, mirror no quorum either.';
      return finding('error', 'driver-missing', message, remedy);
    });
}

function diskFindings(vm: VmFacts, disks: readonly DiskLink[]): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  for (const link of disks) {
    const { device } = link;
    const disk = chooseOrReport(vm, device, findings);
    if (disk === undefined) continue;
    if (seen.has(disk.device)) {
      const message = `${device} is ${disk.device}, which is listed already`;
      findings.push(errorOf('disk-named-twice', device, message, 'List each disk once.'));
    }
    seen.add(disk.device);
    if (disk.readOnly) findings.push(readOnlyFinding(device));
    const ours = nbdNodesOf(link).filter((node) => vm.nodes.includes(node));
    if (ours.length > 0) {
      const message = `${device} is already linked, or its id ${link.id} taken: ${ours.join(', ')}`;
      const remedy = 'Detach it first (runAlone()), or choose another id.';
      findings.push(errorOf('already-linked', device, message, remedy));
    }
    const foreign = disk.jobs.filter((job) => job !== namesOf(link).seedJob);
    if (foreign.length > 0) {
      const message = `a block job is in the way on ${device}: ${foreign.join(', ')}`;
      const remedy = 'Wait for its end, or cancel it with block-job-cancel.';
      findings.push(errorOf('job-in-the-way', device, message, remedy));
    }
    if (link.link !== 'mirror' && disk.iothread !== undefined) {
      const message =
        `${device} has the I/O thread ${disk.iothread}: QEMU aborts ` +
        `when its quorum is given a child for a link ${link.link}`;
      const remedy = 'Use the link mirror, which leaves the quorum alone.';
      findings.push(errorOf('quorum-in-iothread', device, message, remedy));
    }
    if (link.link !== 'mirror' && disk.quorum === undefined) {
      const message = `${device} (node ${disk.topNode}) has no quorum for a link ${link.link}`;
      const remedy = 'Use the link mirror, or start the VM with a quorum on its disk.';
      findings.push(errorOf('no-quorum', device, message, remedy));
    }
  }
  return findings;
}

export function readOnlyFinding(device: string): Finding {
  const message = `${device} is read-only`;
  const remedy = 'Take it out of `disks`, and put a copy of it on the secondary host.';
  return errorOf('disk-read-only', device, message, remedy);
}

/** What flash memory holds comes with the state of the guest; its drive is written from there. */
const FLASH = /^\/machine\/[\w-]+\.flash\d$/;

/** What the guest would find changed after a failover: nothing of it comes from here. */
function uncoveredFindings(vm: VmFacts, links: readonly DiskLink[]): Finding[] {
  const covered = new Set(links.map(({ device }) => device));
  const isCovered = ({ device, names }: DiskReport): boolean =>
    [device, ...names].some((name) => covered.has(name));
  return vm.disks
    .filter((disk) => !isCovered(disk) && !disk.names.some((name) => FLASH.test(name)))
    .map(({ device, topNode, readOnly, removable }) => {
      const isHarmless = readOnly || removable;
      const what = isHarmless ? 'a medium or a disk that is only read' : 'written';
      const message = `${device} (node ${topNode}) is ${what}, and it is not protected`;
      const remedy = isHarmless
        ? 'Give the secondary the same one, or take it out.'
        : 'Add it to `disks` in the configuration, or take it out of the VM.';
      const severity = isHarmless ? 'warning' : 'error';
      return finding(severity, 'drive-not-covered', message, remedy, device);
    });
}

/** The disk that goes by `device`, or a finding that lists those that there are. */
export function chooseOrReport(
  vm: VmFacts,
  device: string,
  findings: Finding[],
): DiskReport | undefined {
  try {
    return chooseDisk(vm.disks, device);
  } catch (error) {
    if (!(error instanceof GraphError && error.code === 'DRIVER_DISK_NOT_FOUND')) throw error;
    findings.push(errorOf('disk-not-found', device, error.message, error.remedy));
    return undefined;
  }
}

function errorOf(code: FindingCode, device: string, message: string, remedy: string): Finding {
  return finding('error', code, message, remedy, device);
}
