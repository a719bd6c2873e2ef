/** What would keep a VM from being protected, found before anything is touched. */
import type { QmpClient, SchemaInfo } from 'qemu-qmp-client';
import { GraphError, step, ColoError } from './errors.js';
import { type DiskGraph, findDisk, type QueryOptions, readGraph } from './graph.js';
import { type DiskLink, namesOf, nbdNodesOf } from './link.js';

export type FindingCode =
  | 'colo-broken-version'
  | 'colo-not-built'
  | 'driver-missing'
  | 'oob-missing'
  | 'not-running'
  | 'migration-under-way'
  | 'disk-not-found'
  | 'disk-named-twice'
  | 'no-quorum'
  | 'job-in-the-way'
  | 'already-linked';

/** An `error` stands in the way; a `warning` takes something away. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly code: FindingCode;
  readonly message: string;
  readonly remedy: string;
  readonly device?: string;
}

interface VersionRange {
  readonly major: number;
  readonly minor: number;
  readonly firstMicro: number;
  readonly fixedInMicro: number;
}

/** Releases whose primary completes an ordinary migration in place of entering COLO. */
const COLO_BROKEN: readonly VersionRange[] = [
  { major: 10, minor: 0, firstMicro: 0, fixedInMicro: 13 },
];

const MIGRATION_BUSY: ReadonlySet<string> = new Set([
  'setup',
  'cancelling',
  'active',
  'postcopy-active',
  'postcopy-paused',
  'postcopy-recover',
  'pre-switchover',
  'device',
  'wait-unplug',
  'colo',
]);

/** @throws ColoError `command-failed`, GraphError `graph-unstable`: QEMU could not be asked */
export async function inspect(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions,
): Promise<Finding[]> {
  const findings = [...versionFindings(qmp), ...oobFindings(qmp)];
  const [status, migration, capabilities, schema] = await step(
    () =>
      Promise.all([
        qmp.execute('query-status', {}, options),
        qmp.execute('query-migrate', {}, options),
        qmp.execute('query-migrate-capabilities', {}, options),
        qmp.execute('query-qmp-schema', {}, options),
      ]),
    (words, cause) => {
      const message = `QEMU cannot be asked what it is able to do: ${words}`;
      return new ColoError('command-failed', message, 'See whether QEMU still answers.', { cause });
    },
  );
  if (!capabilities.some(({ capability }) => capability === 'x-colo')) {
    findings.push({
      severity: 'error',
      code: 'colo-not-built',
      message: 'this QEMU is not COLO capable: it has no migration capability x-colo',
      remedy: "Use a QEMU built with --enable-replication, such as Debian's.",
    });
  }
  if (status.status !== 'running') {
    findings.push({
      severity: 'error',
      code: 'not-running',
      message: `the guest does not run: QEMU's status is ${status.status}`,
      remedy: 'Start the guest with cont before it is protected.',
    });
  }
  if (migration.status !== undefined && MIGRATION_BUSY.has(migration.status)) {
    findings.push({
      severity: 'error',
      code: 'migration-under-way',
      message: `a migration is under way: its status is ${migration.status}`,
      remedy: 'Wait for its end, or cancel it with migrate_cancel.',
    });
  }
  findings.push(...driverFindings(disks, schema));
  findings.push(...(await diskFindings(qmp, disks, options)));
  return findings;
}

function versionFindings({ version }: QmpClient): Finding[] {
  const { major, minor, micro } = version;
  const broken = COLO_BROKEN.find(
    (range) =>
      range.major === major &&
      range.minor === minor &&
      micro >= range.firstMicro &&
      micro < range.fixedInMicro,
  );
  if (broken === undefined) return [];
  const range = `${major}.${minor}.${broken.firstMicro} to ${major}.${minor}.${broken.fixedInMicro - 1}`;
  return [
    {
      severity: 'error',
      code: 'colo-broken-version',
      message: `QEMU ${major}.${minor}.${micro} cannot enter COLO (${range} complete an ordinary migration)`,
      remedy: `Use QEMU ${major}.${minor}.${broken.fixedInMicro} or later, or 7.2.`,
    },
  ];
}

