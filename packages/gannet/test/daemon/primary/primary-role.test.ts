import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  asPrimary,
  parseConfig,
  type PeerStatus,
  type PrimaryConfig,
  type TermRecord,
} from '@gannet/contract';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import { History } from '../../../src/daemon/history.js';
import type { Logger } from '../../../src/daemon/log.js';
import { PeerLink } from '../../../src/daemon/peer/peer-link.js';
import { compare } from '../../../src/daemon/arbitration/compare.js';
import { BLANK, outdatedBy } from '../../../src/daemon/arbitration/records.js';
import { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record } from '../../support/records.js';
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
const ENDED = { mode: 'none', 'last-mode': 'primary', reason: 'request' };
const PROTECTED = record('protected', 3);

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
  /** What an earlier daemon has left in the term file. */
  readonly own?: TermRecord;
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
      await (await TermStore.open({ file, vm: 'web' })).update(() => own);
    }
    pair.#config = config;
    await pair.#startDaemon(isSurvivor ? await ready(config) : undefined);
    return pair;
  }

  /** The next daemon, as after `systemctl restart`. */
  async restartDaemon(): Promise<void> {
    await this.role.close();
    await this.#startDaemon();
  }

  async #startDaemon(vm?: VmWatch): Promise<void> {
    const config = this.#config;
    this.terms = await TermStore.open({ file: path.join(dir, 'web.term.json'), vm: 'web' });
    const log = { log: () => undefined } as unknown as Logger;
    const history = new History(log, (event) => this.events.push(event));
    const role = PrimaryRole.start(config, { log, history, terms: this.terms }, vm);
    this.role = role;
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
          const next = { ...outdatedBy(said, status.record), at: BLANK.at };
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

const TAKEN_OVER = record('taken-over', 4, { evidence: 'fence' });

describe('a primary whose secondary has taken over', () => {
  test('and that comes back is stopped at once, with an alarm, and stays so', async () => {
    // H8: host A was fenced and reboots; its VM and its daemon start by themselves.
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'retired', link: 'none', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning && pair.terms.record.word === 'outdated');
    expect(pair.state).toBe('superseded');
    expect(pair.kinds('two-copies')).toMatchObject([{ newest: 'secondary', term: 4 }]);
    expect(pair.kinds('fence')).toEqual([]);
    const refused = pair.role.protect(() => undefined);
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await expect(refused).rejects.not.toMatchObject({
      remedy: expect.stringMatching(/restart the secondary/i),
    });
    await expect(pair.role.runOn(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });

    // Nobody is there to say it again: this side remembers.
    await pair.secondary?.close();
    pair.isRunning = true;
    await pair.restartDaemon();
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('superseded');
  });

  test('and that ran on as it was let go, is stopped: the term decides, not who is first', async () => {
    const alone = record('alone', 4);
    const pair = await Pair.start({ own: alone });
    pair.status = { ...pair.status, state: 'failed-over', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('superseded');
  });

  test('and that a late checkpoint continues is stopped again', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'failed-over', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    pair.isRunning = true;
    await until(() => !pair.isRunning);
    expect(pair.kinds('two-copies')).toHaveLength(1);
  });

  test('runs only by two words of an operator, and then the other side has to yield', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'retired', link: 'none', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => pair.terms.record.word === 'outdated');
    await until(() => pair.role.status().primaryVm === 'ready');
    await expect(pair.role.runOn(true)).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringContaining('has the VM and is well'),
      remedy: expect.stringContaining('--overrule-peer'),
    });
    await pair.role.runOn(true, true);
    expect(pair.state).toBe('alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 5, isForced: true });
    await until(() => pair.status.record.word === 'outdated');
    expect(pair.received('cont')).toBe(1);
  });

  test('in another lineage is another VM: nothing is stopped, and it is reported', async () => {
    const pair = await Pair.start({ own: record('alone', 4) });
    const foreign = { ...TAKEN_OVER, lineage: 'b2', term: 9 };
    pair.status = { ...pair.status, state: 'retired', record: foreign };
    await pair.connectSecondary();
    await until(() => pair.kinds('foreign').length > 0);
    expect(pair.received('stop')).toBe(0);
  });
});

describe('a new QEMU beside a secondary that was protected', () => {
  test('is held until the secondary has yielded', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('held');
    await expect(pair.role.protect(() => undefined)).rejects.toMatchObject({
      message: expect.stringContaining('is held'),
    });
    await pair.connectSecondary();
    await until(() => pair.kinds('released').length > 0);
    expect(pair.received('cont')).toBe(1);
    expect(pair.state).toBe('unprotected');
    expect(pair.status.record).toMatchObject({ word: 'outdated', term: 4 });
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
  });

  test('is held by the next daemon too, and runs when an operator forces it', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    await until(() => pair.terms.record.word === 'leaving');
    await pair.restartDaemon();
    await until(() => pair.state === 'held');
    await pair.role.runOn(true);
    expect(pair.received('cont')).toBe(0);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'operator' });
  });

  test('runs once its fence has succeeded', async () => {
    const pair = await Pair.start({ own: PROTECTED, fence: 'exit 0' });
    await until(() => pair.kinds('released').length > 0);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'fence' });
  });

  test('that was alone before runs at once', async () => {
    const pair = await Pair.start({ own: record('alone', 4) });
    await until(() => pair.role.status().primaryVm === 'ready' && pair.state === 'unprotected');
    expect(pair.received('stop')).toBe(0);
  });
});

describe('what a primary has let go stays so', () => {
  test('when it could tell nobody, and its daemon is restarted before the network is back', async () => {
    // C2: the notice was lost with the daemon, and a stale secondary took over without --force.
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await pair.role.runOn(true);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4 });
    await pair.restartDaemon();
    await pair.connectSecondary();
    await until(() => pair.status.record.word === 'outdated');
    expect(pair.status.record.term).toBe(4);
  });

  test('when COLO ended while no daemon ran: the secondary is outdated first', async () => {
    // D2
    const pair = await Pair.start({ colo: ENDED, own: PROTECTED });
    await pair.connectSecondary();
    await until(() => pair.kinds('alone').length > 0);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: true }]);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
    expect(pair.received('stop')).toBe(0);
  });

  test('when its daemon ended between the new term and the cut', async () => {
    const pair = await Pair.start({ colo: COLO, own: record('leaving', 4) });
    await pair.connectSecondary();
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await until(() => pair.kinds('alone').length > 0);
    expect(pair.status.record).toMatchObject({ word: 'outdated', term: 4 });
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4 });
  });

  test('the links are cut only when the new term is on the disk', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await until(() => pair.state === 'protected');
    const words: string[] = [];
    pair.fake?.qemu.on('query-yank', () => {
      words.push(pair.terms.record.word);
      return { return: [] };
    });
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await pair.role.runOn(true);
    expect(words).toEqual(['alone']);
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
    expect(pair.terms.record).toBe(BLANK);
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
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
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
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'exit 1' });
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
    const pair = await Pair.start({ colo: COLO, own: PROTECTED, fence: 'sleep 3600' });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    const first = pair.role.runOn(false);
    // Told nobody for lowMs, then the fence runs.
    await delay(400);
    await Promise.all([first, pair.role.runOn(true)]);
    expect(pair.state).toBe('alone');
  });

  test('is not called alone where the secondary answers that it has not given up', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    pair.yields = false;
    await pair.connectSecondary();
    await until(() => pair.state === 'protected' && pair.role.status().peer.pulse === 'up');
    pair.fake?.qemu.reply('query-colo-status', NONE);
    await pair.role.runOn(true);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
  });
});
