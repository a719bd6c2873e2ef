import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { FAILOVER_EVIDENCE } from '@gannet/contract';
import { findGuest, LabPair, type LabPairOptions } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { withQmp } from './support.js';

// Somebody else changes a protected VM's disks, or its migration. The daemons say so, and the
// protection can be taken away, or the secondary takes over.

const { until } = waiting({ patienceMs: 60_000 });

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

async function protectedPair(options: Partial<LabPairOptions>): Promise<LabPair> {
  pair = await LabPair.create({ guest: await findGuest(), periodMs: 300, ...options });
  await pair.startProtected(2);
  return pair;
}

/** The protection has ended, and the guest goes on, on its own disk. */
async function expectAlone({ primary, primaryDaemon, secondaryDaemon }: LabPair): Promise<void> {
  await until(
    () => primaryDaemon.client.call('status'),
    ({ state }) => state === 'alone',
  );
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ state }) => state === 'diverged',
  );
  const nodes = await withQmp(primary, (qmp) => qmp.execute('query-named-block-nodes', {}));
  expect(nodes.map((node) => node['node-name'])).not.toContain('disk0-link');
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

it.each(['replication', 'nbd'])('an external snapshot, link %s', async (link) => {
  const { primary, primaryDaemon, dir } = await protectedPair({ link });
  await withQmp(primary, (qmp) =>
    qmp.executeRaw('blockdev-snapshot-sync', {
      ...{ 'node-name': 'quorum0', 'snapshot-node-name': 'over' },
      'snapshot-file': path.join(dir, 'over.qcow2'),
    }),
  );
  const [lost] = await until(
    () => primaryDaemon.eventsOf('secondary-lost'),
    (events) => events.length > 0,
  );
  expect(lost?.reason).toMatch(/vb0 has lost its replica/);
  await expectAlone(pair as LabPair);
});

it('a mirror that is completed: the guest is stopped, and the secondary takes over', async () => {
  const { primary, primaryDaemon, secondaryDaemon } = await protectedPair({
    link: 'mirror',
    secondary: { failover: 'automatic' },
    config: () => ({ fence: { command: ['/bin/false'] } }),
  });
  await withQmp(primary, (qmp) => qmp.executeRaw('block-job-complete', { device: 'disk0-seed' }));
  const [failed] = await until(
    () => primaryDaemon.eventsOf('disk-failed'),
    (events) => events.length > 0,
  );
  expect(failed?.reason).toMatch(/somebody completed the mirror of vb0 .* gets no more writes/);
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ state }) => state === 'retired',
  );
  expect(secondaryDaemon.eventsOf('failover-begins')).toMatchObject([
    { evidence: FAILOVER_EVIDENCE.yielding },
  ]);
  for (const daemon of [primaryDaemon, secondaryDaemon])
    expect(daemon.eventsOf('fence')).toEqual([]);
  const { running } = await withQmp(primary, (qmp) => qmp.execute('query-status', {}));
  expect(running).toBe(false);
  const { digests, isClean } = await (pair as LabPair).compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
});

describe("somebody's migration of the primary", () => {
  /** Whether QEMU does not know of COLO any more. */
  async function meddle({ primary }: LabPair, command: string): Promise<boolean> {
    return withQmp(primary, async (qmp) => {
      const args = command === 'migrate' ? { uri: 'exec:cat >/dev/null' } : {};
      await qmp.executeRaw(command, args).catch(() => undefined);
      return (await qmp.execute('query-colo-status', {})).mode === 'none';
    });
  }

  it.each(['migrate', 'migrate_cancel'])('%s: the state is true, detach ends', async (command) => {
    const pair = await protectedPair({ link: 'replication', periodMs: 2000 });
    const { primary, primaryDaemon } = pair;
    const hasForgotten = await meddle(pair, command);
    if (hasForgotten) {
      // Long before the next checkpoint would show it.
      await until(
        () => primaryDaemon.eventsOf('secondary-lost'),
        (events) => events.length > 0,
      );
      expect(primaryDaemon.eventsOf('secondary-lost')).toMatchObject([
        { reason: expect.stringMatching(/somebody began a migration/) },
      ]);
      await expectAlone(pair);
      expect(primaryDaemon.eventsOf('trouble')).toMatchObject([{ code: 'DRIVER_COLO_NOT_LEFT' }]);
      await expect(primaryDaemon.client.call('detach', {})).rejects.toMatchObject({
        code: 'GANNET_REFUSED',
      });
      await expect(primaryDaemon.client.call('protect', {})).rejects.toMatchObject({
        message: expect.stringMatching(/a migration is under way/),
      });
    } else {
      // Refused, or COLO is there as before: the protection goes on, or ends as by a broken link.
      await pair.primary.oracle.waitForWrites(100, { signal: primary.gone });
      const { state } = await primaryDaemon.client.call('status');
      if (state === 'protected') await primaryDaemon.client.call('detach', {});
    }
    await until(
      () => primaryDaemon.client.call('status'),
      ({ state }) => state === 'alone' || (state === 'unprotected' && !hasForgotten),
    );
    await primary.oracle.waitForWrites(100, { signal: primary.gone });
    expect(primary.oracle.clean).toBe(true);
  });
});
