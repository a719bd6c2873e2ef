import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, LabDaemon, LabPair, LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

const BIN = path.resolve(
  import.meta.dirname,
  '..',
  '..',
  '..',
  'packages',
  'gannet',
  'dist',
  'bin.js',
);
const PATIENCE_MS = 60_000;

type Json = Record<string, unknown>;

/** Undone in reverse order after each test. */
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function statusOf(daemon: LabDaemon, isSo: (status: Json) => boolean): Promise<Json> {
  for (const startMs = performance.now(); ;) {
    const status = (await daemon.client.call('status')) as Json;
    if (isSo(status)) return status;
    if (performance.now() - startMs > PATIENCE_MS) {
      throw new Error(`timed out; the last status was ${JSON.stringify(status)}`);
    }
    await sleep(20);
  }
}

const { untilSo: until } = waiting({ patienceMs: PATIENCE_MS });

const pidOf = ({ pid }: LabDaemon): number => pid ?? 0;

async function gannet(...args: string[]): Promise<{ code: number; stderr: string }> {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stderr };
}

describe('a daemon outlives its QEMU', () => {
  it('and protects what comes next at its QMP socket', async () => {
    // Checkpoints come when the period is changed, and not before.
    const pair = await LabPair.create({ guest: await findGuest(), periodMs: 3_600_000 });
    undo.push(() => pair.dispose());
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const { primaryDaemon, secondaryDaemon } = pair;

    await statusOf(secondaryDaemon, ({ secondaryVm }) => secondaryVm === 'ready');
    await Promise.all([pair.secondary.dispose(), pair.primary.dispose()]);
    await statusOf(secondaryDaemon, ({ secondaryVm }) => secondaryVm === 'lost');
    await statusOf(primaryDaemon, ({ primaryVm }) => primaryVm === 'lost');
    await pair.startSecondaryVm();
    await pair.bootPrimary();
    await statusOf(secondaryDaemon, ({ secondaryVm }) => secondaryVm === 'ready');
    await statusOf(primaryDaemon, ({ primaryVm }) => primaryVm === 'ready');
    await pair.protect();
    expect(pair.commits.length).toBe(1);

    const config = pair.configOf('primary') as unknown as Json & { primary: Json };
    const primary = { ...config.primary, checkpointPeriodMs: 300 };
    await writeFile(primaryDaemon.configPath, JSON.stringify({ ...config, primary }));
    process.kill(pidOf(primaryDaemon), 'SIGHUP');
    await pair.waitForCommits(4);
    expect(primaryDaemon.eventsOf('reloaded')).toMatchObject([
      { changed: ['primary.checkpointPeriodMs'] },
    ]);

    // The guest of the next QEMU is another: the replica of this one must never take over.
    await pair.primary.dispose();
    await statusOf(primaryDaemon, ({ primaryVm }) => primaryVm === 'lost');
    await pair.bootPrimary();
    await statusOf(
      primaryDaemon,
      ({ primaryVm, state }) => primaryVm === 'ready' && state === 'unprotected',
    );
    const diverged = await statusOf(secondaryDaemon, ({ state }) => state === 'diverged');
    expect(diverged['needs']).toContain('Restart this daemon, then its QEMU with -incoming');
    await expect(pair.protect()).rejects.toMatchObject({
      code: 'GANNET_STAGE_FAILED',
      remedy: expect.stringContaining('Restart the secondary'),
    });
    await pair.replaceSecondary();
    await pair.protect();
    await pair.waitForCommits(2);
    // Not asked whether it is clean: its oracle expects the blank disk that it had at its first
    // boot.
    await pair.primary.oracle.waitForWrites(100, { signal: pair.primary.gone });

    // It would wait for its primary to let go, who can't hear it; asked a second time, it does not.
    primaryDaemon.stop();
    process.kill(pidOf(pair.secondaryDaemon), 'SIGTERM');
    await until('it to tell the primary', () => {
      return pair.secondaryDaemon.eventsOf('leaving').length > 0;
    });
    process.kill(pidOf(pair.secondaryDaemon), 'SIGINT');
    expect(await pair.secondaryDaemon.exited).toBe(1);
  });
});

