/** What would keep a pair of VMs from running in step: pure, from two reports. */
import { compareDevices } from './compare-devices.js';
import { finding, type Finding } from './finding.js';
import type { DiskLink } from '../disk/disk-link.js';
import type { EngineKind } from '../checkpoint-engine.js';
import { chooseOrReport, coloFindings, preflight, versionFindings } from './preflight.js';
import { abortsOnQ35 } from '../qemu-quirks.js';
import type { VmReport } from './vm-report.js';

/** One disk of the pair. */
export interface DiskPair {
  /** How the primary reaches the replica. */
  readonly link: DiskLink;
  readonly secondary: {
    /** As `link.device`, on the other side. Default: the same. */
    readonly device?: string | undefined;
    /** The export that the secondary uses. */
    readonly export: string;
    /** Of the replica, where known. */
    readonly sizeBytes?: number | undefined;
  };
}

/** What a pair is to be compared for. */
export interface PairPurpose {
  /** Default: COLO. */
  readonly engine?: EngineKind;
  /** Checkpoints are made. Of COLO, the primary's report tells. */
  readonly isProtected?: boolean;
}

/**
 * Compares both sides, and each with what it has to be. Findings of the primary alone come first.
 * Once checkpoints are made, what can only be seen before is left out.
 */
export function comparePair(
  primary: VmReport,
  secondary: VmReport | undefined,
  disks: readonly DiskPair[],
  { engine = 'colo', isProtected = primary.migration === 'colo' }: PairPurpose = {},
): Finding[] {
  const findings = isProtected
    ? [alreadyProtected(primary, engine)]
    : preflight(
        primary,
        disks.map(({ link }) => link),
        engine,
      );
  findings.push(...engineFindings(primary, 'primary', engine));
  findings.push(...monitorFindings(primary, 'primary'));
  if (secondary === undefined) {
    findings.push(...compareSizes(primary, undefined, disks));
    return isProtected ? findings : [...findings, secondaryAbsent()];
  }
  if (!isProtected) findings.push(...aloneFindings(secondary, engine));
  return [
    ...findings,
    ...(engine === 'vsmr' ? ramFindings(secondary, 'secondary') : []),
    ...monitorFindings(secondary, 'secondary'),
    ...versionPair(primary, secondary, engine),
    ...machinePair(primary, secondary),
    ...compareDevices(primary.devices, secondary.devices),
    ...compareSizes(primary, secondary, disks),
    ...disks.flatMap(({ link, secondary: { device = link.device, export: name } }) =>
      replicaFindings(secondary, device, name),
    ),
  ];
}

/** What can be said of a secondary whose primary is out of reach. */
export function checkSecondary(
  secondary: VmReport,
  disks: readonly { readonly device: string; readonly export: string }[],
  engine: EngineKind = 'colo',
): Finding[] {
  return [
    ...aloneFindings(secondary, engine),
    ...(engine === 'colo' ? versionFindings(secondary, "the secondary's QEMU") : []),
    ...engineFindings(secondary, 'secondary', engine),
    ...monitorFindings(secondary, 'secondary'),
    ...disks.flatMap((disk) => replicaFindings(secondary, disk.device, disk.export)),
  ];
}

function alreadyProtected({ colo }: VmReport, engine: EngineKind): Finding {
  const message =
    engine === 'colo'
      ? `COLO runs: the primary's mode is ${colo.mode}`
      : 'the VM is protected: checkpoints are made';
  return finding('info', 'already-protected', message, 'See `gannet status`.');
}

function secondaryAbsent(): Finding {
  const message = 'the secondary VM could not be asked';
  const remedy =
    'Start its daemon, then its QEMU; `gannet check --print-secondary` has the command line.';
  return finding('warning', 'secondary-absent', message, remedy);
}

