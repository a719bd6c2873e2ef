import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { FAILOVER_EVIDENCE } from '@gannet/contract';
import { findGuest, LabPair, SmallDisk } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { rows } from '../rows.js';
import { gannet, withQmp } from './support.js';

// The primary's own disk fails while the VM is protected: its image is on a file system that runs
// full. The guest stands still, and the secondary, which has every write, takes over.

const { until } = waiting({ patienceMs: 60_000 });

let small: SmallDisk;
let pair: LabPair | undefined;

beforeEach(async () => {
  small = await SmallDisk.mount('96m');
});
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
  await small.remove();
});

async function protectedPair(
  link: string,
  failover: 'automatic' | 'manual' = 'automatic',
): Promise<LabPair> {
  pair = await LabPair.create({
    ...{ guest: await findGuest(), link, periodMs: 500, localDir: small.dir },
    secondary: { failover },
    config: () => ({ fence: { command: ['/bin/false'] } }),
  });
  await pair.startProtected(3);
  return pair;
}

it.each(rows(['mirror'], ['replication', 'nbd']))(
  'link %s: the guest is stopped, the secondary takes over, and nothing is lost',
  async (link) => {
    const { primary, primaryDaemon, secondaryDaemon } = await protectedPair(link);
    await small.fillUp();

    const [failed] = await until(
      () => primaryDaemon.eventsOf('disk-failed'),
      (events) => events.length > 0,
    );
    expect(failed).toMatchObject({ device: 'vb0' });
    expect(failed?.reason).toMatch(/No space left on device|no space/i);
    await until(
      () => secondaryDaemon.client.call('status'),
      ({ state }) => state === 'retired',
    );
    expect(secondaryDaemon.eventsOf('failover-begins')).toMatchObject([
      { evidence: FAILOVER_EVIDENCE.yielding },
    ]);
    for (const daemon of [primaryDaemon, secondaryDaemon]) {
      expect(daemon.eventsOf('fence')).toEqual([]);
    }
    if (primary.running) {
      const { running } = await withQmp(primary, (qmp) => qmp.execute('query-status', {}));
      expect(running).toBe(false);
    } else {
      // A checkpoint began before the daemon heard of the error: see docs/how-to/guest-events.md.
      expect(link).toBe('mirror');
      expect(primary.stderrTail).toMatch(/invalid runstate transition: 'io-error' -> 'colo'/);
    }
    const shown = await gannet('status', '-c', primaryDaemon.configPath);
    expect(shown).toMatchObject({ code: 3, json: { state: 'superseded' } });

    const { digests, isClean } = await (pair as LabPair).compare();
    expect(isClean).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  },
);

it('failover manual: nothing lets the guest go on by accident; the operator decides', async () => {
  const { primary, primaryDaemon, secondaryDaemon } = await protectedPair('nbd', 'manual');
  const config = ['-c', primaryDaemon.configPath];
  const status = (): Promise<unknown> =>
    withQmp(primary, async (qmp) => (await qmp.execute('query-status', {})).running);
  const makeSpace = await small.fillUp();
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ peer }) => peer.status?.state === 'yielding',
  );
  expect(await gannet('status', ...config)).toMatchObject({
    ...{ code: 3, json: { state: 'yielding', primaryVm: 'ready' } },
  });
  expect(await status()).toBe(false);

  for (const command of ['detach', 'failover']) {
    const refused = await gannet(command, ...config);
    expect(refused.error).toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringMatching(/the secondary is to take over: .*vb0.*No space left/),
      remedy: expect.stringContaining('gannet failover'),
    });
  }
  // The usual answer to a full disk. The guest would read what is old.
  await makeSpace();
  const halts = primaryDaemon.eventsOf('yielding').length;
  await withQmp(primary, (qmp) => qmp.execute('cont', {}));
  await until(status, (running) => running === false);
  expect(primaryDaemon.eventsOf('alone')).toEqual([]);
  expect(primaryDaemon.eventsOf('yielding')).toHaveLength(halts);
  const before = pair?.commits.length;

  expect(await gannet('failover', '-c', secondaryDaemon.configPath)).toMatchObject({ code: 0 });
  expect(pair?.commits.length).toBe(before);
  const { digests, isClean } = await (pair as LabPair).compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  expect(await status()).toBe(false);
});

it('with --force the operator lets the guest go on, on the disk that failed', async () => {
  const { primary, primaryDaemon, secondaryDaemon } = await protectedPair('mirror', 'manual');
  const makeSpace = await small.fillUp();
  await until(
    () => primaryDaemon.client.call('status'),
    ({ state }) => state === 'yielding',
  );
  await makeSpace();
  const config = ['-c', primaryDaemon.configPath];
  expect(await gannet('detach', '--force', ...config)).toMatchObject({
    ...{ code: 0, json: { state: 'unprotected' } },
  });
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ state }) => state === 'diverged',
  );
  // With a mirror, the write that failed was not acknowledged, and is repeated.
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
});
