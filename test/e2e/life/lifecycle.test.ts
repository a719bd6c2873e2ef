import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, type LabDaemon, LabPair, type LabPairOptions } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { type Footprint, footprintOf } from '../../faults/soak/footprint.js';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectPrimaryWell, expectSurvivorWhole } from '../guests.js';
import { rows } from '../rows.js';

/** `make long` goes round more often. */
const CIRCLES = rows([3], [5]).at(-1) ?? 0;
const PERIOD_MS = 500;
const PATIENCE_MS = 30_000;

type Json = Record<string, unknown>;

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

async function protectedPair(options: Partial<LabPairOptions> = {}): Promise<LabPair> {
  pair = await LabPair.create({ guest: await findGuest(), periodMs: PERIOD_MS, ...options });
  await pair.startProtected(3);
  return pair;
}

const { untilSo: until } = waiting({ patienceMs: PATIENCE_MS });

async function statusOf(daemon: LabDaemon): Promise<Json> {
  return await daemon.client.call('status');
}

async function expectKillSurvived(running: LabPair): Promise<void> {
  await running.primary.kill('SIGKILL');
  await running.failOver();
  await expectSurvivorWhole(running);
}

/** Node names and edges of the primary's block graph. */
async function graphOf({ primary }: LabPair): Promise<unknown> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: primary.qmpPaths[0] } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
    const jobs = await qmp.execute('query-block-jobs');
    return { nodes: nodes.map((node) => node['node-name']).sort(), jobs };
  } finally {
    await qmp.close();
  }
}

describe('the circle', () => {
  it(`goes round ${CIRCLES} times: kill, fail over, protect the survivor again`, async () => {
    const running = await protectedPair();
    const footprints: ({ nodes: number } & Footprint)[] = [];
    for (let circle = 1; ; circle++) {
      await running.waitForCommits(3);
      await running.primary.kill('SIGKILL');
      await running.failOver();
      await running.secondary.oracle.waitForWrites(100, { signal: running.secondary.gone });
      expect(running.secondary.oracle.clean).toBe(true);
      if (circle === CIRCLES) break;
      await running.advance();
      const { nodes } = (await graphOf(running)) as { nodes: string[] };
      const footprint = await footprintOf(running.primary.pid);
      if (footprint) footprints.push({ nodes: nodes.length, ...footprint });
      await running.startSecondary();
      await running.reprotect();
    }
    await expectSurvivorWhole(running);
    // Each survivor is one circle older than the one before: none of this may grow.
    expect(footprints).toHaveLength(CIRCLES - 1);
    const [first, ...later] = footprints;
    for (const { nodes, descriptors, rssMib } of later) {
      expect(nodes).toBe(first?.nodes);
      expect(descriptors).toBeLessThanOrEqual((first?.descriptors ?? 0) + 2);
      expect(rssMib).toBeLessThanOrEqual((first?.rssMib ?? 0) * 1.3);
    }
  });

  it('goes round a VM without use of its quorum: the mirror is the link', async () => {
    const running = await protectedPair({ link: 'mirror' });
    await running.primary.kill('SIGKILL');
    await running.failOver();
    await running.advance();
    await running.startSecondary();
    await running.reprotect();
    await running.waitForCommits(3);
    await expectKillSurvived(running);
  });
});