it('a daemon halted from one checkpoint to the next delays its secondary in neither', async () => {
  const pair = await LabPair.create({ guest: await findGuest(), periodMs: 300 });
  undo.push(() => pair.dispose());
  await pair.startProtected(3);
  const { primary, secondary, secondaryDaemon } = pair;
  const [ofPrimary, ofSecondary] = (await Promise.all(
    [primary, secondary].map(async ({ qmpPaths: [socket] }) => {
      const qmp = await QmpClient.connect({ target: { kind: 'unix', path: socket } });
      undo.push(() => qmp.close());
      return qmp;
    }),
  )) as [QmpClient, QmpClient];
  const heard = (qmp: QmpClient, name: string): Promise<void> =>
    new Promise((resolve) => {
      const forget = qmp.on(({ event }) => {
        if (event !== name) return;
        forget();
        resolve();
      });
    });
  undo.push(() => secondaryDaemon.goOn());
  for (let halts = 0; halts < 5;) {
    await heard(ofPrimary, 'STOP');
    // Answered once the guest's requests are; then the rest of the checkpoint needs this daemon no
    // more.
    await ofPrimary.execute('query-status');
    const isAcross = heard(ofSecondary, 'RESUME').then(() => isStoppedAgain(ofSecondary));
    secondaryDaemon.stop();
    // Where the answer came so late that the checkpoint was over, the next one waits for the
    // daemon: the one behind it may do.
    if (await Promise.race([isAcross, sleep(3000, false)])) halts++;
    // QEMU waits for its disks from here on, and tells nobody why it ran.
    secondaryDaemon.goOn();
    await pair.waitForCommits(pair.commits.length + 2);
  }
  expect(primary.oracle.clean).toBe(true);
});

/**
 * 7.2 says that it stops, then waits for its disks; 10.0 and later say nothing until they are done,
 * and answer nothing either.
 */
async function isStoppedAgain(qmp: QmpClient): Promise<boolean> {
  const stop = new Promise<true>((resolve) => {
    qmp.on(({ event }) => event === 'STOP' && resolve(true));
  });
  const hasNext = async (): Promise<boolean> => {
    for (let asked = 0; asked < 10; asked++) {
      const answer = qmp.execute('query-status').catch(() => undefined);
      const isSilent = Promise.race([answer.then(() => false), sleep(500, true)]);
      if (await isSilent) return true;
      await sleep(100);
    }
    return false;
  };
  return Promise.race([stop, hasNext()]);
}

describe('a daemon that can not get on', () => {
  async function start(): Promise<{ daemon: LabDaemon; vm: LabVm; letGo: () => void }> {
    const dir = await mkdtemp(path.join(tmpdir(), 'gannet-daemon-'));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const vm = await LabVm.start({ name: 'pvm', dir, args: ['-machine', 'none'] });
    undo.push(() => vm.dispose());
    const holder = connect(vm.qmpPaths[1]);
    undo.push(() => holder.destroy());
    await once(holder, 'data'); // QEMU's greeting: the socket is taken
    const nowhere = { nbd: 'unix:/no/nbd', migrate: 'unix:/no/mig', peer: 'unix:/no/peer' };
    const config = {
      ...{ vm: 'lab', control: path.join(dir, 'lab.sock'), qmp: `unix:${vm.qmpPaths[1]}` },
      disks: [{ name: 'disk0', device: 'vb0' }],
      peer: { heartbeatMs: 50, lowMs: 200, highMs: 600 },
      primary: nowhere,
    };
    const daemon = await LabDaemon.start({ role: 'primary', dir, config });
    undo.push(() => daemon.kill('SIGKILL'));
    return { daemon, vm, letGo: () => holder.destroy() };
  }

  it('says that another program holds its QMP socket, and has it when that lets go', async () => {
    const { daemon, letGo } = await start();
    const waiting = await statusOf(daemon, ({ primaryVmTrouble }) => primaryVmTrouble !== null);
    expect(waiting['primaryVm']).toBe('awaited');
    expect(waiting['primaryVmTrouble']).toMatch(/QEMU hangs, or another program is connected/);
    const { code, stderr } = await gannet('protect', '-c', daemon.configPath);
    expect(code).toBe(1);
    expect(stderr).toContain('another program is connected');
    expect(stderr).toContain('Give Gannet a QMP socket of its own');
    letGo();
    const ready = await statusOf(daemon, ({ primaryVm }) => primaryVm === 'ready');
    expect(ready['primaryVmTrouble']).toBeNull();
  });

  it('that is halted costs who asks no more than --timeout', async () => {
    const { daemon } = await start();
    daemon.stop();
    const { code, stderr } = await gannet('status', '--timeout', '1', '-c', daemon.configPath);
    expect(code).toBe(5);
    expect(stderr).toContain('has given no sign of life for 1 s');
    expect(stderr).toContain('--timeout waits longer');
  });
});
