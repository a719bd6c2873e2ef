/**
 * The command line of a secondary that matches a running primary: same machine, CPU, memory and
 * devices in the same places, its disks exports of the replicator below a quorum each, waiting with
 * -incoming. Whatever cannot be derived is a finding.
 */
import { deviceArguments, type DriveNames } from './command-devices.js';
import { netdevArguments } from './command-netdevs.js';
import { finding, type Finding } from '../inspect/finding.js';
import type { ServerAddress } from '../disk/disk-link.js';
import { optionText, type OptionValue } from './option-text.js';
import { chooseOrReport } from '../inspect/preflight.js';
import type { DiskReport, Properties, VmReport } from '../inspect/vm-report.js';

export interface SecondaryCommandOptions {
  /** The replicator's NBD server, as the secondary's host sees it. */
  readonly server: ServerAddress;
  /** The protected disks: the primary's device, and the export that the secondary uses. */
  readonly disks: readonly { readonly device: string; readonly export: string }[];
  /** Where to wait for the primary: `unix:/path` or `tcp:host:port`. */
  readonly incoming: string;
  /** QMP sockets, `unix:/path` or `host:port`: ours, then others. */
  readonly qmp: readonly string[];
  /** Where other sockets, such as consoles, go. */
  readonly socketFolder: string;
  /**
   * Back ends by the id of their character device or net device, in place of what would be derived.
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
const BACKENDS = /^memory-backend-/;

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
  const drives = diskArguments(report, options, findings);
  const command = [
    `qemu-system-${report.target}`,
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...(report.name === undefined ? [] : ['-name', optionText([['guest', report.name]])]),
    ...(report.uuid === undefined ? [] : ['-uuid', report.uuid]),
    ...machineArguments(report, findings),
    ...cpuArguments(report, findings),
    ...memoryArguments(report),
    ...objectArguments(report, findings),
    ...options.qmp.flatMap((address) => ['-qmp', `${monitorText(address)},server=on,wait=off`]),
    ...chardevArguments(report, options, findings),
    ...netdevArguments(report.netdevs, options.backends ?? {}, options.network ?? [], findings),
    ...drives.args,
    ...deviceArguments(report.devices, drives.names, findings),
    ...['-incoming', options.incoming],
  ];
  const message =
    'options that leave no trace in QMP were not copied: -smbios, -fw_cfg, -rtc, -acpitable';
  const remedy = 'If the primary was started with any of them, add them to the line.';
  findings.push(finding('info', 'options-unseen', message, remedy));
  return { command, findings };
}

function machineArguments(
  { machine, accelerator, memory }: VmReport,
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

function hostFile(what: string, file: OptionValue): Finding {
  const message = `the ${what} is a file of the host: ${String(file)}`;
  const remedy = 'Copy it to the same place on the secondary host.';
  return finding('info', 'host-file-needed', message, remedy);
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

function memoryArguments({ memory }: VmReport): string[] {
  const { sizeBytes, maxBytes, slots } = memory;
  const entries: [string, OptionValue][] = [['size', `${sizeBytes}B`]];
  if (slots !== undefined) entries.push(['slots', slots], ['maxmem', `${maxBytes ?? sizeBytes}B`]);
  return ['-m', optionText(entries)];
}

function objectArguments({ objects, memory }: VmReport, findings: Finding[]): string[] {
  return objects.flatMap(({ id, type, properties }) => {
    if (type === 'iothread')
      return [
        '-object',
        optionText([
          ['qom-type', type],
          ['id', id],
        ]),
      ];
    if (BACKENDS.test(type)) return backendArguments(id, type, properties, findings);
    const message = `the object ${id} (${type}) cannot be derived`;
    const remedy = 'Add -object to the line by hand if the secondary needs it.';
    const severity = id === memory.backend ? 'error' : 'warning';
    findings.push(finding(severity, 'object-not-derived', message, remedy, id));
    return [];
  });
}

/** The memory itself comes with the migration: what it is backed by is the host's affair. */
function backendArguments(
  id: string,
  type: string,
  { size, share, 'mem-path': path }: Properties,
  findings: Finding[],
): string[] {
  if (path !== undefined) findings.push(hostFile(`memory ${id}`, path));
  const entries: [string, OptionValue][] = [
    ['qom-type', type],
    ['id', id],
    ['size', `${String(size)}B`],
  ];
  if (share === true) entries.push(['share', true]);
  if (path !== undefined) entries.push(['mem-path', path]);
  return ['-object', optionText(entries)];
}

/** The name of a character device becomes the name of a socket, so that nobody else's is taken. */
function chardevArguments(
  { chardevs, devices }: VmReport,
  { backends = {}, socketFolder }: SecondaryCommandOptions,
  findings: Finding[],
): string[] {
  const used = new Set(devices.map(({ properties }) => properties['chardev']));
  return chardevs.flatMap(({ id, filename }) => {
    const given = backends[id];
    if (given !== undefined) return ['-chardev', `${given},id=${id}`];
    if (!used.has(id)) return [];
    const path = `${socketFolder}/${id}.sock`;
    const entries: [string, OptionValue][] = [
      ['id', id],
      ['path', path],
      ['server', true],
      ['wait', false],
    ];
    const message = `${id} is ${filename} on the primary, and a socket ${path} on the secondary`;
    const remedy = `Give it another back end where this one does not fit.`;
    findings.push(finding('info', 'chardev-changed', message, remedy, id));
    return ['-chardev', `socket,${optionText(entries)}`];
  });
}

/**
 * Each protected disk: the export, with a quorum on top that can take a local file after a
 * failover.
 */
function diskArguments(
  report: VmReport,
  { disks, server }: SecondaryCommandOptions,
  findings: Finding[],
): { args: string[]; names: DriveNames } {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  const args = disks.flatMap(({ device, export: exportName }, index) => {
    const disk = chooseOrReport(report, device, findings);
    if (disk === undefined) return [];
    const top = disk.quorum?.node ?? disk.topNode;
    // Names that QEMU made up begin with #, and cannot be given.
    const quorum = top.startsWith('#') || taken.has(top) ? `quorum${index}` : top;
    const child = `svm${index}`;
    taken.add(quorum).add(child);
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
  return { args, names };
}

function namesOf({ device, names, topNode }: DiskReport): string[] {
  return [device, ...names, topNode];
}

function monitorText(address: string): string {
  const unix = /^unix:(.*)$/.exec(address)?.[1];
  return unix === undefined ? `tcp:${address}` : `unix:${unix.replaceAll(',', ',,')}`;
}
