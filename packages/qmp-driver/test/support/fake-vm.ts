import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu } from 'qemu-qmp-client/testing';
import { type IncomingState, serveIncoming } from './fake-incoming.js';
import { DONE, refuse } from './replies.js';

export { DONE, refuse } from './replies.js';
type Args = Readonly<Record<string, unknown>>;
type CapabilityState = { capability: string; state: boolean };
interface Node {
  readonly drv: string;
  readonly sizeBytes: number;
  readonly children: Map<string, string>;
  /** Children that were made with it, and go with it. */
  readonly own: ReadonlySet<string>;
  readonly filename?: string | undefined;
}

interface Job {
  readonly source: string;
  readonly target: string;
  readonly filter: string;
  ready: boolean;
  offset: number;
  speed: number;
  ioStatus: 'ok' | 'failed' | 'nospace';
}
export const DISK_BYTES = 1 << 20;

function filenameOf({ filename, driver, server, export: name }: Args): string | undefined {
  if (driver !== 'nbd') return filename as string | undefined;
  const { path = '', host = '', port = '' } = server as Readonly<Record<string, string>>;
  return path === ''
    ? `nbd://${host}:${port}/${String(name)}`
    : `nbd+unix:///${String(name)}?socket=${path}`;
}

/** What BLOCK_JOB_ERROR tells of a job that stops on an error of its target. */
function stoppedBy(device: string): object {
  return { device, operation: 'write', action: 'stop' };
}

/** Capabilities of a migration that matter to COLO, as QEMU has them when it starts. */
const CAPABILITIES = { 'return-path': false, multifd: false, 'x-colo': false };

/**
 * The part of QEMU that this package touches, in words taken from QEMU 7.2: a block graph, mirrors,
 * migration, COLO. One disk `vb0` on the quorum `quorum0` over `disk0`, and one `plain0` without
 * quorum.
 */
export class FakeVm {
  readonly qemu: FakeQemu;
  readonly nodes = new Map<string, Node>();
  readonly jobs = new Map<string, Job>();
  readonly yanked: string[] = [];
  /** Connections that query-yank lists besides the NBD nodes. */
  migrationConnected = false;
  chardevsConnected = ['compat_monitor0'];
  /** The node that the device vb0 uses. */
  top = 'quorum0';
  status = 'running';
  migration: string | undefined;
  errorDesc: string | undefined;
  colo = { mode: 'none', 'last-mode': 'none', reason: 'none' };
  capabilities: Record<string, boolean> = { ...CAPABILITIES };
  /** As 11.1: COLO needs the return path. Before, it fails with it. */
  isReturnPathNeeded = false;
  periodMs = 20_000;
  readonly migrationTls = { 'tls-creds': '', 'tls-hostname': '', 'tls-authz': '' };
  incoming: IncomingState = 'none';
  incomingUri: string | undefined;
  readonly objects = new Map<string, Args>();
  replicaBytes = DISK_BYTES;
  /** Whether a mirror is READY at once. */
  instant = true;
  /** How often the jobs are asked for before they have a length. */
  beginningPolls = 0;
  /** What the mirrors' bitmaps hold, by the node that is copied. */
  readonly dirtyBytes = new Map<string, number>();
  onReopen: () => void = () => undefined;
  /** Where `migrate` ends. */
  migrateTo: string = 'colo';
  #nextChild = 1;
  #nextFilter = 1;

  constructor(options: ConstructorParameters<typeof FakeQemu>[0] = {}) {
    this.qemu = new FakeQemu(options);
    this.#node('file0', 'file');
    this.#node('disk0', 'raw', [['file', 'file0']]);
    this.#node('quorum0', 'quorum', [['children.0', 'disk0']]);
    this.#node('file1', 'file');
    this.#node('plainnode', 'raw', [['file', 'file1']]);
    this.#serveQueries();
    this.#serveGraph();
    this.#serveJobs();
    this.#serveMigration();
  }

  get xColo(): boolean {
    return this.capabilities['x-colo'] === true;
  }

  connect(): Promise<QmpClient> {
    return QmpClient.connect({ target: { kind: 'stream', stream: this.qemu.connect() } });
  }

  /** Arguments of every command of that name. */
  sent(command: string): Args[] {
    return this.qemu.received.filter((one) => one.command === command).map((one) => one.arguments);
  }

  commands(): string[] {
    return this.qemu.received.map(({ command }) => command);
  }

  children(node: string): string[] {
    return [...(this.nodes.get(node)?.children ?? [])].map(([child, name]) => `${child}=${name}`);
  }

