import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { QmpClient } from 'qemu-qmp-client';
import type { LabPair, LabVm } from '@gannet/lab';
import { FENCE, PEER, TwoHostPair, type TwoHostPairOptions } from '../../faults/two-host-pair.js';

// Who may run is remembered on disk: restarts of daemons, cut networks and operators in any order.

const PATIENCE_MS = 40_000;

let bench: TwoHostPair | undefined;
afterEach(async () => {
  await bench?.dispose();
  bench = undefined;
});

async function protectedPair(options: Partial<TwoHostPairOptions> = {}): Promise<TwoHostPair> {
  bench = await TwoHostPair.create({ periodMs: 300, ...options });
  await bench.start();
  await bench.protect();
  return bench;
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const startMs = performance.now(); !(await isSo());) {
    if (performance.now() - startMs > PATIENCE_MS) {
      const { primaryDaemon, secondaryDaemon } = bench?.pair ?? {};
      const log = `${primaryDaemon?.logTail ?? ''}\n\n${secondaryDaemon?.logTail ?? ''}`;
      throw new Error(`timed out waiting for ${what}\n${log}`);
    }
    await sleep(20);
  }
}

type Status = Record<string, unknown> & {
  record: { word: string; term: number };
  peer: { pulse: string };
};
const statusOf = async (daemon: LabPair['primaryDaemon']): Promise<Status> =>
  await daemon.client.call('status');

async function runs(vm: LabVm): Promise<boolean> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    return (await qmp.execute('query-status')).running;
  } finally {
    await qmp.close();
  }
}

const NO_FENCE = { primary: undefined, secondary: FENCE };

it('that a primary went on alone, unheard, is known after a restart of its daemon', async () => {
  // C2: the secondary took over from the commit before the cut, without --force.
  const { pair, network } = await protectedPair({
    fences: NO_FENCE,
    secondary: { failover: 'manual' },
  });
  const { secondaryDaemon } = pair;
  await network.cut('drop');
  await until('the primary to be alone', () => pair.primaryDaemon.eventsOf('alone').length > 0);
  expect(pair.primaryDaemon.eventsOf('alone')).toMatchObject([{ secondaryKnows: false }]);

  // Without contact: nothing proves that the copy here is the newest, and nobody is fenced.
  await expect(secondaryDaemon.client.call('failover', {})).rejects.toMatchObject({
    message: expect.stringContaining('has not continued alone before'),
  });
  expect(secondaryDaemon.eventsOf('fence')).toEqual([]);

  await pair.primaryDaemon.kill('SIGTERM');
  await pair.startPrimaryDaemon();
  await network.mend();
  await until('the secondary to be outdated', async () => {
    return (await statusOf(secondaryDaemon)).record.word === 'outdated';
  });
  await pair.primary.kill('SIGKILL');
  await pair.primaryDaemon.kill('SIGKILL');
  await expect(secondaryDaemon.client.call('failover', {})).rejects.toMatchObject({
    exit: 'refused',
  });
  expect(secondaryDaemon.eventsOf('failover-begins')).toEqual([]);
});

it('a forced takeover from a primary that is well stops its guest at once', async () => {
  // C3: both guests ran, each with its own disk, and nobody said so.
  const { pair } = await protectedPair({ secondary: { failover: 'manual' } });
  const { primary, primaryDaemon, secondaryDaemon } = pair;
  await expect(secondaryDaemon.client.call('failover', { force: true })).rejects.toMatchObject({
    message: expect.stringContaining('is well'),
    remedy: expect.stringContaining('--overrule-peer'),
  });
  expect(await runs(primary)).toBe(true);
  const report = await secondaryDaemon.client.call('failover', { force: true, overrulePeer: true });
  expect(report).toMatchObject({ evidence: 'an operator used --force' });
  await until('the primary to stop its guest', async () => !(await runs(primary)));
  await until('the alarm', () => primaryDaemon.eventsOf('two-copies').length > 0);
  expect(primaryDaemon.eventsOf('two-copies')).toMatchObject([{ newest: 'secondary' }]);
  expect(primaryDaemon.eventsOf('fence')).toEqual([]);
  expect(await statusOf(primaryDaemon)).toMatchObject({
    ...{ state: 'superseded', record: { word: 'outdated' } },
  });
  expect((await statusOf(secondaryDaemon)).record).toMatchObject({
    ...{ word: 'taken-over', isForced: true, evidence: 'operator' },
  });

  // It stays so when nobody is there to say it again.
  await secondaryDaemon.kill('SIGKILL');
  await primaryDaemon.kill('SIGTERM');
  await pair.startPrimaryDaemon();
  expect(await statusOf(pair.primaryDaemon)).toMatchObject({ state: 'superseded' });
  expect(await runs(primary)).toBe(false);
});

it('a secondary in doubt fences nobody', async () => {
  // H2: it killed the primary, and could not take over itself.
  const periodMs = 5000;
  const fences = { primary: 'false', secondary: FENCE };
  const { pair, network } = await protectedPair({ fences, periodMs });
  const { primary, secondary, secondaryDaemon } = pair;
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: secondary.qmpPaths[0] } });
  await qmp.execute('stop');
  await qmp.execute('cont');
  await until('the doubt', () => secondaryDaemon.eventsOf('doubt').length > 0);
  await network.cut('drop');
  await qmp.close();
  await until('the silence', async () => (await statusOf(secondaryDaemon)).peer.pulse === 'lost');
  // A secondary that is fit acts by then.
  await sleep(periodMs + 2 * PEER.highMs);
  expect(await statusOf(secondaryDaemon)).toMatchObject({ mayFailOver: false });
  expect(secondaryDaemon.eventsOf('fence')).toEqual([]);
  expect(primary.running).toBe(true);
});

it('a primary that was fenced and is started again is held, then stopped', async () => {
  // H8: two copies ran, and the remedy that was printed killed the good one.
  const { pair, network } = await protectedPair({ fences: { primary: 'false', secondary: FENCE } });
  const { secondaryDaemon } = pair;
  await network.cut('drop');
  await until('the takeover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
  await pair.primaryDaemon.kill('SIGKILL');

  await pair.rebootPrimary();
  await pair.startPrimaryDaemon();
  await until('the guest to be held', async () => {
    return (await statusOf(pair.primaryDaemon))['state'] === 'held';
  });
  await until('the guest to stand still', async () => !(await runs(pair.primary)));
  await network.mend();
  await until('it to know', async () => {
    return (await statusOf(pair.primaryDaemon)).record.word === 'outdated';
  });
  expect(await runs(pair.primary)).toBe(false);
  expect(await runs(pair.secondary)).toBe(true);
});
