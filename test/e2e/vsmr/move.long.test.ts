/** `gannet move`: a planned move, after which nothing is missing. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  ClientNetwork,
  findNetworkGuest,
  GANNET_BIN,
  type LabDaemon,
  LabPair,
  type LabVm,
  type TrafficReport,
} from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import { expectPrimaryWell, expectSurvivorWhole, talked } from '../guests.js';

const CONNECTIONS = 12;
const run = promisify(execFile);
const { untilSo } = waiting({ patienceMs: 60_000 });

let network: ClientNetwork;
let pair: LabPair;
beforeEach(async () => {
  network = await ClientNetwork.create(3);
});
afterEach(async () => {
  await pair.dispose();
  await network.dispose();
});

/** The cables of the taps: no filter of QEMU holds anything, so what is lost, a client sees. */
async function plug(tap: number, how: 'up' | 'down'): Promise<void> {
  const [program = '', ...args] = network.inside('ip', 'link', 'set', network.tap(tap), how);
  await run(program, args);
}

async function inNetwork(): Promise<LabPair> {
  pair = await LabPair.create({
    ...{ guest: await findNetworkGuest(), engine: 'vsmr', disks: 2, periodMs: 1000, network },
    ...{ qemu: process.env['GANNET_QEMU'], thinkUs: 5000 },
    config: () => ({ network: [] }),
  });
  await plug(1, 'down');
  await plug(2, 'down');
  await pair.startProtected(2);
  network.open(CONNECTIONS);
  await untilSo('connections', async () => (await network.report()).length === CONNECTIONS);
  return pair;
}

async function runState({ qmpPaths: [qmpPath] }: LabVm): Promise<string> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: qmpPath } });
  const { status } = await qmp.execute('query-status').finally(() => qmp.close());
  return status;
}

/** `gannet move`, as an operator runs it. */
async function move({ configPath }: LabDaemon): Promise<{ movedTo: string; stillMs: number }> {
  const args = [GANNET_BIN, 'move', '--json', '--config', configPath];
  const { stdout, stderr } = await run(process.execPath, args);
  expect(stderr.match(/"stage":"[^"]*"/g)).toEqual([
    ...['"stage":"last checkpoint"', '"stage":"take over"'],
  ]);
  return JSON.parse(stdout) as { movedTo: string; stillMs: number };
}

const failuresOf = (reports: readonly TrafficReport[]): unknown[] =>
  reports.filter(({ failure }) => failure !== undefined);

describe('a move', () => {
  test('loses no answer of a client and no write, and the old side stays down', async () => {
    const running = await inNetwork();
    await talked(network, 20);
    const { primary, primaryDaemon, secondaryDaemon } = running;
    const { movedTo, stillMs } = await move(primaryDaemon);
    expect(await runState(primary)).toBe('paused');
    const [before] = await Promise.all([network.report(), plug(0, 'down'), plug(1, 'up')]);
    expect(failuresOf(await talked(network, 20))).toEqual([]);
    process.stdout.write(
      `moved to ${movedTo}: no guest for ${stillMs} ms; ${before.length} connections went on, ` +
        `${before.reduce((sum, { lines }) => sum + lines, 0)} answers before\n`,
    );

    const status = await primaryDaemon.client.call('status');
    expect(status).toMatchObject({ state: 'superseded', record: { word: 'outdated', movedTo } });
    expect(status.health).toMatchObject({ code: 'moved', guest: 'secondary' });
    expect(primaryDaemon.eventsOf('two-copies')).toEqual([]);
    const evidence = "the primary's daemon has stopped its guest after a last checkpoint";
    expect(secondaryDaemon.eventsOf('failover-begins')[0]?.evidence).toContain(evidence);
    // Asked again, it says what is.
    expect(await primaryDaemon.client.call('move', {})).toEqual({ movedTo, stillMs: null });

    // The host of the former primary is restarted: its VM comes up, and may not run.
    await primaryDaemon.kill('SIGKILL');
    await plug(0, 'down');
    await running.rebootPrimary();
    await running.startPrimaryDaemon();
    await untilSo('it stands still', async () => (await runState(running.primary)) === 'paused');
    expect(await running.primaryDaemon.client.call('status')).toMatchObject({
      ...{ state: 'superseded', record: { word: 'outdated', movedTo } },
    });
    expect(failuresOf(await talked(network, 5))).toEqual([]);
    await expectSurvivorWhole(running);
  });

  test('and back: the host that had it becomes the secondary, and gets it again', async () => {
    const back = { isOver: false };
    pair = await LabPair.create({
      ...{ guest: await findNetworkGuest(), engine: 'vsmr', disks: 2, periodMs: 500, network },
      ...{ qemu: process.env['GANNET_QEMU'], thinkUs: 5000 },
      // The term file of the host that the VM has left.
      config: (role) => ({
        network: [],
        ...(back.isOver && role === 'secondary'
          ? { termFile: path.join(pair.dir, 'host0.term.json') }
          : {}),
      }),
    });
    await pair.startProtected(2);
    await move(pair.primaryDaemon);
    await untilSo('local disks', async () => (await stateOf(pair.secondaryDaemon)) === 'retired');
    back.isOver = true;
    await pair.advance();
    await pair.startSecondary();
    await pair.reprotect();
    await pair.waitForCommits(2);
    await move(pair.primaryDaemon);
    await expectSurvivorWhole(pair);
  });
});

async function stateOf(daemon: LabDaemon): Promise<string> {
  return (await daemon.client.call('status')).state;
}

describe('a move that can not be carried out', () => {
  test.each<[string, (running: LabPair) => Promise<unknown>]>([
    ["the secondary's QEMU is killed", ({ secondary }) => secondary.kill('SIGKILL')],
    ["the secondary's daemon is killed", ({ secondaryDaemon }) => secondaryDaemon.kill('SIGKILL')],
  ])('%s during the last checkpoint: the primary goes on', async (_what, kill) => {
    const running = await inNetwork();
    await talked(network, 5);
    const killed: Promise<unknown>[] = [];
    const moved = running.primaryDaemon.client.call('move', {}, ({ stage }) => {
      if (stage === 'last checkpoint') killed.push(kill(running));
    });
    await expect(moved).rejects.toMatchObject({
      ...{
        code: 'GANNET_STAGE_FAILED',
        remedy: expect.stringContaining('runs on here') as unknown,
      },
    });
    await Promise.all(killed);
    const { primaryDaemon } = running;
    await untilSo('alone', async () => (await stateOf(primaryDaemon)) === 'alone');
    expect(await primaryDaemon.client.call('status')).toMatchObject({ record: { word: 'alone' } });
    expect(failuresOf(await talked(network, 20))).toEqual([]);
    await expectPrimaryWell(running);
  });
});
