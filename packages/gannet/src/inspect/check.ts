/** `gannet check`: both sides, asked and judged. */
import { hostname } from 'node:os';
import {
  checkSecondary,
  comparePair,
  type DiskPair,
  type Finding,
  secondaryCommandLine,
  type SecondaryCommand,
  shimFinding,
} from '@gannet/qmp-driver';
import path from 'node:path';
import {
  asPrimary,
  type Config,
  ControlClient,
  describeError,
  GannetError,
  type MethodParams,
  type PrimaryConfig,
} from '@gannet/contract';
import { PeerLink } from '../daemon/peer/peer-link.js';
import {
  baseFindings,
  hostFinding,
  type HostFinding,
  memoryFindings,
  reachFindings,
} from './host-findings.js';
import { addressText, linksOf } from './disk-links.js';
import { inspectDirectly, type SideReport } from './side-report.js';

const PEER_TIMEOUT_MS = 2000;

export type AnyFinding = Finding<string>;

export interface CheckResult {
  readonly findings: readonly AnyFinding[];
  readonly primary?: SideReport;
  readonly secondary?: SideReport;
}

/** Asks the daemons, or QEMU where there is none, and says all that is wrong. */
export async function check(config: Config): Promise<CheckResult> {
  const own = await askOwn(config);
  if (own.role === 'secondary') {
    return { findings: judgeSecondary(own), secondary: own };
  }
  let secondary: SideReport | undefined;
  const findings: AnyFinding[] = [];
  try {
    secondary = await askSecondary(asPrimary(config), own.isServing);
  } catch (error) {
    const message = `the secondary's daemon does not answer: ${describeError(error).message}`;
    const remedy = 'Start it with `gannet secondary` on its host, and see to primary.peer.';
    findings.push(hostFinding('warning', 'peer-unreachable', message, remedy));
  }
  findings.push(...judgePair(config, own, secondary));
  return { findings, primary: own, ...(secondary && { secondary }) };
}

async function askOwn(config: Config): Promise<SideReport> {
  try {
    return await askDaemon(config.control);
  } catch (error) {
    if (!(error instanceof GannetError && error.code === 'GANNET_CONTROL_UNREACHABLE')) throw error;
    return inspectDirectly(config, hostname());
  }
}

async function askDaemon(
  control: string,
  params: MethodParams<'inspect'> = {},
): Promise<SideReport> {
  const client = await ControlClient.connect(control);
  try {
    return (await client.call('inspect', params)) as SideReport;
  } finally {
    client.close();
  }
}

/** Over the peer link: our daemon's, or for the moment one of our own. */
async function askSecondary(config: PrimaryConfig, isServing: boolean): Promise<SideReport> {
  if (isServing) return askDaemon(config.control, { peer: true });
  const nothing = (): void => undefined;
  const link = PeerLink.dial(config.primary.peer, {
    ...config.peer,
    vm: config.vm,
    role: 'primary',
    status: () => ({ role: 'primary', state: 'none', epoch: 0, vm: 'awaited', link: 'none' }),
    onLiveness: nothing,
    onStatus: nothing,
    onNotice: nothing,
    onRefused: nothing,
    onAsk: () => Promise.reject(new Error('no daemon')),
  });
  try {
    return (await link.ask(PEER_TIMEOUT_MS)) as SideReport;
  } finally {
    await link.close();
  }
}

/** Pure, but for nothing: every finding there is about these two sides. */
export function judgePair(
  config: Config,
  primary: SideReport,
  secondary: SideReport | undefined,
): AnyFinding[] {
  const links = linksOf(asPrimary(config));
  const findings: AnyFinding[] = [...troubleFindings(primary)];
  const isProtected = primary.report?.migration === 'colo';
  if (!isProtected) findings.push(...reachFindings(primary.host, 'primary'));
  findings.push(...shimFindings(primary));
  const pairs = primary.disks.flatMap(({ name }, index): DiskPair[] => {
    const link = links[index];
    const other = secondary?.disks.find((disk) => disk.name === name);
    if (link === undefined) return [];
    const { device, export: exported, sizeBytes } = other ?? { export: '' };
    return [{ link, secondary: { device, export: exported, sizeBytes } }];
  });
  if (primary.report !== undefined) {
    findings.push(...comparePair(primary.report, secondary?.report, pairs));
  }
  if (secondary === undefined) return findings;
  findings.push(...namesFindings(primary, secondary));
  findings.push(...secondaryHostFindings(secondary, primary, isProtected));
  return findings;
}

