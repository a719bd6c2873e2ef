/**
 * The command line of a secondary that matches a running primary: same machine, CPU, memory and
 * devices in the same places, its disks exports of the replicator below a quorum each, waiting with
 * -incoming. Whatever cannot be derived is a finding.
 */
import { deviceArguments, type DriveNames } from './command-devices.js';
import { fileNode, flashArguments, hostFile } from './command-files.js';
import { audioArguments, chardevArguments, monitorArguments } from './command-monitors.js';
import { netdevArguments, netdevNames } from './command-netdevs.js';
import { objectArguments } from './command-objects.js';
import { finding, type Finding } from '../inspect/finding.js';
import type { ServerAddress } from '../disk/disk-link.js';
import { optionText, type OptionValue } from './option-text.js';
import { chooseOrReport, readOnlyFinding } from '../inspect/preflight.js';
import { freeName } from '../disk/graph.js';
import type { DiskReport, VmReport } from '../inspect/vm-report.js';

export interface SecondaryCommandOptions {
  /** The replicator's NBD server, as the secondary's host sees it. */
  readonly server: ServerAddress;
  /** The protected disks: the primary's device, and the export that the secondary uses. */
  readonly disks: readonly { readonly device: string; readonly export: string }[];
  /**
   * Where to wait for the primary: `unix:/path` or `tcp:host:port`. Without, it waits with -S, for
   * an engine that is not COLO.
   */
  readonly incoming?: string | undefined;
  /** Of the file of its memory, in place of the primary's, which is on the same host. */
  readonly memoryFile?: string | undefined;
  /** QMP sockets, `unix:/path`, `host:port` or `[::1]:port`: ours, then others. */
  readonly qmp: readonly string[];
  /** Where other sockets, such as consoles, go. */
  readonly socketFolder: string;
  /**
   * Back ends by the id of their character, net or sound device, in place of what would be derived.
   */
  readonly backends?: Readonly<Record<string, string>>;
  /** Net devices that are walled off until a failover (ComparedCard). */
  readonly network?: readonly string[];
}

export interface SecondaryCommand {
  /** Program and arguments, unquoted. */
  readonly command: readonly string[];
  readonly findings: readonly Finding[];
}

const HOST_FILES = ['kernel', 'initrd', 'dtb'] as const;
/** Found by QEMU itself, unless -bios or -machine firmware named another. */
const OWN_FIRMWARE = /^bios[\w-]*\.bin$/;

/**
 * The command line of a secondary that matches a running primary: same machine, CPU, memory and
 * devices in the same places, its disks exports of the replicator, waiting with -incoming. What
 * cannot be derived is a finding.
 */
export function secondaryCommandLine(
  report: VmReport,
  options: SecondaryCommandOptions,
): SecondaryCommand {
  const findings: Finding[] = [];
  const taken = new Set<string>();
  const drives = diskArguments(report, options, taken, findings);
  const flash = flashArguments(report, taken, findings);
  const netdevs = netdevNames(report.netdevs);
  const command = [
    `qemu-system-${report.target}`,
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...(report.name === undefined ? [] : ['-name', optionText([['guest', report.name]])]),
    ...(report.uuid === undefined ? [] : ['-uuid', report.uuid]),
    ...flash.args,
    ...machineArguments(report, flash.options, findings),
    ...cpuArguments(report, findings),
    ...memoryArguments(report, findings),
    ...objectArguments(report, options, findings),
    ...monitorArguments(options.qmp),
    ...chardevArguments(report, options, findings),
    ...audioArguments(report, options, findings),
    ...netdevArguments(report.netdevs, netdevs, options, findings),
    ...drives.args,
    ...deviceArguments(report.devices, { drives: drives.names, netdevs }, findings),
    ...(options.incoming === undefined ? ['-S'] : ['-incoming', options.incoming]),
  ];
  const message =
    'options that leave no trace in QMP were not copied: -smbios, -fw_cfg, -rtc, -acpitable';
  const remedy = 'If the primary was started with any of them, add them to the line.';
  findings.push(finding('info', 'options-unseen', message, remedy));
  return { command, findings };
}

