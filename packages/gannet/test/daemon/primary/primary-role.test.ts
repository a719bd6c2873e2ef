import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  asPrimary,
  parseConfig,
  type PeerNotice,
  type PeerStatus,
  type PrimaryConfig,
} from '@gannet/contract';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { HealthWatch } from '../../../src/daemon/health-watch.js';
import { History } from '../../../src/daemon/history.js';
import type { Logger } from '../../../src/daemon/log.js';
import { PeerLink } from '../../../src/daemon/peer/peer-link.js';
import { VmWatch } from '../../../src/daemon/vm/vm-watch.js';
import { PrimaryRole } from '../../../src/daemon/primary/primary-role.js';

// A primary's role beside a QEMU that is a script, and a peer that says what the test wants.

let dir: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-primary-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5);
}

const NONE = { mode: 'none', 'last-mode': 'none', reason: 'none' };
const COLO = { mode: 'primary', 'last-mode': 'none', reason: 'none' };

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
}

async function ready({ qmp, peer }: PrimaryConfig): Promise<VmWatch> {
  const watch = new VmWatch(qmp, peer.highMs);
  watch.attend({ onConnected: () => undefined, onTrouble: () => undefined });
  await until(() => watch.state === 'ready');
  return watch;
}

class Pair {
  fake: ListeningFakeQemu | undefined;
  role!: PrimaryRole;
  secondary: PeerLink | undefined;
  isRunning = true;
  readonly events: { kind: string; [detail: string]: unknown }[] = [];
  readonly notices: PeerNotice[] = [];
  readonly beats: PeerStatus[] = [];
  status: Extract<PeerStatus, { role: 'secondary' }> = {
    ...{ role: 'secondary', state: 'protected', epoch: 5, vm: 'ready', link: 'whole' },
    replica: 'uuid-1',
  };
  isDone = true;

