/** What a pair with `engine: vsmr` does in its life; as with COLO, but for what its engine does. */
import { findGuest, type LabDaemon, LabPair, type LabPairOptions } from '@gannet/lab';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell, expectSurvivorWhole } from '../guests.js';
import { QmpClient } from 'qemu-qmp-client';
import { afterEach, describe, expect, test } from '@jest/globals';

const PATIENCE_MS = 60_000;
const KILLS = 5;
const { untilSo: until } = waiting({ patienceMs: PATIENCE_MS });

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

async function protectedPair(options: Partial<LabPairOptions> = {}): Promise<LabPair> {
  pair = await LabPair.create({
    ...{ guest: await findGuest(), engine: 'vsmr', periodMs: 500 },
    ...{ qemu: process.env['GANNET_QEMU'], ...options },
  });
  await pair.startProtected(3);
  return pair;
}

async function stateOf(daemon: LabDaemon): Promise<string> {
  return (await daemon.client.call('status')).state;
}

describe('the circle', () => {
  test.each([
    { link: 'nbd', disks: 2 },
    { link: 'mirror', disks: 1 },
  ])('link $link: kill, fail over, protect the survivor again, twice', async (options) => {
    const running = await protectedPair(options);
    for (let circle = 1; circle <= 2; circle++) {
      await running.primary.kill('SIGKILL');
      await running.failOver();
      await running.secondary.oracle.waitForWrites(100, { signal: running.secondary.gone });
      if (circle === 2) break;
      await running.advance();
      await running.startSecondary();
      await running.reprotect();
      await running.waitForCommits(3);
    }
    await expectSurvivorWhole(running);
  });
});

describe('the primary goes on without its secondary', () => {
  test.each<[string, (running: LabPair) => Promise<unknown>]>([
    ['its QEMU is killed', ({ secondary }) => secondary.kill('SIGKILL')],
    ['its daemon is killed', ({ secondaryDaemon }) => secondaryDaemon.kill('SIGKILL')],
    ['its daemon hangs', ({ secondaryDaemon }) => Promise.resolve(secondaryDaemon.stop())],
  ])('%s', async (_what, lose) => {
    const running = await protectedPair();
    await lose(running);
    const { primaryDaemon } = running;
    await until('alone', async () => (await stateOf(primaryDaemon)) === 'alone');
    await expectPrimaryWell(running);
    // And is protected again, by a new one.
    await running.replaceSecondary();
    await running.protect();
    await running.waitForCommits(2);
    await expectPrimaryWell(running);
  });
});

test('detach: the guest runs on, and the replica never takes over', async () => {
  const running = await protectedPair();
  await running.primaryDaemon.client.call('detach', {});
  expect(await stateOf(running.primaryDaemon)).toBe('unprotected');
  await expectPrimaryWell(running);
  await expect(running.failOver(true)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
});

test('the daemon of the primary is killed at any moment: the next one goes on', async () => {
  const running = await protectedPair({ periodMs: 200 });
  const seed = Number(process.env['GANNET_SEED'] ?? randomInt(1, 1_000_000));
  process.stderr.write(`GANNET_SEED=${seed} replays the moments of the kills\n`);
  for (let kill = 1; kill <= KILLS; kill++) {
    await running.waitForCommits(running.commits.length + 1);
    // Within a checkpoint, or between two.
    await sleep((seed * kill) % 400);
    await running.primaryDaemon.kill('SIGKILL');
    await sleep((seed * kill) % 150);
    await running.startPrimaryDaemon();
    const { primaryDaemon } = running;
    await until('protected', async () => (await stateOf(primaryDaemon)) === 'protected');
    await running.waitForCommits(running.commits.length + 2);
    const writes = running.primary.oracle.writes;
    await until('its guest runs', () => Promise.resolve(running.primary.oracle.writes > writes));
  }
  await running.primary.kill('SIGKILL');
  await running.failOver();
  await expectSurvivorWhole(running);
});

describe('the daemon of the primary is restarted while its guest yields', () => {
  test('the guest stays stopped, and the secondary takes over', async () => {
    const running = await protectedPair();
    await running.primaryDaemon.kill('SIGKILL');
    // As the daemon has done it that was killed: a guest that was stopped for good.
    const { primary } = running;
    const qmp = await QmpClient.connect({ target: { kind: 'unix', path: primary.qmpPaths[0] } });
    await qmp.execute('stop');
    await qmp.execute('object-add', { 'qom-type': 'throttle-group', id: 'gannet-halted' });
    await running.startPrimaryDaemon();
    await until('yielding', async () => (await stateOf(running.primaryDaemon)) === 'yielding');
    expect(await qmp.execute('query-status')).toMatchObject({ running: false });
    await running.failOver();
    expect(await qmp.execute('query-status')).toMatchObject({ running: false });
    await qmp.close();
    await primary.kill('SIGKILL');
    await expectSurvivorWhole(running);
  });
});
