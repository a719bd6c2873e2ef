/** One side of a pair as its own host sees it: what `inspect` answers on the control socket. */
import { inspectVm, type VmReport } from '@gannet/qmp-driver';
import { QmpClient } from 'qemu-qmp-client';
import {
  type Address,
  asPrimary,
  asSecondary,
  type Config,
  describeError,
  type PrimaryConfig,
  type SecondaryConfig,
} from '@gannet/contract';
import { Credentials } from '../tls/credentials.js';
import { qmpTargetOf } from '../tls/qmp-target.js';
import { type HostFacts, primaryHostFacts, secondaryHostFacts } from './host-facts.js';
import { exportName } from './disk-links.js';

const CONNECT_TIMEOUT_MS = 3000;
const QUERY_TIMEOUT_MS = 10_000;

export interface SideReport {
  readonly role: 'primary' | 'secondary';
  readonly vm: string;
  /** Whether a daemon told it. */
  readonly isServing: boolean;
  /** Of the replica or the primary's daemon; `none` where no daemon runs. */
  readonly state: string;
  readonly hostname: string;
  readonly report?: VmReport;
  /** Why there is no report. */
  readonly trouble?: string;
  readonly host: HostFacts;
  readonly disks: readonly SideDisk[];
  readonly qmp: Address;
  /** The replicator's, on its own host; of a secondary. */
  readonly nbd?: Address;
}

export interface SideDisk {
  readonly name: string;
  readonly device: string;
  /** The export that this side uses. */
  readonly export: string;
  /** Of the base. */
  readonly sizeBytes?: number;
}

/** What a daemon knows of its VM; without a daemon, nothing. */
export interface DaemonView {
  readonly state: string;
  readonly hostname: string;
  /** Connected to the VM; undefined where it is not there, or not to be disturbed. */
  readonly qmp: QmpClient | undefined;
  readonly trouble?: string;
}

export function inspectPrimary(config: PrimaryConfig, view: DaemonView): Promise<SideReport> {
  return inspectSide(config, view, 'primary', () => primaryHostFacts(config));
}

export function inspectSecondary(config: SecondaryConfig, view: DaemonView): Promise<SideReport> {
  return inspectSide(config, view, 'secondary', () => secondaryHostFacts(config, true));
}

async function inspectSide(
  config: Config,
  { qmp, state, hostname, trouble }: DaemonView,
  role: SideReport['role'],
  hostFacts: () => Promise<HostFacts>,
): Promise<SideReport> {
  const host = await hostFacts();
  const vm = qmp === undefined ? { trouble: trouble ?? 'not connected' } : await reportOf(qmp);
  return { ...sideOf(config, role, host), isServing: true, state, hostname, ...vm };
}

/** Without a daemon: its QMP socket is free, so we take it for a moment. */
export async function inspectDirectly(config: Config, hostname: string): Promise<SideReport> {
  const role = config.primary === undefined ? 'secondary' : 'primary';
  const host =
    role === 'primary'
      ? await primaryHostFacts(asPrimary(config))
      : await secondaryHostFacts(asSecondary(config), false);
  const side = { ...sideOf(config, role, host), isServing: false, state: 'none', hostname };
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
): Pick<SideReport, 'role' | 'vm' | 'host' | 'disks' | 'qmp' | 'nbd'> {
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
  return { role, vm: config.vm, host, disks, qmp: config.qmp, ...nbd };
}