/** Of a secondary that has not taken anything over yet. */
function aloneFindings(secondary: VmReport, engine: EngineKind): Finding[] {
  if (engine === 'vsmr') {
    if (secondary.status === 'prelaunch') return [];
    const message = `the secondary does not wait with -S for a primary: it is ${secondary.status}`;
    const remedy = 'Start it again, with -S and without -incoming; its daemon before it.';
    return [finding('error', 'secondary-not-fresh', message, remedy)];
  }
  const findings = coloFindings(secondary).map((one) => {
    return { ...one, message: one.message.replace('this QEMU', "the secondary's QEMU") };
  });
  if (secondary.status !== 'inmigrate') {
    const message = `the secondary does not wait for a primary: it is ${secondary.status}`;
    const remedy = 'Start it again, with -incoming; its daemon before it.';
    findings.push(finding('error', 'secondary-not-incoming', message, remedy));
  }
  return findings;
}

function engineFindings(vm: VmReport, whose: string, engine: EngineKind): Finding[] {
  return engine === 'vsmr' ? ramFindings(vm, whose) : tcgFindings(vm);
}

/** All RAM has to be in one file that QEMU shares. */
function ramFindings({ objects, memory }: VmReport, whose: string): Finding[] {
  const backends = objects.filter(({ type }) => type.startsWith('memory-backend-'));
  const [backend] = backends;
  const { share, 'mem-path': file } = backend?.properties ?? {};
  const isShared = share === true && typeof file === 'string' && file !== '';
  if (backends.length === 1 && isShared && memory.backend === backend?.id) return [];
  const what =
    backends.length > 1
      ? `has ${backends.length} memory backends`
      : backend === undefined || memory.backend === undefined
        ? 'has its memory for itself'
        : `has its memory in ${backend.id} (${backend.type}), which is not a shared file`;
  const message = `the ${whose} VM ${what}`;
  return [finding('error', 'ram-not-shared', message, sharedRamRemedy(memory.sizeBytes))];
}

/** The words that a VM lacks whose memory is not a shared file. */
export function sharedRamRemedy(sizeBytes?: number): string {
  const size = sizeBytes === undefined ? 'SIZE' : `${sizeBytes}B`;
  return (
    'Start QEMU with ' +
    `\`-object memory-backend-file,id=ram0,size=${size},mem-path=/dev/shm/NAME.ram,share=on\` ` +
    'and `memory-backend=ram0` in its -machine; each VM with a file of its own.'
  );
}

function tcgFindings({ accelerator, machine, cpu, version }: VmReport): Finding[] {
  if (accelerator !== 'tcg') return [];
  const findings: Finding[] = [];
  if (machine.type.includes('q35') && abortsOnQ35(version)) {
    const message = `the machine is ${machine.type}, under TCG`;
    const remedy = 'Use -machine pc, or QEMU 11.1 or later, or KVM.';
    findings.push(finding('error', 'tcg-q35', message, remedy));
  }
  if (cpu.model === 'max') {
    const message = 'the CPU is max, under TCG';
    const remedy = 'Use a named model such as -cpu qemu64, or KVM.';
    findings.push(finding('error', 'tcg-cpu-max', message, remedy));
  }
  if (cpu.topology['maxcpus'] === 1) {
    const message = 'one processor is all that the VM can have, under TCG';
    const remedy = 'Start it with -smp 1,maxcpus=2, or under KVM.';
    findings.push(finding('warning', 'tcg-one-cpu', message, remedy));
  }
  return findings;
}

/** Under TCG both QEMUs need the shim; whether they have it can only be seen on their host. */
export function shimFinding(whose: string, severity: 'error' | 'warning'): Finding {
  const seen = severity === 'error' ? 'without' : 'and it cannot be seen whether with';
  const message = `the ${whose} runs under TCG, ${seen} lab/colo-tcg-shim.c preloaded`;
  const remedy = 'Build it (`make setup`) and start QEMU with LD_PRELOAD, or use KVM.';
  return finding(severity, 'tcg-without-shim', message, remedy);
}

