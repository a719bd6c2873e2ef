/** One side of a pair, seen from its own host: the result of the control method `inspect`. */
import { type DiskLink, type DiskPair, inspectVm, type VmReport } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import {
  type Address,
  asPrimary,
  asSecondary,
  type Config,
  describeError,
  type Engine,
  type PrimaryConfig,
  type SecondaryConfig,
} from '@gannet/contract';
import { Credentials } from '../tls/credentials.js';
import { qmpTargetOf } from '../tls/qmp-target.js';
import { type HostFacts, primaryHostFacts, secondaryHostFacts } from './host-facts.js';
import { exportName } from './disk-links.js';
import { fencesAfterMs, type OtherVm, otherVms } from './other-vms.js';

const CONNECT_TIMEOUT_MS = 3000;
const QUERY_TIMEOUT_MS = 10_000;

/** Everything that `gannet check` reads about one side. */
export interface SideReport {
  readonly role: 'primary' | 'secondary';
  readonly vm: string;
  /** What makes checkpoints; missing in a report of a daemon that knows `colo` only. */
  readonly engine?: Engine;
  /** Whether it comes from a running daemon. */
  readonly isServing: boolean;
  /** State of the replica or of the primary's daemon; `none` without a daemon. */
  readonly state: string;
  readonly hostname: string;
  readonly report?: VmReport;
  /** Why there is no report. */
  readonly trouble?: string;
  readonly host: HostFacts;
  readonly disks: readonly SideDisk[];
  readonly qmp: Address;
  /** How long after a cut a primary of this configuration fences; null without a fence. */
  readonly fencesAfterMs?: number | null;
  /** The other VMs of this host. */
  readonly others?: readonly OtherVm[];
  /** Where a secondary's NBD server listens for its own VM. */
  readonly nbd?: Address;
}

/** A disk of the configuration. */
export interface SideDisk {
  readonly name: string;
  readonly device: string;
  /** The export that this side uses. */
  readonly export: string;
  /** Size of the base. */
  readonly sizeBytes?: number;
}

/** What a running daemon knows about its VM. */
export interface DaemonView {
  readonly state: string;
  readonly hostname: string;
  /** The connection to the VM; undefined if there is none, or it must not be used now. */
  readonly qmp: QmpClient | undefined;
  readonly trouble?: string;
  /** Address of the other side's daemon, if it is connected over TCP. */
  readonly peerAddress?: string | undefined;
}

/** The report of a primary whose daemon runs. */
export function inspectPrimary(config: PrimaryConfig, view: DaemonView): Promise<SideReport> {
  return inspectSide(config, view, 'primary', () => primaryHostFacts(config));
}

/** The report of a secondary whose daemon runs. */
export function inspectSecondary(config: SecondaryConfig, view: DaemonView): Promise<SideReport> {
  return inspectSide(config, view, 'secondary', () =>
    secondaryHostFacts(config, true, view.peerAddress),
  );
}

/** Each disk of the primary, with what the secondary has for it. */
export function diskPairsOf(
  links: readonly DiskLink[],
  primary: Pick<SideReport, 'disks'>,
  secondary: Pick<SideReport, 'disks'> | undefined,
): DiskPair[] {
  return primary.disks.flatMap(({ name }, index): DiskPair[] => {
    const link = links[index];
    const other = secondary?.disks.find((disk) => disk.name === name);
    if (link === undefined) return [];
    const { device, export: exported, sizeBytes } = other ?? { export: '' };
    return [{ link, secondary: { device, export: exported, sizeBytes } }];
  });
}

async function inspectSide(
  config: Config,
  { qmp, state, hostname, trouble }: DaemonView,
  role: SideReport['role'],
  hostFacts: () => Promise<HostFacts>,
): Promise<SideReport> {
  const [host, others] = await Promise.all([hostFacts(), otherVms(config.vm)]);
  const vm = qmp === undefined ? { trouble: trouble ?? 'not connected' } : await reportOf(qmp);
  const side = sideOf(config, role, host);
  return { ...side, others, isServing: true, state, hostname, ...vm };
}

/** The report of a side without a daemon: its QMP socket is free, so this connects to it. */
export async function inspectDirectly(config: Config, hostname: string): Promise<SideReport> {
  const role = config.primary === undefined ? 'secondary' : 'primary';
  const host =
    role === 'primary'
      ? await primaryHostFacts(asPrimary(config))
      : await secondaryHostFacts(asSecondary(config), false);
  const others = await otherVms(config.vm);
  const side = { ...sideOf(config, role, host), others, isServing: false, state: 'none', hostname };
  let qmp: QmpClient;
  try {
    const credentials = config.tls && (await Credentials.read(config.tls));
    const target = qmpTargetOf(config.qmp, credentials);
    qmp = await QmpClient.connect({ target, connectTimeoutMs: CONNECT_TIMEOUT_MS });
  } catch (error) {
    return { ...side, trouble: describeError(error).message };
  }
  try {
    return { ...side, ...(await reportOf(qmp)) };
  } finally {
    await qmp.close();
  }
}

async function reportOf(qmp: QmpClient): Promise<Pick<SideReport, 'report' | 'trouble'>> {
  try {
    return { report: await inspectVm(qmp, { timeoutMs: QUERY_TIMEOUT_MS }) };
  } catch (error) {
    return { trouble: describeError(error).message };
  }
}

function sideOf(
  config: Config,
  role: SideReport['role'],
  host: HostFacts,
): Pick<SideReport, 'role' | 'vm' | 'engine' | 'host' | 'disks' | 'qmp' | 'nbd' | 'fencesAfterMs'> {
  const sizes = new Map(host.bases.map(({ name, sizeBytes }) => [name, sizeBytes]));
  const disks = config.disks.map(({ name, device }) => {
    const sizeBytes = sizes.get(name);
    return {
      name,
      device,
      export: exportName(config.disks, name, role === 'primary' ? 'pvm' : 'svm'),
      ...(sizeBytes !== undefined && { sizeBytes }),
    };
  });
  const svm = role === 'secondary' ? config.secondary?.svm : undefined;
  const nbd = svm === undefined ? {} : { nbd: { type: 'unix', path: svm } as const };
  const fences = { fencesAfterMs: fencesAfterMs(config) };
  return {
    role,
    vm: config.vm,
    engine: config.engine,
    host,
    disks,
    qmp: config.qmp,
    ...fences,
    ...nbd,
  };
}