function oobFindings({ capabilities }: QmpClient): Finding[] {
  if (capabilities.includes('oob')) return [];
  return [
    {
      severity: 'error',
      code: 'oob-missing',
      message: 'this QMP connection has no out-of-band execution: a hung peer could not be cut off',
      remedy: 'Connect to a monitor on a socket of its own (-qmp unix:…), which offers it.',
    },
  ];
}

function driverFindings(disks: readonly DiskLink[], schema: readonly SchemaInfo[]): Finding[] {
  const wanted = new Set(['nbd']);
  for (const { link } of disks) {
    if (link !== 'mirror') wanted.add('quorum');
    if (link === 'replication') wanted.add('replication');
  }
  const drivers = blockdevDrivers(schema);
  return [...wanted]
    .filter((driver) => !drivers.has(driver))
    .map((driver) => ({
      severity: 'error' as const,
      code: 'driver-missing' as const,
      message: `this QEMU is not built with the block driver ${driver}`,
      remedy:
        driver === 'nbd'
          ? 'Install the package that has it, or use another QEMU.'
          : 'Use another kind of link: nbd needs no replication, mirror no quorum either.',
    }));
}

/** Values of blockdev-add's `driver`: names of types are opaque, so they are followed from the command. */
function blockdevDrivers(schema: readonly SchemaInfo[]): ReadonlySet<string> {
  const named = (name: unknown): SchemaInfo | undefined => schema.find((one) => one.name === name);
  const command = schema.find(
    (one) => one['meta-type'] === 'command' && one.name === 'blockdev-add',
  );
  const members = named(command?.['arg-type'])?.['members'];
  const list: readonly unknown[] = Array.isArray(members) ? members : [];
  const driver = list.find((member) => isRecord(member) && member['name'] === 'driver');
  const values: unknown = isRecord(driver) ? named(driver['type'])?.['values'] : undefined;
  const texts = Array.isArray(values) ? values.filter((value) => typeof value === 'string') : [];
  return new Set(texts);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

async function diskFindings(
  qmp: QmpClient,
  disks: readonly DiskLink[],
  options: QueryOptions,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const { graph } = await readGraph(qmp, options);
  for (const link of disks) {
    const disk = await findOrReport(qmp, link, options, findings);
    if (disk === undefined) continue;
    const device = link.device;
    if (seen.has(disk.device)) {
      const message = `${device} is ${disk.device}, which is listed already`;
      findings.push(errorOf('disk-named-twice', device, message, 'List each disk once.'));
    }
    seen.add(disk.device);
    const ours = nbdNodesOf(link).filter((node) => graph.has(node));
    if (ours.length > 0) {
      const message = `${device} is linked already, or the id ${link.id} is taken: ${ours.join(', ')}`;
      const remedy = 'Detach it first (runAlone()), or choose another id.';
      findings.push(errorOf('already-linked', device, message, remedy));
    }
    const foreign = disk.jobs.filter((job) => job !== namesOf(link).seedJob);
    if (foreign.length > 0) {
      const message = `a block job is in the way on ${device}: ${foreign.join(', ')}`;
      const remedy = 'Wait for its end, or cancel it with block-job-cancel.';
      findings.push(errorOf('job-in-the-way', device, message, remedy));
    }
    if (link.link !== 'mirror' && disk.quorum === undefined) {
      const message = `${device} (node ${disk.topNode}) has no quorum to which a link ${link.link} could be added`;
      const remedy = 'Use the link mirror, or start the VM with a quorum on its disk.';
      findings.push(errorOf('no-quorum', device, message, remedy));
    }
  }
  return findings;
}

async function findOrReport(
  qmp: QmpClient,
  { device }: DiskLink,
  options: QueryOptions,
  findings: Finding[],
): Promise<DiskGraph | undefined> {
  try {
    return await findDisk(qmp, device, options);
  } catch (error) {
    if (!(error instanceof GraphError && error.code === 'disk-not-found')) throw error;
    findings.push(errorOf('disk-not-found', device, error.message, error.remedy));
    return undefined;
  }
}

function errorOf(code: FindingCode, device: string, message: string, remedy: string): Finding {
  return { severity: 'error', code, message, remedy, device };
}
