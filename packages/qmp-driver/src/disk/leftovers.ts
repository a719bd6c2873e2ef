/** What a process that ended in the middle of protecting has left in QEMU. */
import type { BlockJobInfo, QmpClient } from 'qemu-qmp-client';
import { GraphError, step } from '../errors.js';
import {
  type DiskGraph,
  listDisks,
  type NodeGraph,
  type QueryOptions,
  readGraph,
} from './graph.js';
import { type DiskLink, namesOf, nbdNodesOf } from './disk-link.js';

const OURS = /^(.+)-(seed|seed0|seed1|link|nbd)$/;

/** What there is of ours on a disk. */
export interface LinkedInQemu {
  /** As it is in QEMU: its id and its kind may be others than the configuration has now. */
  readonly disk: DiskLink;
  /** Names of its jobs and nodes. */
  readonly names: readonly string[];
}

/**
 * The disks that an earlier process has linked, by the graph: a configuration that has changed
 * since would not find them, and a link that nobody watches or takes away makes each write of the
 * guest wait for a peer that hangs.
 * @param configured how a link looks that is made now
 * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
 */
export async function linkedInQemu(
  qmp: QmpClient,
  configured: readonly DiskLink[],
  options: QueryOptions = {},
): Promise<LinkedInQemu[]> {
  const jobs = await blockJobs(qmp, options);
  const disks = await listDisks(qmp, options);
  const { graph } = await readGraph(qmp, options);
  const loose = configured.map((disk) => ({ disk, names: namesIn(disk, graph.names) }));
  return [...disks.flatMap((disk) => linkOn(disk, configured, jobs, graph) ?? []), ...loose].filter(
    ({ disk: { id }, names }, index, all) =>
      names.length > 0 && all.findIndex((other) => other.disk.id === id) === index,
  );
}

/** Nodes that are on no disk: protecting has failed half-way. */
function namesIn(disk: DiskLink, nodes: readonly string[]): string[] {
  return nbdNodesOf(disk).filter((node) => nodes.includes(node));
}

/** Another program's job or node may have a name like ours. */
function isOurs(disk: DiskLink, configured: readonly DiskLink[], nodes: NodeGraph): boolean {
  if (configured.some(({ id }) => id === disk.id)) return true;
  const { server } = disk;
  const address = server.type === 'unix' ? server.path : `${server.host}:${server.port}`;
  return nbdNodesOf(disk).some((node) => {
    const info = nodes.info(node);
    return info?.drv === 'nbd' && info.file.includes(address);
  });
}

function linkOn(
  graph: DiskGraph,
  configured: readonly DiskLink[],
  jobs: readonly BlockJobInfo[],
  nodes: NodeGraph,
): LinkedInQemu | undefined {
  const { quorum = { children: [] } } = graph;
  const children = quorum.children.map(({ node }) => node);
  const running = jobs.map(({ device }) => device).filter((job) => graph.jobs.includes(job));
  const model = configured.find(({ device }) => graph.names.includes(device)) ?? configured.at(0);
  if (model === undefined) return undefined;
  // A child of the quorum, or the job that copies this disk.
  const id = [...children, ...running]
    .map((name) => OURS.exec(name)?.[1] ?? '')
    .find((stem) => stem !== '' && isOurs({ ...model, id: stem }, configured, nodes));
  if (id === undefined) return undefined;
  const { linkNode, seedJob } = namesOf({ ...model, id });
  const driver = nodes.info(linkNode)?.drv;
  const link = driver === 'replication' || driver === 'nbd' ? driver : 'mirror';
  const device = graph.names.includes(model.device) ? model.device : graph.device;
  const disk: DiskLink = { ...model, device, id, link };
  const job = running.includes(seedJob) ? [seedJob] : [];
  return { disk, names: [...new Set([...job, ...namesIn(disk, nodes.names)])] };
}

/**
 * The block jobs that are under way.
 * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
 */
export function blockJobs(qmp: QmpClient, options: QueryOptions): Promise<readonly BlockJobInfo[]> {
  return step(
    () => qmp.execute('query-block-jobs', {}, options),
    (words, cause) => {
      const message = `the block jobs cannot be read: ${words}`;
      const remedy = 'See whether QEMU still answers.';
      return new GraphError('DRIVER_GRAPH_UNSTABLE', message, remedy, { cause });
    },
  );
}