function judgeSecondary(secondary: SideReport): AnyFinding[] {
  const disks = secondary.disks.map(({ device, export: name }) => ({ device, export: name }));
  return [
    ...secondaryHostFindings(secondary, secondary, secondary.state === 'protected'),
    ...(secondary.report === undefined ? [] : checkSecondary(secondary.report, disks)),
  ];
}

function secondaryHostFindings(
  secondary: SideReport,
  guest: SideReport,
  isProtected: boolean,
): AnyFinding[] {
  if (isProtected) return [];
  return [
    ...troubleFindings(secondary),
    ...shimFindings(secondary),
    ...reachFindings(secondary.host, 'secondary'),
    ...memoryFindings(secondary.host, guest.report),
    ...baseFindings(secondary.host, secondary.vm, secondary.isServing),
  ];
}

function troubleFindings({ role, trouble, qmp }: SideReport): HostFinding[] {
  if (trouble === undefined) return [];
  const message = `the ${role} VM cannot be asked at ${addressText(qmp)}: ${trouble}`;
  const remedy =
    'See that QEMU runs with this QMP socket, and that nobody else is connected to it.';
  return [hostFinding('error', 'qmp-unreachable', message, remedy)];
}

function shimFindings({ role, report, host }: SideReport): Finding[] {
  if (report?.accelerator !== 'tcg' || host.shim === true) return [];
  return [shimFinding(role, host.shim === false ? 'error' : 'warning')];
}

function namesFindings(primary: SideReport, secondary: SideReport): HostFinding[] {
  const findings: HostFinding[] = [];
  if (primary.vm !== secondary.vm) {
    const message = `the primary's VM is ${primary.vm}, the secondary's ${secondary.vm}`;
    const remedy = 'Give `vm` the same name in both configurations, or mend primary.peer.';
    findings.push(hostFinding('error', 'vm-differs', message, remedy));
  }
  if (primary.hostname === secondary.hostname) {
    const message = `both sides are on ${primary.hostname}`;
    findings.push(hostFinding('info', 'same-host', message, 'Fine for a trial.'));
  }
  const names = ({ disks }: SideReport): string[] => disks.map(({ name }) => name);
  const [ours, theirs] = [names(primary), names(secondary)];
  const odd = [...ours, ...theirs].filter(
    (name) => !(ours.includes(name) && theirs.includes(name)),
  );
  for (const name of odd) {
    const message = `the disk ${name} is in the configuration of one side only`;
    const remedy = 'List the same names under `disks` on both sides.';
    findings.push(hostFinding('error', 'disks-differ', message, remedy, name));
  }
  return findings;
}

export interface PrintOptions {
  /** Default: where the primary is going to send its state. */
  readonly incoming?: string | undefined;
  readonly backends?: Readonly<Record<string, string>>;
}

/** @throws GannetError GANNET_NOT_READY when the primary VM or the secondary's daemon could not be asked */
export function printSecondary(
  config: Config,
  { primary, secondary }: CheckResult,
  { incoming, backends = {} }: PrintOptions,
): SecondaryCommand {
  const { migrate } = asPrimary(config).primary;
  if (primary?.report === undefined || secondary?.nbd === undefined) {
    const message = "the secondary's command line needs the primary VM and the secondary's daemon";
    const remedy = 'Start both; the secondary QEMU comes after its daemon.';
    throw new GannetError('GANNET_NOT_READY', message, remedy);
  }
  const exports = new Map(secondary.disks.map((disk) => [disk.name, disk.export]));
  const disks = primary.disks.map(({ name, device }) => {
    return { device, export: exports.get(name) ?? name };
  });
  const { qmp } = secondary;
  const isUnix = qmp.type === 'unix';
  return secondaryCommandLine(primary.report, {
    server: secondary.nbd,
    disks,
    incoming: incoming ?? migrate,
    qmp: isUnix ? [`unix:${qmp.path}`, `unix:${qmp.path}.2`] : [addressText(qmp)],
    socketFolder: isUnix ? path.dirname(qmp.path) : '/run/gannet',
    backends,
    network: config.network.map(({ netdev }) => netdev),
  });
}
