/** `gannet check`: collects reports of both sides and derives findings from them. */
import { hostname } from 'node:os';
import {
  checkSecondary,
  comparePair,
  type Finding,
  secondaryCommandLine,
  type SecondaryCommand,
  shimFinding,
  shortSocketPath,
} from '@gannet/qmp-driver';
import path from 'node:path';
import {
  asPrimary,
  type Config,
  ControlClient,
  describeError,
  type Engine,
  GannetError,
  type MethodParams,
  migrationOf,
  type PrimaryConfig,
} from '@gannet/contract';

import {
  baseFindings,
  hostFinding,
  type HostFinding,
  memoryFindings,
  reachFindings,
  routeFindings,
  timingFindings,
} from './host-findings.js';
import { crosswiseFindings } from './other-vms.js';
import { addressText, linksOf } from './disk-links.js';
import { memoryFileFindings, memoryFileOf } from './memory-file.js';
import { diskPairsOf, inspectDirectly, type SideReport } from './side-report.js';

/** A finding of this package or of the driver. */
export type AnyFinding = Finding<string>;

/** Asks the secondary's daemon for its report, over a peer link made for this one question. */
export type AskPeer = (config: PrimaryConfig) => Promise<unknown>;

/** The findings, and the reports that they come from. */
export interface CheckResult {
  readonly findings: readonly AnyFinding[];
  readonly primary?: SideReport;
  readonly secondary?: SideReport;
}

/**
 * Checks a pair from either host. A side without a daemon is asked directly over QMP.
 *
 * @param askPeer used if no primary daemon runs whose link could be used
 */
export async function check(config: Config, askPeer: AskPeer): Promise<CheckResult> {
  const own = await askOwn(config);
  if (own.role === 'secondary') {
    const { engine } = config;
    return {
      findings: [...judgeSecondary(own, engine), ...timingFindings(config)],
      secondary: own,
    };
  }
  let secondary: SideReport | undefined;
  const findings: AnyFinding[] = timingFindings(config);
  try {
    const { control } = config;
    const primary = asPrimary(config);
    secondary = own.isServing
      ? await askDaemon(control, { peer: true })
      : ((await askPeer(primary)) as SideReport);
  } catch (error) {
    const message = `the secondary's daemon does not answer: ${describeError(error).message}`;
    const remedy = `Run \`gannet secondary ${config.vm}\` on its host, and check primary.peer.`;
    findings.push(hostFinding('warning', 'peer-unreachable', message, remedy));
  }
  findings.push(...judgePair(config, own, secondary));
  return { findings, primary: own, ...(secondary && { secondary }) };
}

