/**
 * The block graph as QEMU has it now.
 *
 * query-block names a device's topmost node and skips the implicit filters of jobs, but shows
 * nothing below it. Names of children are only in x-debug-query-block-graph (QEMU block.c,
 * bdrv_get_xdbg_block_graph), and drivers and sizes only in query-named-block-nodes. Three answers
 * make one picture here; if a node came or went between them, all three are asked again.
 */
import type { BlockDeviceInfo, BlockGraph, BlockInfo, QmpClient } from 'qemu-qmp-client';
import { GraphError, step } from '../errors.js';

/** A child of a quorum: the name of the edge, such as `children.0`, and the node at its end. */
export interface QuorumChild {
  readonly child: string;
  readonly node: string;
}

/** One disk of the VM. */
export interface DiskGraph {
  /** The device's qdev id, or its qdev path where it has no id, or the drive's id. */
  readonly device: string;
  /** All names by which findDisk() knows it. */
  readonly names: readonly string[];
  /** The node that the device uses, below the filters that jobs put in between. */
  readonly topNode: string;
  readonly sizeBytes: number;
  /** Driver of `topNode`: `quorum`, `raw`, `qcow2`… */
  readonly format: string;
  readonly quorum?: { readonly node: string; readonly children: readonly QuorumChild[] };
  /** Names of all its nodes, those of job filters and of the replica too. */
  readonly nodes: readonly string[];
  /** Ids of the block jobs that work on any node of this disk. */
  readonly jobs: readonly string[];
}

export interface QueryOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Filters that jobs insert; a job may have named its own, then query-block does not skip it. */
const JOB_FILTERS = new Set(['mirror_top', 'commit_top', 'copy-before-write', 'backup-top']);
/** What may sit between a device and its quorum and pass everything through. */
const PASSING = new Set(['throttle', 'copy-on-read', 'raw', 'preallocate']);
const READS_MAX = 5;

/**
 * The disk that goes by `device`: a qdev id or path, a drive id, or the name of a node on its top.
 * @throws GraphError `DRIVER_DISK_NOT_FOUND` whose message lists the disks that exist
 * @throws `DRIVER_GRAPH_UNSTABLE`
 */
export async function findDisk(
  qmp: QmpClient,
  device: string,
  options?: QueryOptions,
): Promise<DiskGraph> {
  return chooseDisk(await listDisks(qmp, options), device);
}

/**
 * As findDisk(), of disks that were read before.
 * @throws GraphError `DRIVER_DISK_NOT_FOUND`
 */
export function chooseDisk<Disk extends DiskGraph>(disks: readonly Disk[], device: string): Disk {
  const found = disks.find((disk) => disk.device === device || disk.names.includes(device));
  if (found !== undefined) return found;
  const known = disks.map((disk) => `${disk.device} (node ${disk.topNode})`).join(', ');
  throw new GraphError(
    'DRIVER_DISK_NOT_FOUND',
    `no disk ${JSON.stringify(device)}; QEMU has ${known === '' ? 'none' : known}`,
    'Name the disk by its device id, drive id or node name, as listed here.',
  );
}

/**
 * All disks with a medium.
 * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
 */
export async function listDisks(qmp: QmpClient, options?: QueryOptions): Promise<DiskGraph[]> {
  const { blocks, graph } = await readGraph(qmp, options);
  return blocks.flatMap((block) => describe(block, graph) ?? []);
}

/** Nodes by name with their drivers and edges. Read once, never kept: the graph moves. */
export class NodeGraph {
  readonly #byName: ReadonlyMap<string, number>;
  readonly #nodes: ReadonlyMap<number, BlockGraph['nodes'][number]>;
  readonly #infos: ReadonlyMap<string, BlockDeviceInfo>;
  readonly #edges: BlockGraph['edges'];

  constructor(graph: BlockGraph, infos: readonly BlockDeviceInfo[]) {
    this.#nodes = new Map(graph.nodes.map((node) => [node.id, node]));
    const drivers = graph.nodes.filter((node) => node.type === 'block-driver');
    this.#byName = new Map(drivers.map((node) => [node.name, node.id]));
    this.#infos = new Map(infos.map((info) => [info['node-name'] ?? '', info]));
    this.#edges = graph.edges;
  }

  /** Whether the three answers speak of the same nodes. */
  get consistent(): boolean {
    return [...this.#byName.keys()].every((name) => this.#infos.has(name));
  }

  /** Names of all nodes. */
  get names(): string[] {
    return [...this.#byName.keys()];
  }

  /** Names that a new node cannot have: QEMU keeps nodes and drives apart by name. */
  get taken(): string[] {
    const named = [...this.#nodes.values()].filter(({ type }) => type !== 'block-job');
    return named.map(({ name }) => name);
  }

  has(node: string): boolean {
    return this.#byName.has(node);
  }

  info(node: string): BlockDeviceInfo | undefined {
    return this.#infos.get(node);
  }

  children(node: string): QuorumChild[] {
    return this.#below(this.#byName.get(node)).map(({ name, child }) => ({
      child: name,
      node: this.#nodes.get(child)?.name ?? '',
    }));
  }

  /** The quorum that has `node` as a child. */
  quorumOver(node: string): string | undefined {
    const isParent = (name: string): boolean =>
      this.info(name)?.drv === 'quorum' && this.children(name).some((child) => child.node === node);
    return this.names.find(isParent);
  }

