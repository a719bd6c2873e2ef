import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach } from '@jest/globals';
import {
  asPrimary,
  parseConfig,
  type PeerStatus,
  type PrimaryConfig,
  type TermRecord,
} from '@gannet/contract';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { HealthWatch } from '../../src/daemon/health-watch.js';
import { History } from '../../src/daemon/history.js';
import type { Logger } from '../../src/daemon/log.js';
import { PeerLink } from '../../src/daemon/peer/peer-link.js';
import { compare } from '../../src/daemon/arbitration/compare.js';
import { BLANK, outdatedBy, succeeding } from '../../src/daemon/arbitration/records.js';
import { TermStore } from '../../src/daemon/terms/term-store.js';
import { record } from './records.js';
import { VmWatch } from '../../src/daemon/vm/vm-watch.js';
import { PrimaryRole } from '../../src/daemon/primary/primary-role.js';

let dir: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-primary-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

export const NONE = { mode: 'none', 'last-mode': 'none', reason: 'none' };
export const COLO = { mode: 'primary', 'last-mode': 'none', reason: 'none' };
export const ENDED = { mode: 'none', 'last-mode': 'primary', reason: 'request' };
export const PROTECTED = record('protected', 3);

const NODE = {
  'node-name': 'node0',
  drv: 'raw',
  image: { filename: 'base', format: 'raw', 'virtual-size': 1048576 },
};

interface Scene {
  readonly colo?: object;
  readonly fence?: string;
  /** Nothing listens at the QMP socket. */
  readonly isWithoutQemu?: boolean;
  /** Its QEMU is connected already: it was a secondary's. */
  readonly isSurvivor?: boolean;
  /** `protection: automatic`. */
  readonly isAutomatic?: boolean;
  /** What an earlier daemon has left in the term file. */
  readonly own?: TermRecord;
}

async function ready({ qmp, peer }: PrimaryConfig): Promise<VmWatch> {
  const watch = new VmWatch(qmp, peer.highMs);
  watch.attend({ onConnected: () => undefined, onTrouble: () => undefined });
  await until(() => watch.state === 'ready');
  return watch;
}

/** A primary's role beside a QEMU that is a script, and a peer that says what the test wants. */
export class Pair {
  fake: ListeningFakeQemu | undefined;
  role!: PrimaryRole;
  terms!: TermStore;
  #config!: PrimaryConfig;
  secondary: PeerLink | undefined;
  isRunning = true;
  readonly events: { kind: string; [detail: string]: unknown }[] = [];
  readonly beats: PeerStatus[] = [];
  status: Extract<PeerStatus, { role: 'secondary' }> = {
    ...{ role: 'secondary', state: 'protected', epoch: 5, vm: 'ready', link: 'whole' },
    record: PROTECTED,
  };
  /** Whether the secondary yields, as its daemon does, to what it hears. */
  yields = true;

  static async start(scene: Scene = {}): Promise<Pair> {
    const { colo = NONE, fence, isWithoutQemu = false, isSurvivor = false, own } = scene;
    const pair = new Pair();
    if (!isWithoutQemu) await pair.#startQemu(colo);
    const qmp = pair.fake?.path ?? path.join(dir, 'nobody.qmp');
    const config = asPrimary(
      parseConfig(
        `vm: web
qmp: unix:${qmp}
disks: [{name: disk0, device: vb0, base: ${dir}/base}]
peer: {heartbeatMs: 50, lowMs: 200, highMs: 1000}
protection: ${scene.isAutomatic === true ? 'automatic' : 'manual'}
${fence === undefined ? '' : `fence: {command: ['/bin/sh', '-c', '${fence}']}`}
primary:
  nbd: unix:${dir}/nbd
  migrate: unix:${dir}/migrate
  peer: unix:${dir}/peer
  link: mirror
  checkpointPeriodMs: 3600000
`,
        'web.yaml',
      ),
    );
    const file = path.join(dir, 'web.term.json');
    if (own) {
      const terms = await TermStore.open({ file, vm: 'web' });
      await terms.update(() => own);
      await terms.close();
    }
    pair.#config = config;
    await pair.#startDaemon(isSurvivor ? await ready(config) : undefined);
    return pair;
  }

  /** The next daemon, as after `systemctl restart`. */
  async restartDaemon(): Promise<void> {
    await this.role.close();
    await this.terms.close();
    await this.#startDaemon();
  }

  async #startDaemon(vm?: VmWatch): Promise<void> {
    const config = this.#config;
    this.terms = await TermStore.open({ file: path.join(dir, 'web.term.json'), vm: 'web' });
    const log = { log: () => undefined } as unknown as Logger;
    const history = new History(log, (event) => this.events.push(event));
    const role = PrimaryRole.start(
      config,
      {
        log,
        history,
        terms: this.terms,
        health: new HealthWatch({ look: () => Promise.resolve(), onChange: () => undefined }),
        page: () => undefined,
      },
      vm,
    );
    this.role = role;
    const { terms } = this;
    undo.push(() => terms.close());
    undo.push(() => role.close());
  }

  async #startQemu(colo: object): Promise<void> {
    this.fake = await FakeQemu.listen();
    const { fake } = this;
    undo.push(() => fake.close());
    fake.qemu
      .reply('query-colo-status', colo)
      .reply('query-block-jobs', [])
      .reply('query-named-block-nodes', [NODE])
      .reply('query-yank', [])
      .reply('query-migrate', { status: 'none' })
      .reply('query-migrate-parameters', { 'x-checkpoint-delay': 2000 })
      .reply('migrate-set-parameters')
      .reply('query-migrate-capabilities', [])
      .reply('migrate-set-capabilities')
      .reply('query-block', [{ device: '', qdev: 'vb0', inserted: NODE }])
      .reply('x-debug-query-block-graph', {
        nodes: [{ id: 1, type: 'block-driver', name: 'node0' }],
        edges: [],
      })
      .reply('qom-list', [])
      .reply('query-chardev', [])
      .reply('blockdev-del')
      .reply('cont')
      .reply('x-colo-lost-heartbeat')
      .on('block-job-cancel', () => ({ error: { class: 'DeviceNotActive', desc: 'no such job' } }));
    fake.qemu.on('query-status', () => ({
      return: { status: this.isRunning ? 'running' : 'paused', running: this.isRunning },
    }));
    fake.qemu.on('stop', () => {
      this.isRunning = false;
      return { return: {} };
    });
  }

  async connectSecondary(): Promise<void> {
    this.secondary = await PeerLink.listen(
      { type: 'unix', path: path.join(dir, 'peer') },
      {
        ...{ heartbeatMs: 50, lowMs: 200, highMs: 1000, vm: 'web', role: 'secondary' },
        status: () => this.status,
        onLiveness: () => undefined,
        onStatus: (status) => {
          this.beats.push(status);
          const { record: said } = this.status;
          if (!this.yields || compare('secondary', said, status.record) !== 'yield') return;
          const next = succeeding(said, outdatedBy(said, status.record), BLANK.at);
          this.status = { ...this.status, state: 'diverged', record: next };
          this.secondary?.beatNow();
        },
        onAsk: () => Promise.resolve({}),
        onRefused: () => undefined,
      },
    );
    const { secondary } = this;
    undo.push(() => secondary.close());
  }

  get state(): string {
    return this.role.status().state;
  }

  kinds(kind: string): unknown[] {
    return this.events.filter((event) => event.kind === kind);
  }

  received(command: string): number {
    return this.fake?.qemu.received.filter(({ command: name }) => name === command).length ?? 0;
  }
}