function monitorFindings({ monitors }: VmReport, whose: string): Finding[] {
  if (monitors.length > 1) return [];
  const message = `the ${whose} has a single monitor, and it is ours`;
  const remedy = 'Start QEMU with a second -qmp for tools and people.';
  return [finding('info', 'no-second-monitor', message, remedy)];
}

/**
 * The device state of one build can be loaded by another only if they agree on it down to their
 * patches, which neither the schema nor the machine type says: here the number, with the package's,
 * is all that there is to compare.
 */
function versionPair(primary: VmReport, secondary: VmReport, engine: EngineKind): Finding[] {
  const broken = engine === 'colo' ? versionFindings(secondary, "the secondary's QEMU") : [];
  const [a, b] = [primary.version, secondary.version];
  const [left, right] = [versionText(primary), versionText(secondary)];
  if (left === right) return broken;
  const isSeries = a.major === b.major && a.minor === b.minor;
  const message = `the primary runs QEMU ${left}, the secondary ${right}`;
  const remedy = 'Install the same version on both hosts.';
  return [...broken, finding(isSeries ? 'warning' : 'error', 'version-differs', message, remedy)];
}

function versionText({ version }: VmReport): string {
  const { major, minor, micro, package: packaged } = version;
  return `${major}.${minor}.${micro}${packaged === '' ? '' : ` (${packaged})`}`;
}

function machinePair(primary: VmReport, secondary: VmReport): Finding[] {
  const findings: Finding[] = [];
  const differ = (
    code: 'machine-differs' | 'accelerator-differs' | 'cpu-differs',
    what: string,
    ours: unknown,
    theirs: unknown,
  ): void => {
    const [left, right] = [sorted(ours), sorted(theirs)];
    if (left === right) return;
    const message = `${what}: ${left} on the primary, ${right} on the secondary`;
    findings.push(finding('error', code, message, START_AGAIN));
  };
  differ('machine-differs', 'the machine', primary.machine.type, secondary.machine.type);
  // Where the machines are two, so are all their options.
  if (findings.length === 0) {
    const names = new Set(
      [primary, secondary].flatMap(({ machine }) => Object.keys(machine.options)),
    );
    for (const name of names) {
      if (HOST_FILES.has(name)) continue;
      const [ours, theirs] = [primary.machine.options[name], secondary.machine.options[name]];
      differ('machine-differs', `the machine's ${name}`, ours ?? 'none', theirs ?? 'none');
    }
  }
  differ('accelerator-differs', 'the accelerator', primary.accelerator, secondary.accelerator);
  differ('cpu-differs', 'the CPU', primary.cpu.model, secondary.cpu.model);
  differ('cpu-differs', 'the CPUs', primary.cpu.topology, secondary.cpu.topology);
  const [only, lacks] = [without(primary, secondary), without(secondary, primary)];
  differ('cpu-differs', 'CPU features of one side alone', only, lacks);
  return [...findings, ...compareMemory(primary, secondary)];
}

/**
 * Memory that differs: the migration fails on it, after everything has been copied. With `error`
 * where it does, with `warning` where QEMU leaves something out.
 */
export function compareMemory(
  primary: Pick<VmReport, 'memory' | 'ramBlocks'>,
  secondary: Pick<VmReport, 'memory' | 'ramBlocks'>,
): Finding[] {
  const [here, there] = [primary.memory, secondary.memory].map(sorted);
  const blocks = blockFindings(primary.ramBlocks, secondary.ramBlocks);
  if (here === there) return blocks;
  const message = `memory: ${here} on the primary, ${there} on the secondary`;
  return [finding('error', 'memory-differs', message, START_AGAIN), ...blocks];
}

