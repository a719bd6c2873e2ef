import { afterEach, expect, it } from '@jest/globals';
import { findGuest, LabPair } from '@gannet/lab';
import { graphOf, until } from './support.js';

// The disk has another name in the configuration when the primary's daemon is started again.

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

it.each(['replication', 'nbd', 'mirror'])(
  'link %s: the protection is adopted as it is, and let go without a rest',
  async (link) => {
    let disks: object = {};
    const made = await LabPair.create({
      ...{ guest: await findGuest(), link, periodMs: 500 },
      config: (role) => ({
        peer: { heartbeatMs: 100, lowMs: 800, highMs: 2000 },
        ...(role === 'primary' ? disks : {}),
      }),
    });
    pair = made;
    await made.bootPrimary();
    const before = await graphOf(made.primary);
    await made.startSecondary();
    await made.startPrimaryDaemon();
    await made.protect();
    await made.waitForCommits(3);

    await made.primaryDaemon.kill('SIGKILL');
    disks = { disks: [{ name: 'system', device: 'vb0' }] };
    await made.startPrimaryDaemon();
    const { primary, primaryDaemon } = made;
    expect(await primaryDaemon.client.call('status')).toMatchObject({ state: 'protected' });
    expect(primaryDaemon.eventsOf('trouble')).toMatchObject([
      { message: expect.stringContaining('vb0 is protected as disk0') },
    ]);
    await made.waitForCommits(made.commits.length + 3);
    expect(primaryDaemon.eventsOf('secondary-lost')).toEqual([]);

    // Nobody closes a connection: what is left of the link would hang.
    made.secondary.sigstop();
    made.secondaryDaemon.stop();
    await until(
      () => primaryDaemon.client.call('status'),
      ({ state }) => state === 'alone',
    );
    expect(await graphOf(primary)).toEqual(before);
    await primary.oracle.waitForWrites(100, { signal: primary.gone });
    expect(primary.oracle.clean).toBe(true);
  },
);