function machineArguments(
  { machine, accelerator, memory }: VmReport,
  flash: readonly [string, OptionValue][],
  findings: Finding[],
): string[] {
  const { append, kernel, initrd, dtb, firmware, ...rest } = machine.options;
  const backend: [string, OptionValue][] =
    memory.backend === undefined ? [] : [['memory-backend', memory.backend]];
  const entries: [string, OptionValue][] = [
    ['type', machine.type],
    ['accel', accelerator],
    ...Object.entries(rest),
    ...backend,
    ...flash,
  ];
  const args = ['-machine', optionText(entries)];
  const files = { kernel, initrd, dtb };
  for (const name of HOST_FILES) {
    const file = files[name];
    if (file === undefined) continue;
    args.push(`-${name}`, String(file));
    findings.push(hostFile(name, file));
  }
  if (append !== undefined) args.push('-append', String(append));
  if (firmware !== undefined && !OWN_FIRMWARE.test(String(firmware))) {
    args.push('-bios', String(firmware));
    findings.push(hostFile('firmware', firmware));
  }
  const boot = Object.entries(machine.boot);
  if (boot.length > 0) args.push('-boot', optionText(boot));
  return args;
}

function cpuArguments({ cpu }: VmReport, findings: Finding[]): string[] {
  if (cpu.features === undefined) {
    const message = `what was given to -cpu ${cpu.model} beside the model cannot be told`;
    const remedy = 'Add it to -cpu by hand; `gannet check` compares the features of both sides.';
    findings.push(finding('warning', 'property-not-derived', message, remedy, 'cpu'));
  }
  const smp = Object.entries(cpu.topology).filter(([name]) => name !== 'cpus');
  return [
    ...[
      '-cpu',
      [cpu.model, optionText(Object.entries(cpu.features ?? {}))].filter(Boolean).join(','),
    ],
    ...['-smp', optionText([['cpus', cpu.topology['cpus'] ?? 1], ...smp])],
  ];
}

function memoryArguments({ memory }: VmReport, findings: Finding[]): string[] {
  const { sizeBytes, maxBytes, slots, numa } = memory;
  if (numa !== undefined) {
    const message = `memory is divided into NUMA nodes: ${numa}`;
    const remedy = 'Add -numa to the line by hand, as the primary was started with.';
    findings.push(finding('error', 'numa-not-derived', message, remedy, 'memory'));
  }
  const entries: [string, OptionValue][] = [['size', `${sizeBytes}B`]];
  if (slots !== undefined) entries.push(['slots', slots], ['maxmem', `${maxBytes ?? sizeBytes}B`]);
  return ['-m', optionText(entries)];
}

/**
 * Each protected disk: the export, with a quorum on top that can take a local file after a
 * failover. Others that are read-only: their file.
 */
function diskArguments(
  report: VmReport,
  { disks, server }: SecondaryCommandOptions,
  taken: Set<string>,
  findings: Finding[],
): { args: string[]; names: DriveNames } {
  const names = new Map<string, string>();
  const covered = new Set<DiskReport>();
  const args = disks.flatMap(({ device, export: exportName }, index) => {
    const disk = chooseOrReport(report, device, findings);
    if (disk === undefined) return [];
    covered.add(disk);
    if (disk.readOnly) findings.push(readOnlyFinding(device));
    const top = disk.quorum?.node ?? disk.topNode;
    // Names that QEMU made up begin with #, and cannot be given.
    const isFree = !top.startsWith('#') && !taken.has(top);
    const quorum = isFree ? top : freeName(`quorum${index}`, taken);
    taken.add(quorum);
    const child = freeName(`svm${index}`, taken);
    taken.add(child);
    for (const name of namesOf(disk)) names.set(name, quorum);
    const address: [string, OptionValue][] =
      server.type === 'unix'
        ? [['server.path', server.path]]
        : [
            ['server.host', server.host],
            ['server.port', server.port],
          ];
    return [
      '-blockdev',
      optionText([
        ['driver', 'nbd'],
        ['node-name', child],
        ['server.type', server.type],
        ...address,
        ['export', exportName],
      ]),
      '-blockdev',
      optionText([
        ['driver', 'quorum'],
        ['node-name', quorum],
        ['children.0', child],
        ['vote-threshold', 1],
        ['read-pattern', 'fifo'],
      ]),
    ];
  });
  for (const disk of report.disks) {
    if (!disk.readOnly || disk.image === undefined || covered.has(disk) || isFlash(report, disk)) {
      continue;
    }
    const file = fileNode(disk, disk.image, taken);
    for (const name of namesOf(disk)) names.set(name, file.node);
    args.push(...file.args);
    findings.push(hostFile(`disk ${disk.device}, which is read-only,`, disk.image.filename));
  }
  return { args, names };
}

function isFlash({ machine }: VmReport, { names }: DiskReport): boolean {
  return Object.values(machine.flash).some((drive) => names.includes(drive));
}

function namesOf({ device, names, topNode }: DiskReport): string[] {
  return [device, ...names, topNode];
}
