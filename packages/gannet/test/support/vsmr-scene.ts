import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  FileRam,
  FrameLink,
  type Link,
  SecondaryEngine,
  type SecondaryEngineEvent,
} from '@gannet/vsmr';
import { QmpClient } from 'qemu-qmp-client';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { PrimaryVsmr } from '../../src/daemon/vsmr/primary-vsmr.js';

const RAM_BYTES = 64 * 1024;
const IGNORE = 'x-ignore-shared';

/** The primary's engine beside a QEMU that is a script, and the engine of a real secondary. */
export class VsmrScene {
  readonly troubles: string[] = [];
  readonly losses: string[] = [];
  readonly events: SecondaryEngineEvent[] = [];
  fake!: ListeningFakeQemu;
  qmp!: QmpClient;
  primary!: PrimaryVsmr;
  secondary: SecondaryEngine | undefined;
  /** Of the primary's guest: QEMU's run state. */
  status = 'running';
  ignoresShared = false;
  mayRun = true;
  pauseMs = 60_000;
  readonly objects = new Set<string>();
  /** Sees what the secondary sends; may hold it back. */
  onSecondary: (kind: string) => Promise<void> | void = () => undefined;
  /** Sees the snapshots that the primary's QEMU begins. */
  onSave: () => void = () => undefined;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #undo: (() => unknown)[] = [];

  private constructor(readonly folder: string) {}

  static async create({ hasSecondary = true } = {}): Promise<VsmrScene> {
    const folder = await mkdtemp(path.join(tmpdir(), 'gannet-vsmr-'));
    const scene = new VsmrScene(folder);
    scene.#undo.push(() => rm(folder, { recursive: true, force: true }));
    for (const side of ['primary', 'secondary']) {
      const file = await open(scene.path(`${side}.ram`), 'w');
      await file.truncate(RAM_BYTES);
      await file.close();
    }
    await scene.#startQemu();
    if (hasSecondary) await scene.#listen();
    scene.restart();
    return scene;
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** Another process: nothing of the one before is left but what QEMU has. */
  restart(): void {
    this.primary = new PrimaryVsmr(this.qmp, {
      ...{ migrate: `unix:${this.path('memory')}`, credentials: undefined, pauseMs: this.pauseMs },
      onLost: (reason) => this.losses.push(reason),
      onTrouble: (error) => this.troubles.push((error as Error).message),
      mayRun: () => this.mayRun,
    });
  }

  start(): Promise<void> {
    const options = { uri: '', periodMs: 3_600_000, timeoutMs: 60_000 };
    return this.primary.start(options, () => undefined);
  }

  /** How often QEMU was told so. */
  count(command: string): number {
    return this.fake.qemu.received.filter(({ command: name }) => name === command).length;
  }

  /** Somebody's `cont`. */
  continue(): void {
    if (this.status === 'running') return;
    this.status = 'running';
    this.fake.qemu.emit('RESUME');
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await delay(2);
  }

  cutLinks(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.primary.cut();
    this.cutLinks();
    this.#server?.close();
    await this.qmp.close();
    for (const step of this.#undo.reverse()) await step();
  }

  async #startQemu(): Promise<void> {
    this.fake = await FakeQemu.listen();
    this.#undo.push(() => this.fake.close());
    const { qemu } = this.fake;
    const jobs = new Map<string, object>();
    const conclude = (id: string): void => {
      jobs.set(id, { id, type: 'create', status: 'concluded', 'current-progress': 1 });
      qemu.emit('JOB_STATUS_CHANGE', { id, status: 'concluded' });
    };
    const job = ({ arguments: args }: { arguments?: unknown }) => {
      const { 'job-id': id } = args as { 'job-id': string };
      queueMicrotask(() => conclude(id));
      return { return: {} };
    };
    qemu
      .reply('query-memdev', [{ id: 'ram0', share: true }])
      .on('qom-get', ({ arguments: args }) => {
        const isSize = (args as { property: string }).property === 'size';
        return { return: isSize ? RAM_BYTES : this.path('primary.ram') };
      })
      .on('qom-list', () => ({
        return: [...this.objects].map((name) => ({ name, type: 'child<throttle-group>' })),
      }))
      .on('object-add', ({ arguments: args }) => {
        this.objects.add((args as { id: string }).id);
        return { return: {} };
      })
      .on('object-del', ({ arguments: args }) => {
        if (this.objects.delete((args as { id: string }).id)) return { return: {} };
        return { error: { class: 'GenericError', desc: 'object not found' } };
      })
      .on('query-migrate-capabilities', () => ({
        return: [{ capability: IGNORE, state: this.ignoresShared }],
      }))
      .on('migrate-set-capabilities', ({ arguments: args }) => {
        const { capabilities } = args as { capabilities: { state: boolean }[] };
        this.ignoresShared = capabilities[0]?.state === true;
        return { return: {} };
      })
      .on('query-jobs', () => ({ return: [...jobs.values()] }))
      .on('job-dismiss', ({ arguments: args }) => {
        jobs.delete((args as { id: string }).id);
        return { return: {} };
      })
      .on('blockdev-create', job)
      .on('snapshot-save', (request) => {
        this.onSave();
        return job(request);
      })
      .reply('blockdev-add')
      .reply('blockdev-del')
      .reply('query-named-block-nodes', [])
      .reply('query-block', [])
      .reply('x-debug-query-block-graph', { nodes: [], edges: [] })
      .on('query-status', () => ({
        return: { status: this.status, running: this.status === 'running' },
      }))
      .on('stop', () => {
        if (this.status === 'running') this.status = 'paused';
        return { return: {} };
      })
      .on('cont', () => {
        this.continue();
        return { return: {} };
      });
    this.qmp = await QmpClient.connect({ target: { kind: 'unix', path: this.fake.path } });
  }

  async #listen(): Promise<void> {
    const ram = await FileRam.open({ path: this.path('secondary.ram'), bytes: RAM_BYTES });
    this.#undo.push(() => ram.close());
    const still = (): Promise<void> => Promise.resolve();
    const guest = {
      ...{ pause: still, resume: still, loadDevices: still },
      saveDevices: () => Promise.resolve(Buffer.from('devices')),
    };
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      const there = new FrameLink(socket, ram);
      const link: Link = {
        send: async (frame) => {
          await this.onSecondary(frame.kind);
          return there.send(frame);
        },
        receive: () => there.receive(),
        close: () => there.close(),
      };
      if (this.secondary?.phase === 'running') return void this.secondary.continueOn(link);
      this.secondary = new SecondaryEngine({
        ...{ guest, ram, link, disks: { commit: still, failOver: still } },
        onEvent: (event) => this.events.push(event),
      });
      void this.secondary.serve();
    }).listen(this.path('memory'));
  }
}