  static async start(scene: Scene = {}): Promise<Pair> {
    const { colo = NONE, fence, isWithoutQemu = false, isSurvivor = false } = scene;
    const pair = new Pair();
    if (!isWithoutQemu) await pair.#startQemu(colo);
    const qmp = pair.fake?.path ?? path.join(dir, 'nobody.qmp');
    const config = asPrimary(
      parseConfig(
        `vm: web
qmp: unix:${qmp}
disks: [{name: disk0, device: vb0, base: ${dir}/base}]
peer: {heartbeatMs: 50, lowMs: 200, highMs: 1000}
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
    const log = { log: () => undefined } as unknown as Logger;
    const history = new History(log, (event) => pair.events.push(event));
    pair.role = PrimaryRole.start(
      config,
      { log, history, health: new HealthWatch() },
      isSurvivor ? await ready(config) : undefined,
    );
    undo.push(() => pair.role.close());
    return pair;
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
        onStatus: (status) => this.beats.push(status),
        onNotice: (notice) => {
          this.notices.push(notice);
          return this.isDone;
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

describe('a second copy', () => {
  test('that comes back after a takeover is stopped, with an alarm', async () => {
    const pair = await Pair.start();
    pair.status = { ...pair.status, state: 'retired', link: 'none' };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('superseded');
    await until(() => pair.kinds('trouble').length > 0);
    expect(pair.kinds('trouble')).toMatchObject([
      { message: expect.stringContaining('has taken over'), remedy: expect.any(String) },
    ]);
    const refused = pair.role.protect(() => undefined);
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await expect(refused).rejects.not.toMatchObject({
      remedy: expect.stringMatching(/restart the secondary/i),
    });
    await expect(pair.role.runOn(true)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
  });

  test('that a late checkpoint continues is stopped again', async () => {
    const pair = await Pair.start();
    pair.status = { ...pair.status, state: 'failed-over' };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    pair.isRunning = true;
    await until(() => !pair.isRunning);
    expect(pair.kinds('trouble')).toHaveLength(1);
  });

  test('is none while the secondary only replicates, or its QEMU has ended', async () => {
    const pair = await Pair.start();
    pair.status = { ...pair.status, state: 'retired', vm: 'lost' };
    await pair.connectSecondary();
    await until(() => pair.kinds('peer').length > 1 && pair.state === 'unprotected');
    expect(pair.received('stop')).toBe(0);
  });
});

describe('what a primary says of itself', () => {
  test('before it has seen its QEMU is no word about the replica', async () => {
    const pair = await Pair.start({ isWithoutQemu: true });
    await pair.connectSecondary();
    await until(() => pair.beats.length > 2);
    expect(new Set(pair.beats.map(({ state }) => state))).toEqual(new Set(['unknown']));
  });

  test('once it has found no protection is that it has none', async () => {
    const pair = await Pair.start();
    await pair.connectSecondary();
    await until(() => pair.beats.at(-1)?.state === 'unprotected');
    expect(pair.beats.at(-1)?.periodMs).toBe(3_600_000);
  });
});

test('a survivor is protected at once: protect waits until its QEMU was looked at', async () => {
  const pair = await Pair.start({ isSurvivor: true });
  const failed = pair.role.protect(() => undefined);
  // As far as its first stage, which this QEMU does not pass.
  await expect(failed).rejects.toMatchObject({ message: expect.stringContaining('stage check') });
});

describe('failover on the primary', () => {
  test('is refused without a QMP connection, and throws no replica away', async () => {
    const pair = await Pair.start({ isWithoutQemu: true });
    await pair.connectSecondary();
    await until(() => pair.beats.length > 0);
    await expect(pair.role.runOn(true)).rejects.toMatchObject({ code: 'GANNET_NOT_READY' });
    expect(pair.notices).toEqual([]);
    expect(pair.kinds('alone')).toEqual([]);
  });

  test('is refused when nothing is protected, and fences nobody', async () => {
    const pair = await Pair.start({ fence: 'exit 0' });
    await until(() => pair.role.status().primaryVm === 'ready');
    await expect(pair.role.runOn(true)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    expect(pair.kinds('fence')).toEqual([]);
    expect(pair.state).toBe('unprotected');
  });
});

describe('a protection that runs', () => {
  test('is found again; memory pressure asks for one checkpoint an epoch', async () => {
    const pair = await Pair.start({ colo: COLO });
    pair.fake?.qemu.reply('query-migrate', { status: 'colo' });
    await until(() => pair.state === 'protected');
    pair.status = { ...pair.status, memoryPressure: true };
    await pair.connectSecondary();
    await until(() => pair.received('migrate-set-parameters') > 0);
    const before = pair.beats.length;
    await until(() => pair.beats.length > before + 5);
    expect(pair.received('migrate-set-parameters')).toBe(1);
    pair.status = { ...pair.status, epoch: 6 };
    await until(() => pair.received('migrate-set-parameters') === 2);
  });

  test('is not let go by a detach that can tell nobody, and is by a forced one', async () => {
    const pair = await Pair.start({ colo: COLO, fence: 'exit 1' });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await expect(pair.role.detach(false)).rejects.toMatchObject({
      remedy: expect.stringContaining('--force'),
    });
    expect(pair.state).toBe('protected');
    expect(pair.kinds('fence')).toEqual([]);
    await pair.role.detach(true);
    expect(pair.state).toBe('unprotected');
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
  });

  test('a forced failover overrules a fence that hangs', async () => {
    const pair = await Pair.start({ colo: COLO, fence: 'sleep 3600' });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    const first = pair.role.runOn(false);
    // Told nobody for lowMs, then the fence runs.
    await delay(400);
    await Promise.all([first, pair.role.runOn(true)]);
    expect(pair.state).toBe('alone');
  });

  test('is not called alone where the secondary answers that it has not given up', async () => {
    const pair = await Pair.start({ colo: COLO });
    pair.isDone = false;
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().peer.pulse === 'up');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await pair.role.runOn(true);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
  });
});

describe('a protected guest', () => {
  async function protectedPair(): Promise<Pair> {
    const pair = await Pair.start({ colo: COLO, fence: 'exit 0' });
    pair.fake?.qemu.reply('yank', {});
    await pair.connectSecondary();
    await until(() => pair.beats.at(-1)?.state === 'protected');
    await until(() => pair.role.status().peer.pulse === 'up');
    return pair;
  }

  test('whose disk fails is stopped before the secondary hears of it', async () => {
    const pair = await protectedPair();
    const seen: boolean[] = [];
    const heard = pair.beats.length;
    pair.fake?.qemu.emit('BLOCK_IO_ERROR', {
      ...{ device: '', 'node-name': 'node0', operation: 'write', action: 'stop' },
      ...{ nospace: true, reason: 'No space left on device' },
    });
    await until(() => {
      const isSaid = pair.beats.slice(heard).some(({ state }) => state === 'yielding');
      if (isSaid) seen.push(pair.isRunning);
      return isSaid;
    });
    expect(seen).toEqual([false]);
    expect(pair.beats.at(-1)?.trouble).toMatch(/vb0.*No space left/);
    await expect(pair.role.detach(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    // The end of COLO is no reason to go on alone.
    pair.fake?.qemu.emit('COLO_EXIT', { mode: 'primary', reason: 'error' });
    const later = pair.beats.length;
    await until(() => pair.beats.length > later + 3);
    expect(pair.state).toBe('yielding');
    expect([...pair.kinds('alone'), ...pair.kinds('fence')]).toEqual([]);

    pair.status = { ...pair.status, state: 'failed-over' };
    await until(() => pair.state === 'superseded');
  });

  test('that is shut down has ended: the secondary is told, and nobody is fenced', async () => {
    const pair = await protectedPair();
    pair.fake?.qemu.reply('query-colo-status', NONE);
    pair.fake?.qemu.emit('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    await until(() => pair.beats.at(-1)?.state === 'ended');
    expect(pair.role.status().reason).toBe('the guest shut itself down');
    await until(() => pair.notices.includes('outdated'));
    expect(pair.kinds('fence')).toEqual([]);
  });
});