async function askOwn(config: Config): Promise<SideReport> {
  try {
    return await askDaemon(config.control);
  } catch (error) {
    // By its code: the daemon's part of the program may have been compiled apart.
    if (describeError(error).code !== 'GANNET_CONTROL_UNREACHABLE') throw error;
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

/** Pure function: derives all findings from the two reports. */
export function judgePair(
  config: Config,
  primary: SideReport,
  secondary: SideReport | undefined,
): AnyFinding[] {
  const links = linksOf(asPrimary(config));
  const findings: AnyFinding[] = [...troubleFindings(primary)];
  const { engine } = config;
  const isProtected =
    engine === 'colo' ? primary.report?.migration === 'colo' : primary.state === 'protected';
  if (!isProtected) findings.push(...reachFindings(primary.host, 'primary'));
  findings.push(...routeFindings(primary.host, 'primary'), ...shimFindings(primary, engine));
  const pairs = diskPairsOf(links, primary, secondary);
  if (primary.report !== undefined) {
    const purpose = engine === 'colo' ? {} : { engine, isProtected };
    findings.push(...comparePair(primary.report, secondary?.report, pairs, purpose));
  }
  if (secondary === undefined) return findings;
  findings.push(...namesFindings(primary, secondary));
  // With COLO, QEMU copies the memory: nobody reads such a file.
  if (engine === 'vsmr') findings.push(...memoryFileFindings(primary, secondary));
  findings.push(...crosswiseFindings(primary, secondary, config.fence?.timeoutMs));
  findings.push(...secondaryHostFindings(secondary, primary, isProtected, engine));
  return findings;
}

function judgeSecondary(secondary: SideReport, engine: Engine): AnyFinding[] {
  const disks = secondary.disks.map(({ device, export: name }) => ({ device, export: name }));
  return [
    ...secondaryHostFindings(secondary, secondary, secondary.state === 'protected', engine),
    ...(secondary.report === undefined ? [] : checkSecondary(secondary.report, disks, engine)),
  ];
}

function secondaryHostFindings(
  secondary: SideReport,
  guest: SideReport,
  isProtected: boolean,
  engine: Engine,
): AnyFinding[] {
  const routes = routeFindings(secondary.host, 'secondary');
  if (isProtected) return routes;
  return [
    ...routes,
    ...troubleFindings(secondary),
    ...shimFindings(secondary, engine),
    ...reachFindings(secondary.host, 'secondary'),
    ...memoryFindings(secondary.host, guest.report),
    ...baseFindings(secondary.host, secondary.vm, secondary.isServing),
  ];
}

function troubleFindings({ role, trouble, qmp }: SideReport): HostFinding[] {
  if (trouble === undefined) return [];
  const message = `the ${role} VM does not answer at ${addressText(qmp)}: ${trouble}`;
  const look = 'that QEMU runs with this QMP socket, and that no other program is connected to it.';
  const remedy =
    role === 'primary'
      ? `Check ${look}`
      : 'Start it if it does not run: on the primary host, `gannet check --print-secondary` ' +
        `prints its command line. Otherwise check ${look}`;
  return [hostFinding('error', 'qmp-unreachable', message, remedy)];
}

/** Only COLO needs it. */
function shimFindings({ role, report, host }: SideReport, engine: Engine): Finding[] {
  if (engine !== 'colo') return [];
  if (report?.accelerator !== 'tcg' || host.shim === true) return [];
  return [shimFinding(role, host.shim === false ? 'error' : 'warning')];
}

function namesFindings(primary: SideReport, secondary: SideReport): HostFinding[] {
  const findings: HostFinding[] = [];
  if (primary.vm !== secondary.vm) {
    const message = `\`vm\` is ${primary.vm} on the primary, but ${secondary.vm} on the secondary`;
    const remedy = 'Set `vm` to the same name in both configurations, or correct primary.peer.';
    findings.push(hostFinding('error', 'vm-differs', message, remedy));
  }
  const [own, other] = [primary.engine ?? 'colo', secondary.engine ?? 'colo'];
  if (own !== other) {
    const message = `\`engine\` is ${own} on the primary, but ${other} on the secondary`;
    const remedy = 'Set `engine` to the same in both configurations, and restart the daemons.';
    findings.push(hostFinding('error', 'engine-differs', message, remedy));
  }
  if (primary.hostname === secondary.hostname) {
    const message = `both sides run on the host ${primary.hostname}`;
    const remedy = 'Use a second host in production; one host is fine for a trial.';
    findings.push(hostFinding('info', 'same-host', message, remedy));
  }
  const names = ({ disks }: SideReport): string[] => disks.map(({ name }) => name);
  const [ours, theirs] = [names(primary), names(secondary)];
  const odd = [...ours, ...theirs].filter(
    (name) => !(ours.includes(name) && theirs.includes(name)),
  );
  for (const name of odd) {
    const message = `the disk ${name} is in only one of the two configurations`;
    const remedy = 'List the same disks, with the same names, in both configurations.';
    findings.push(hostFinding('error', 'disks-differ', message, remedy, name));
  }
  return findings;
}

/** Options of `gannet check --print-secondary`. */
export interface PrintOptions {
  /** Where the secondary QEMU waits; default: `primary.migrate`. */
  readonly incoming?: string | undefined;
  /** Back ends of the secondary's network cards and serial ports, by id. */
  readonly backends?: Readonly<Record<string, string>>;
}

/**
 * The command line for the secondary's QEMU.
 *
 * @throws GannetError GANNET_NOT_READY if the primary VM or the secondary's daemon did not answer
 */
export function printSecondary(
  config: Config,
  { primary, secondary }: CheckResult,
  { incoming, backends = {} }: PrintOptions,
): SecondaryCommand {
  if (primary?.report === undefined || secondary?.nbd === undefined) {
    const message =
      "the secondary's command line is derived from the primary VM and the secondary's daemon, " +
      'and one of them does not answer';
    const remedy = 'Start the primary VM and `gannet secondary`, then run this command again.';
    throw new GannetError('GANNET_NOT_READY', message, remedy);
  }
  const exports = new Map(secondary.disks.map((disk) => [disk.name, disk.export]));
  const disks = primary.disks.map(({ name, device }) => {
    return { device, export: exports.get(name) ?? name };
  });
  const { qmp } = secondary;
  const isUnix = qmp.type === 'unix';
  const file = memoryFileOf(primary);
  const isOneHost = primary.hostname === secondary.hostname;
  const socketFolder = isUnix ? path.dirname(qmp.path) : '/run/gannet';
  return secondaryCommandLine(primary.report, {
    server: secondary.nbd,
    disks,
    // With TLS, QEMU is told where to wait by its daemon.
    ...waitsWith(config, incoming),
    memoryFile: isOneHost && file !== undefined ? `${file}.secondary` : undefined,
    qmp: isUnix ? [qmp.path, ...secondMonitor(qmp.path)].map(unixText) : [addressText(qmp)],
    socketFolder,
    backends,
    network: config.network.map(({ netdev }) => netdev),
  });
}

/** Without COLO, QEMU waits for its daemon alone. With TLS, it is told where to wait by it. */
function waitsWith(config: Config, incoming: string | undefined): { incoming?: string } {
  if (config.engine === 'vsmr') return {};
  const { migrate } = asPrimary(config).primary;
  return { incoming: incoming ?? (migrationOf(migrate).hasTls ? 'defer' : migrate) };
}

/** For tools and people; none where the folder is too deep for a socket. */
function secondMonitor(first: string): string[] {
  const name = path.basename(first);
  return [shortSocketPath(path.dirname(first), `${name}.2`, 'qmp2', '2') ?? []].flat();
}

function unixText(socket: string): string {
  return addressText({ type: 'unix', path: socket });
}
