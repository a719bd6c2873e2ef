import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Cut, LabPair } from '@gannet/lab';
import { executes } from '../../faults/processes.js';
import { rows } from '../rows.js';
import { FENCE, PEER, TwoHostPair, type TwoHostPairOptions } from '../../faults/two-host-pair.js';

// The table of docs/explanation/failover.md, run on two hosts with a cable between them.

const PERIOD_MS = 300;
const PATIENCE_MS = 30_000;

type Link = 'nbd' | 'migration' | 'peer';
type Json = Record<string, unknown>;

let bench: TwoHostPair | undefined;
afterEach(async () => {
  await bench?.dispose();
  bench = undefined;
});

async function protectedPair(options: Partial<TwoHostPairOptions> = {}): Promise<TwoHostPair> {
  bench = await TwoHostPair.create({ periodMs: PERIOD_MS, ...options });
  await bench.start();
  await bench.protect();
  return bench;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !isSo();) {
    if (performance.now() - startMs > PATIENCE_MS) {
      const { primaryDaemon, secondaryDaemon } = bench?.pair ?? {};
      const log = `${primaryDaemon?.logTail ?? ''}\n\n${secondaryDaemon?.logTail ?? ''}`;
      throw new Error(`timed out waiting for ${what}\n${log}`);
    }
    await sleep(20);
  }
}

/** Long enough for whoever might act late. */
const settle = (): Promise<void> => sleep(2 * PEER.highMs);

async function stateOf(daemon: LabPair['primaryDaemon']): Promise<Json> {
  return await daemon.client.call('status');
}

const fencesOf = (daemon: LabPair['primaryDaemon']): Json[] =>
  daemon.eventsOf('fence').map(({ target, succeeded }) => ({ target, succeeded }));

async function expectPrimaryWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(50, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

describe('the primary runs on, and its secondary never will', () => {
  type Fault = { how: Cut; links: Link[]; known: boolean; link?: string };
  const faults = rows<Fault>(
    [
      { how: 'drop', links: ['nbd'], known: true, link: 'mirror' },
      { how: 'drop', links: ['peer'], known: false },
      { how: 'drop', links: ['nbd', 'migration', 'peer'], known: false },
    ],
    [
      { how: 'reset', links: ['migration'], known: true },
      { how: 'drop', links: ['nbd'], known: true },
      { how: 'drop', links: ['migration'], known: true },
      { how: 'reset', links: ['nbd'], known: true },
      { how: 'reset', links: ['nbd', 'migration', 'peer'], known: false },
    ],
  );
  const named = faults.map((fault) => ({
    ...fault,
    name: `${fault.links.join(', ')}: ${fault.how}${fault.link ? ` (${fault.link})` : ''}`,
  }));

  it.each(named)('$name', async ({ how, links, known, link }) => {
    const { pair, network } = await protectedPair(link === undefined ? {} : { link });
    const { primary, secondary, primaryDaemon, secondaryDaemon } = pair;
    await network.cut(how, ...links);
    await until('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
    await expectPrimaryWell(pair);
    // Who has been told never will; who could not be might.
    if (!known) await settle();

    expect(primaryDaemon.eventsOf('alone')).toMatchObject([{ secondaryKnows: known }]);
    expect(fencesOf(primaryDaemon)).toEqual(
      known ? [] : [{ target: 'secondary', succeeded: true }],
    );
    expect(secondary.running).toBe(known);
    expect(fencesOf(secondaryDaemon)).toEqual([]);
    expect(secondaryDaemon.eventsOf('failover-begins')).toEqual([]);
    expect(await stateOf(primaryDaemon)).toMatchObject({ state: 'alone', primaryVm: 'ready' });
    expect(bench?.bothRan).toBeUndefined();

    // Whoever could not be told hears of it when the cable is whole again.
    await network.mend();
    await until('the secondary to be outdated', () =>
      secondaryDaemon.eventsOf('state').some(({ to }) => to === 'diverged'),
    );
    await expect(secondaryDaemon.client.call('failover', { force: true })).rejects.toMatchObject({
      exit: 'refused',
    });
    await expectPrimaryWell(pair);
    expect(executes(primary.pid)).toBe(true);
  });
});

describe('the secondary takes over, and its primary is dead by then', () => {
  it('everything is cut and the primary host hangs', async () => {
    const { pair, network } = await protectedPair();
    const { primary, secondaryDaemon } = pair;
    await network.cut('drop');
    pair.primaryDaemon.stop();
    primary.sigstop();
    await until('the takeover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
    expect(fencesOf(secondaryDaemon)).toEqual([{ target: 'primary', succeeded: true }]);
    expect(primary.running).toBe(false);
    await expectTakenOver(pair);
  });

  it('everything is cut and the primary cannot fence', async () => {
    const { pair, network } = await protectedPair({
      fences: { primary: 'false', secondary: FENCE },
    });
    const { primary, primaryDaemon, secondaryDaemon } = pair;
    await network.cut('drop');
    await until('the takeover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
    expect(fencesOf(primaryDaemon)[0]).toEqual({ target: 'secondary', succeeded: false });
    expect(primaryDaemon.eventsOf('alone')).toEqual([]);
    expect(primary.running).toBe(false);
    await expectTakenOver(pair);
  });
});

async function expectTakenOver(pair: LabPair): Promise<void> {
  expect(bench?.bothRan).toBeUndefined();
  await pair.secondary.oracle.waitForWrites(50, { signal: pair.secondary.gone });
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
}

describe('nobody acts', () => {
  it('when everything is cut and neither can fence: an operator has to', async () => {
    const { pair, network } = await protectedPair({
      fences: { primary: 'false', secondary: 'false' },
    });
    const { primaryDaemon, secondaryDaemon } = pair;
    await network.cut('drop');
    await until('both to try', () =>
      [primaryDaemon, secondaryDaemon].every((daemon) => daemon.eventsOf('fence').length > 0),
    );
    await settle();
    expect(primaryDaemon.eventsOf('fence').filter(({ succeeded }) => succeeded)).toEqual([]);
    expect(secondaryDaemon.eventsOf('failover-begins')).toEqual([]);
    expect(primaryDaemon.eventsOf('alone')).toEqual([]);
    const refused = secondaryDaemon.client.call('failover', {});
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(bench?.bothRan).toBeUndefined();

    // The operator sees to it, and says so.
    await pair.secondary.kill('SIGKILL');
    await expect(primaryDaemon.client.call('failover')).rejects.toMatchObject({
      ...{ code: 'GANNET_REFUSED', remedy: expect.stringContaining('--force') },
    });
    await primaryDaemon.client.call('failover', { force: true });
    await expectPrimaryWell(pair);
  });
});