  /** Ends a job as QEMU does, with the event and then without a trace. */
  endJob(id: string, event = 'BLOCK_JOB_COMPLETED', error?: string): void {
    const job = this.#job(id);
    this.jobs.delete(id);
    this.nodes.delete(job.filter);
    const { offset } = job;
    const progress = { type: 'mirror', device: id, len: DISK_BYTES, offset, speed: 0 };
    this.qemu.emit(event, { ...progress, ...(error !== undefined && { error }) });
  }

  makeReady(id: string): void {
    const job = this.#job(id);
    job.ready = true;
    job.offset = DISK_BYTES;
    const progress = { type: 'mirror', device: id, len: DISK_BYTES, offset: DISK_BYTES, speed: 0 };
    this.qemu.emit('BLOCK_JOB_READY', progress);
  }

  /** An error of the target of a mirror that stops on it. */
  haltJob(id: string, ioStatus: 'failed' | 'nospace' = 'failed'): void {
    this.#job(id).ioStatus = ioStatus;
    this.qemu.emit('BLOCK_JOB_ERROR', stoppedBy(id));
  }

  /** The same, in one piece with an answer to query-block-jobs that does not know of it yet. */
  haltJobBehindAnswer(device: string, ioStatus: 'failed' | 'nospace'): void {
    this.qemu.once('query-block-jobs', ({ id }, peer) => {
      const answer = { id, return: this.#jobInfos() };
      this.#job(device).ioStatus = ioStatus;
      const timestamp = { seconds: 0, microseconds: 0 };
      const event = { timestamp, event: 'BLOCK_JOB_ERROR', data: stoppedBy(device) };
      peer.sendRaw(`${JSON.stringify(answer)}\r\n${JSON.stringify(event)}\r\n`);
      return 'silence';
    });
  }

  #job(id: string): Job {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`no job ${id}`);
    return job;
  }