/** Whatever has memory of its own shows here, be it in no list of devices. */
function blockFindings(ours: VmReport['ramBlocks'], theirs: VmReport['ramBlocks']): Finding[] {
  const [left, right] = [Object.keys(ours), Object.keys(theirs)];
  // One of them cannot tell.
  if (left.length === 0 || right.length === 0) return [];
  return [...new Set([...left, ...right])].flatMap((name) => {
    const [here, there] = [ours[name], theirs[name]];
    if (here === there) return [];
    const sizes = [here, there].map((size) => (size === undefined ? 'missing' : `${size} bytes`));
    const seen = `${sizes.join(' on the primary, ')} on the secondary`;
    const message = `the block of memory ${name}: ${seen}`;
    // QEMU loads what the primary sends, and leaves the rest as it is.
    const severity = here === undefined ? 'warning' : 'error';
    return [finding(severity, 'memory-differs', message, START_AGAIN)];
  });
}

const START_AGAIN =
  'Start the secondary with the command line that `gannet check --print-secondary` prints.';
/** Their place in the file system may differ; their contents are not QMP's. */
const HOST_FILES = new Set(['firmware', 'kernel', 'initrd', 'dtb', 'append']);

function without(one: VmReport, other: VmReport): string {
  const there = new Set(other.cpu.flags);
  const flags = one.cpu.flags.filter((flag) => !there.has(flag));
  return flags.length === 0 ? 'none' : flags.join(' ');
}

function sorted(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, one]) => `${name}=${String(one)}`).join(',');
}

/** What is wrong with the sizes of disks, of their replicas and of the secondary's disks. */
export function compareSizes(
  primary: VmReport,
  secondary: VmReport | undefined,
  disks: readonly DiskPair[],
): Finding[] {
  return disks.flatMap(({ link, secondary: other }) => {
    const ours = chooseOrReport(primary, link.device, [])?.sizeBytes;
    const device = other.device ?? link.device;
    const theirs = secondary && chooseOrReport(secondary, device, [])?.sizeBytes;
    const wrong = [
      { what: 'the replica', sizeBytes: other.sizeBytes },
      { what: "the secondary's disk", sizeBytes: theirs },
    ].filter(({ sizeBytes }) => sizeBytes !== undefined && sizeBytes !== ours);
    if (ours === undefined) return [];
    return wrong.map(({ what, sizeBytes }) => {
      const message = `${link.device} has ${ours} bytes, ${what} ${String(sizeBytes)}`;
      const remedy = `Make the base ${ours} bytes (\`disks[].size\`), and restart the secondary.`;
      return finding('error', 'disk-size-differs', message, remedy, link.device);
    });
  });
}

function replicaFindings(secondary: VmReport, device: string, wanted: string): Finding[] {
  const findings: Finding[] = [];
  const disk = chooseOrReport(secondary, device, findings);
  if (disk === undefined) {
    return findings.map((one) => ({ ...one, message: `on the secondary: ${one.message}` }));
  }
  const isReplica = disk.leaves.some(
    ({ driver, filename }) => driver === 'nbd' && exportOf(filename) === wanted,
  );
  if (!isReplica) {
    const seen = disk.leaves.map(({ driver, filename }) => `${driver} ${filename}`).join(', ');
    const message = `the secondary's ${device} is not the export ${wanted}, but ${seen}`;
    findings.push(finding('error', 'replica-not-used', message, START_AGAIN, device));
  }
  if (disk.quorum === undefined) {
    const message = `the secondary's ${device} (node ${disk.topNode}) is not under a quorum`;
    findings.push(finding('warning', 'secondary-no-quorum', message, START_AGAIN, device));
  }
  return findings;
}

/**
 * QEMU writes `nbd+unix:///svm?socket=…` and `nbd://host:port/svm` (block/nbd.c,
 * nbd_refresh_filename).
 */
function exportOf(filename: string): string | undefined {
  const name = /^nbd(?:\+unix)?:\/\/[^/]*\/([^?]*)/.exec(filename)?.[1];
  if (name !== undefined) return decode(name);
  return /"export": "([^"]*)"/.exec(filename)?.[1];
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