  /** The node right below the front end of that name. */
  rootOf(backend: string): string | undefined {
    for (const node of this.#nodes.values()) {
      if (node.type !== 'block-backend' || node.name !== backend) continue;
      const root = this.#below(node.id)[0];
      if (root !== undefined) return this.#nodes.get(root.child)?.name;
    }
    return undefined;
  }

  /** Names of `root` and of everything below it. */
  nodesOf(root: string): string[] {
    return [...this.#reach(root)].flatMap((id) => this.#nodes.get(id)?.name ?? []);
  }

  /** Jobs with an edge to `root` or to anything below it. */
  jobsOn(root: string): string[] {
    const reached = this.#reach(root);
    const touching = this.#edges.filter((edge) => reached.has(edge.child));
    const parents = new Set(touching.map((edge) => edge.parent));
    const jobs = [...this.#nodes.values()].filter((node) => node.type === 'block-job');
    return jobs.filter((node) => parents.has(node.id)).map((node) => node.name);
  }

  #reach(root: string): ReadonlySet<number> {
    const reached = new Set<number>();
    const queue = [this.#byName.get(root)];
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (reached.has(id)) continue;
      reached.add(id);
      queue.push(...this.#below(id).map((edge) => edge.child));
    }
    return reached;
  }

  #below(id: number | undefined): BlockGraph['edges'] {
    return this.#edges.filter((edge) => edge.parent === id);
  }
}

/** `name` itself, or with the first number that makes it free. QEMU's names have 31 characters. */
export function freeName(name: string, taken: { has(name: string): boolean }): string {
  let free = name;
  for (let number = 1; taken.has(free); number += 1) free = `${name.slice(0, 26)}-${number}`;
  return free;
}

/** @throws GraphError `DRIVER_GRAPH_UNSTABLE` */
export async function readGraph(
  qmp: QmpClient,
  options?: QueryOptions,
): Promise<{ blocks: readonly BlockInfo[]; graph: NodeGraph }> {
  for (let reads = 0; reads < READS_MAX; reads += 1) {
    // Sent in one go, so that little can happen in between.
    const [blocks, infos, edges] = await step(
      () =>
        Promise.all([
          qmp.execute('query-block', {}, options),
          qmp.execute('query-named-block-nodes', { flat: true }, options),
          qmp.execute('x-debug-query-block-graph', {}, options),
        ]),
      (words, cause) => unreadable(`the block graph cannot be read: ${words}`, { cause }),
    );
    const graph = new NodeGraph(edges, infos);
    const tops = blocks.flatMap((block) => block.inserted?.['node-name'] ?? []);
    if (graph.consistent && tops.every((top) => graph.has(top))) return { blocks, graph };
  }
  throw unreadable(`the block graph changed during each of ${READS_MAX} reads`);
}

function unreadable(message: string, options?: { cause: unknown }): GraphError {
  const remedy = 'Try again; if it stays so, see whether another client is changing the graph.';
  return new GraphError('DRIVER_GRAPH_UNSTABLE', message, remedy, options);
}

function describe(block: BlockInfo, graph: NodeGraph): DiskGraph | undefined {
  const shown = block.inserted?.['node-name'];
  if (block.inserted === undefined || shown === undefined) return undefined;
  const root = graph.rootOf(block.qdev ?? '') ?? graph.rootOf(block.device) ?? shown;
  const topNode = belowJobFilters(shown, graph);
  const quorum = quorumBelow(topNode, graph);
  const qdev = block.qdev ?? '';
  const id = qdevId(qdev);
  const names = [id, qdev, block.device, root, shown, topNode, quorum?.node];
  return {
    device: id ?? (block.device === '' ? qdev : block.device),
    names: [...new Set(names.filter((name) => name !== undefined && name !== ''))] as string[],
    topNode,
    sizeBytes: block.inserted.image['virtual-size'],
    format: graph.info(topNode)?.drv ?? block.inserted.drv,
    ...(quorum && { quorum }),
    nodes: graph.nodesOf(root),
    jobs: graph.jobsOn(root),
  };
}

/** `/machine/peripheral/vb0/virtio-backend` is the device that was given the id `vb0`. */
function qdevId(qdev: string): string | undefined {
  if (!qdev.startsWith('/')) return qdev === '' ? undefined : qdev;
  return /^\/machine\/peripheral\/([^/]+)(\/|$)/.exec(qdev)?.[1];
}

function belowJobFilters(node: string, graph: NodeGraph): string {
  let current = node;
  while (JOB_FILTERS.has(graph.info(current)?.drv ?? '')) {
    const children = graph.children(current);
    const next = children.find(({ child }) => child === 'backing' || child === 'file');
    if (next === undefined) break;
    current = next.node;
  }
  return current;
}

function quorumBelow(
  node: string,
  graph: NodeGraph,
): { node: string; children: QuorumChild[] } | undefined {
  let current: string | undefined = node;
  while (current !== undefined) {
    const driver = graph.info(current)?.drv ?? '';
    if (driver === 'quorum') return { node: current, children: graph.children(current) };
    if (!PASSING.has(driver) && !JOB_FILTERS.has(driver)) return undefined;
    const children: QuorumChild[] = graph.children(current);
    current = children.find(({ child }) => child === 'file' || child === 'backing')?.node;
  }
  return undefined;
}