  #node(name: string, drv: string, children: readonly (readonly [string, string])[] = []): void {
    const sizeBytes = drv === 'nbd' ? this.replicaBytes : DISK_BYTES;
    this.nodes.set(name, { drv, sizeBytes, children: new Map(children), own: new Set() });
  }

  /** A child that is given by its options; without a name, QEMU gives it one. */
  #childOf(options: Args): string {
    const given = options['node-name'];
    const name = typeof given === 'string' ? given : `#block${this.#nextFilter++}`;
    this.#node(name, String(options['driver']));
    const made = this.nodes.get(name);
    const filename = filenameOf(options);
    if (made) this.nodes.set(name, { ...made, filename });
    return name;
  }

  #serveQueries(): void {
    const { qemu } = this;
    qemu.on('query-status', () => ({
      return: { status: this.status, running: this.status === 'running', singlestep: false },
    }));
    for (const [command, status] of [
      ['stop', 'paused'],
      ['cont', 'running'],
    ] as const) {
      qemu.on(command, () => {
        this.status = status;
        return DONE;
      });
    }
    qemu.on('query-block', () => ({
      return: [
        this.#block('', '/machine/peripheral/vb0/virtio-backend', this.top),
        this.#block('drive1', '/machine/peripheral-anon/device[1]/virtio-backend', 'plainnode'),
        { device: 'cd0', qdev: 'cd0', type: 'unknown', removable: true, locked: false },
      ],
    }));
    qemu.on('query-named-block-nodes', () => ({
      return: [...this.nodes.entries()].map(([name, node]) => this.#info(name, node)),
    }));
    qemu.on('x-debug-query-block-graph', () => ({ return: this.#graph() }));
    qemu.on('query-block-jobs', () => ({ return: this.#jobInfos() }));
    qemu.on('query-yank', () => ({
      return: [
        ...this.chardevsConnected.map((id) => ({ type: 'chardev', id })),
        ...this.#nbdNodes().map((name) => ({ type: 'block-node', 'node-name': name })),
        ...(this.migrationConnected ? [{ type: 'migration' }] : []),
      ],
    }));
    qemu.on('yank', ({ arguments: args }) => {
      for (const instance of args['instances'] as Args[]) {
        this.yanked.push(String(instance['node-name'] ?? instance['id'] ?? instance['type']));
        if (instance['type'] === 'migration') this.#cutMigration();
      }
      return DONE;
    });
    const members = [{ name: 'driver', type: '3' }];
    const drivers = ['file', 'nbd', 'quorum', 'raw', 'replication'];
    qemu.reply('query-qmp-schema', [
      { name: 'blockdev-add', 'meta-type': 'command', 'arg-type': '2' },
      { name: '2', 'meta-type': 'object', members },
      { name: '3', 'meta-type': 'enum', members: drivers.map((name) => ({ name })) },
    ]);
  }

  #serveGraph(): void {
    const { qemu } = this;
    qemu.on('blockdev-add', ({ arguments: args }) => {
      const name = String(args['node-name']);
      const file = args['file'] as Args | undefined;
      const own = typeof file === 'object' ? this.#childOf(file) : undefined;
      const below = own ?? (typeof args['file'] === 'string' ? args['file'] : undefined);
      this.#node(name, String(args['driver']), below === undefined ? [] : [['file', below]]);
      const made = this.nodes.get(name);
      const filename = filenameOf(args);
      if (made && own !== undefined) this.nodes.set(name, { ...made, own: new Set([own]) });
      else if (made) this.nodes.set(name, { ...made, filename });
      return DONE;
    });
    qemu.on('blockdev-reopen', ({ arguments: args }) => {
      for (const option of args['options'] as Args[]) {
        const name = String(option['node-name']);
        const node = this.nodes.get(name);
        if (node === undefined) return refuse(`Failed to find node with node-name='${name}'`);
        node.children.set('file', String(option['file']));
      }
      this.onReopen();
      return DONE;
    });
    qemu.on('blockdev-del', ({ arguments: args }) => {
      const name = String(args['node-name']);
      const node = this.nodes.get(name);
      if (node === undefined) return refuse(`Failed to find node with node-name='${name}'`);
      const parents = [...this.nodes.values()].flatMap(({ children }) => [...children.values()]);
      const targets = [...this.jobs.values()].map(({ target }) => target);
      if ([...parents, ...targets].includes(name)) return refuse(`Block device ${name} is in use`);
      this.nodes.delete(name);
      for (const child of node.own) this.nodes.delete(child);
      return DONE;
    });
    qemu.on('x-blockdev-change', ({ arguments: args }) => {
      const parent = this.nodes.get(String(args['parent']));
      if (parent === undefined) return refuse('Cannot find device');
      if (typeof args['child'] === 'string') {
        const gone = parent.children.delete(args['child']);
        return gone ? DONE : refuse(`Node does not have child '${args['child']}'`);
      }
      parent.children.set(`children.${this.#nextChild}`, String(args['node']));
      this.#nextChild += 1;
      return DONE;
    });
  }

  #serveJobs(): void {
    const { qemu } = this;
    qemu.on('blockdev-mirror', ({ arguments: args }, peer) => {
      const id = String(args['job-id']);
      const source = String(args['device']);
      const filter = `#block${this.#nextFilter}`;
      this.#nextFilter += 1;
      this.#node(filter, 'mirror_top', [['backing', source]]);
      const target = String(args['target']);
      this.jobs.set(id, {
        ...{ source, target, filter, ready: false, offset: 0 },
        ...{ speed: Number(args['speed'] ?? 0), ioStatus: 'ok' },
      });
      // READY may come before the reply, as in QEMU.
      if (this.instant) this.makeReady(id);
      else peer.emit('JOB_STATUS_CHANGE', { id, status: 'running' });
      return DONE;
    });
    qemu.on('block-job-set-speed', ({ arguments: args }) => {
      this.#job(String(args['device'])).speed = Number(args['speed']);
      return DONE;
    });
    qemu.on('job-resume', ({ arguments: args }) => {
      this.#job(String(args['id'])).ioStatus = 'ok';
      return DONE;
    });
    qemu.on('block-job-cancel', ({ arguments: args }) => {
      const id = String(args['device']);
      const job = this.jobs.get(id);
      if (job === undefined) return refuse(`Block job '${id}' not found`, 'DeviceNotActive');
      const completes = job.ready && args['force'] !== true;
      setImmediate(() => {
        this.endJob(id, completes ? 'BLOCK_JOB_COMPLETED' : 'BLOCK_JOB_CANCELLED');
      });
      return DONE;
    });
  }

  #serveMigration(): void {
    const { qemu } = this;
    qemu.on('migrate-set-capabilities', ({ arguments: args }) => {
      const next = { ...this.capabilities };
      for (const { capability, state } of args['capabilities'] as CapabilityState[]) {
        if (!(capability in next)) return refuse(`Parameter '${capability}' is unexpected`);
        next[capability] = state;
      }
      if (this.isReturnPathNeeded && next['x-colo'] && !next['return-path']) {
        return refuse("Capability 'x-colo' requires capability 'return-path'");
      }
      this.capabilities = next;
      return DONE;
    });
    qemu.on('query-migrate-capabilities', () => ({
      return: Object.entries(this.capabilities).map(([capability, state]) => ({
        capability,
        state,
      })),
    }));
    qemu.on('migrate-set-parameters', ({ arguments: args }) => {
      const { 'x-checkpoint-delay': periodMs = this.periodMs, ...others } = args;
      this.periodMs = Number(periodMs);
      Object.assign(this.migrationTls, others);
      return DONE;
    });
    qemu.on('query-migrate-parameters', () => ({
      return: { 'x-checkpoint-delay': this.periodMs, ...this.migrationTls },
    }));
    serveIncoming(this);
    qemu.on('query-migrate', () => ({
      return: {
        ...(this.migration !== undefined && { status: this.migration }),
        ...(this.errorDesc !== undefined && { 'error-desc': this.errorDesc }),
      },
    }));
    qemu.on('migrate', () => {
      this.migration = 'setup';
      setImmediate(() => {
        this.migrationConnected = true;
        this.migration = this.migrateTo;
        if (this.migrateTo === 'colo') this.colo = { ...this.colo, mode: 'primary' };
      });
      return DONE;
    });
    qemu.on('migrate_cancel', () => {
      // In COLO, its thread waits for x-colo-lost-heartbeat, which is refused from here on.
      if (this.colo.mode === 'primary') {
        this.migration = 'cancelling';
        this.colo = { ...this.colo, mode: 'none' };
        this.status = 'finish-migrate';
      } else if (this.migration !== undefined && this.migration !== 'cancelling') {
        this.migration = 'cancelled';
      }
      return DONE;
    });
    qemu.on('query-colo-status', () => ({ return: this.colo }));
    qemu.on('x-colo-lost-heartbeat', () => {
      if (this.colo.mode === 'none') return refuse("The feature 'colo' is not enabled");
      this.colo = { mode: 'none', 'last-mode': this.colo.mode, reason: 'request' };
      this.migration = 'completed';
      setImmediate(() => {
        qemu.emit('STOP');
        qemu.emit('RESUME');
      });
      return DONE;
    });
  }

  #cutMigration(): void {
    this.migrationConnected = false;
    if (this.migration === 'active') this.migration = 'failed';
  }

  #jobInfos(): object[] {
    const len = this.beginningPolls > 0 ? 0 : DISK_BYTES;
    this.beginningPolls -= 1;
    return [...this.jobs.entries()].map(([device, { ready, offset, speed, ioStatus }]) => ({
      ...{ device, type: 'mirror', len, offset, ready, speed },
      'io-status': ioStatus,
    }));
  }

  #nbdNodes(): string[] {
    return [...this.nodes.entries()].filter(([, { drv }]) => drv === 'nbd').map(([name]) => name);
  }

  #block(device: string, qdev: string, nodeName: string): object {
    const node = this.nodes.get(nodeName);
    if (node === undefined) throw new Error(`no node ${nodeName}`);
    const inserted = this.#info(nodeName, node);
    return { device, qdev, type: 'unknown', removable: false, locked: false, inserted };
  }

  #info(name: string, { drv, sizeBytes, filename }: Node): object {
    const count = this.dirtyBytes.get(name);
    const bitmap = { count, granularity: 65_536, recording: true, busy: false, persistent: false };
    return {
      ...{ 'node-name': name, drv, image: { 'virtual-size': sizeBytes } },
      ...(filename !== undefined && { file: filename }),
      ...(count !== undefined && { 'dirty-bitmaps': [bitmap] }),
    };
  }

  /** Front ends sit on the job's filter where there is one. */
  #graph(): object {
    const vb0 = ['/machine/peripheral/vb0/virtio-backend', this.top] as const;
    const backends = [vb0, ['drive1', 'plainnode']] as const;
    const names = [...this.nodes.keys()];
    const idOf = (name: string): number => names.indexOf(name) + 100;
    const jobs = [...this.jobs.entries()];
    const topOf = (node: string): string =>
      jobs.find(([, { source }]) => source === node)?.[1].filter ?? node;
    const edge = (parent: number, name: string, child: string): object => ({
      parent,
      name,
      child: idOf(child),
      perm: [],
      'shared-perm': [],
    });
    return {
      nodes: [
        ...backends.map(([name], index) => ({ id: index + 1, type: 'block-backend', name })),
        ...jobs.map(([name], index) => ({ id: index + 50, type: 'block-job', name })),
        ...names.map((name) => ({ id: idOf(name), type: 'block-driver', name })),
      ],
      edges: [
        ...backends.map(([, node], index) => edge(index + 1, 'root', topOf(node))),
        ...jobs.flatMap(([, { source, target }], index) => [
          edge(index + 50, 'source', source),
          edge(index + 50, 'target', target),
        ]),
        ...[...this.nodes.entries()].flatMap(([name, { children }]) =>
          [...children].map(([child, node]) => edge(idOf(name), child, node)),
        ),
      ],
    };
  }
}