describe('a primary that loses its secondary runs on alone', () => {
  type Loss = [name: string, lose: (pair: LabPair) => unknown];
  const losses = rows<Loss>(
    [
      ['its VM hangs', ({ secondary }) => secondary.sigstop()],
      ['its daemon hangs', ({ secondaryDaemon }) => secondaryDaemon.stop()],
    ],
    [
      ['its daemon is killed', ({ secondaryDaemon }) => secondaryDaemon.kill('SIGKILL')],
      ['its VM is killed', ({ secondary }) => secondary.kill('SIGKILL')],
      ['its daemon is asked to end', ({ secondaryDaemon }) => secondaryDaemon.kill('SIGTERM')],
    ],
  );

  it.each(losses)('%s', async (name, lose) => {
    const running = await protectedPair();
    await lose(running);
    const { primaryDaemon } = running;
    await until('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
    await expectPrimaryWell(running);
    expect(await statusOf(primaryDaemon)).toMatchObject({ state: 'alone', primaryVm: 'ready' });
    // Who can hear it knows by now that this replica must never take over.
    const [alone] = primaryDaemon.eventsOf('alone');
    expect(alone?.['secondaryKnows']).toBe(
      !name.includes('daemon is killed') && !name.includes('daemon hangs'),
    );
    if (name.includes('its VM')) {
      expect(await statusOf(running.secondaryDaemon)).toMatchObject({ state: 'diverged' });
    }
  });

  it.each(rows(['mirror'], ['replication', 'nbd']))(
    'and can be protected again (%s)',
    async (link) => {
      const running = await protectedPair({ link });
      await running.secondaryDaemon.kill('SIGKILL');
      const { primaryDaemon } = running;
      await until('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
      await running.replaceSecondary();
      await running.reprotect();
      await running.waitForCommits(3);
      await expectKillSurvived(running);
    },
  );
});

describe('detach', () => {
  it('leaves everything as it was, and a replica that never takes over', async () => {
    pair = await LabPair.create({ guest: await findGuest(), periodMs: PERIOD_MS });
    await pair.bootPrimary();
    const before = await graphOf(pair);
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    await pair.protect();
    await pair.waitForCommits(3);
    const status = await pair.primaryDaemon.client.call('detach');
    expect(status).toMatchObject({ state: 'unprotected' });
    expect(await graphOf(pair)).toEqual(before);
    await expectPrimaryWell(pair);
    expect(await statusOf(pair.secondaryDaemon)).toMatchObject({ state: 'diverged' });
    await expect(
      pair.secondaryDaemon.client.call('failover', { force: true }),
    ).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
  });
});

describe('never both', () => {
  it('a secondary whose links are cut does not take over without proof', async () => {
    const running = await protectedPair();
    // The primary's host is as good as cut off: its daemon hangs, its QEMU hangs, nothing is
    // closed.
    running.primaryDaemon.stop();
    running.primary.sigstop();
    const { secondaryDaemon } = running;
    await until('the pulse to be lost', async () => {
      const { peer } = (await statusOf(secondaryDaemon)) as { peer: { pulse: string } };
      return peer.pulse === 'lost';
    });
    const refused = secondaryDaemon.client.call('failover', { force: false });
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED', exit: 'refused' });
    expect(secondaryDaemon.eventsOf('failover')).toEqual([]);
  });

  it('with a fence it makes sure, and takes over by itself', async () => {
    const running = await protectedPair({
      // Only a primary that has a fence too has not gone on alone unseen.
      config: (role) => {
        const command = role === 'primary' ? 'false' : 'kill -9 "$FENCED"';
        return { fence: { command: ['sh', '-c', command] } };
      },
      secondary: { failover: 'automatic' },
      env: () => ({ FENCED: String(pair?.primary.pid) }),
    });
    running.primaryDaemon.stop();
    running.primary.sigstop();
    const { secondaryDaemon } = running;
    await until('the failover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
    expect(secondaryDaemon.eventsOf('fence')).toMatchObject([
      { target: 'primary', succeeded: true },
    ]);
    expect(running.primary.running).toBe(false);
    await expectSurvivorWhole(running);
  });

  it('a fence that fails keeps the secondary waiting', async () => {
    const running = await protectedPair({
      config: () => ({ fence: { command: ['false'] } }),
      secondary: { failover: 'automatic' },
    });
    await running.primaryDaemon.kill('SIGKILL');
    await running.primary.kill('SIGKILL');
    const { secondaryDaemon } = running;
    await until('the fence', () => secondaryDaemon.eventsOf('fence').length > 0);
    expect(secondaryDaemon.eventsOf('fence')[0]).toMatchObject({ succeeded: false });
    expect(await statusOf(secondaryDaemon)).toMatchObject({ state: 'protected' });
  });
});

describe('a primary daemon that is restarted', () => {
  it('finds the running protection again and goes on', async () => {
    const running = await protectedPair();
    expect(await running.primaryDaemon.kill('SIGTERM')).toBe(0);
    await running.startPrimaryDaemon();
    await until('the protection to be found', async () => {
      return (await statusOf(running.primaryDaemon))['state'] === 'protected';
    });
    const before = running.commits.length;
    await running.primaryDaemon.client.call('checkpoint');
    expect(running.commits.length).toBeGreaterThan(before);
    await running.primary.kill('SIGKILL');
    await running.failOver();
    const { isClean } = await running.compare();
    expect(isClean).toBe(true);
  });
});
