/** The primary is dead, nobody has decided yet: the secondary may be the only copy of the VM. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, LabPair } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { rows } from '../rows.js';
import { gannet, type Json, MIB, PEER, until, withQmp } from './support.js';

/** As long as a guest without KVM takes for 16 MiB. */
const { until: untilFull } = waiting({ patienceMs: 300_000 });

let pair: LabPair;
afterEach(() => pair.dispose());

/** Protected, with little memory; then its primary is gone. */
async function alone(): Promise<void> {
  pair = await LabPair.create({
    guest: await findGuest(),
    disks: 2,
    periodMs: 1000,
    secondary: { memory: { soft: 8 * MIB, hard: 16 * MIB } },
    config: () => ({ peer: PEER }),
  });
  await pair.startProtected(3);
  await pair.primary.kill('SIGKILL');
}

async function status(): Promise<Json> {
  return (await gannet('status', ...onSecondary())).json;
}

const onSecondary = (): string[] => ['-c', pair.secondaryDaemon.configPath];

const waitingOf = (json: Json): Json => (json['waiting'] ?? {}) as Json;

describe('its guest writes on', () => {
  it('past hard it is stopped, nothing is lost, and a failover continues it', async () => {
    await alone();
    await untilFull(status, (json) => waitingOf(json)['guest'] === 'stopped');
    await until(
      () => withQmp(pair.secondary, (qmp) => qmp.execute('query-status', {})),
      (answer) => answer.status === 'paused',
    );
    const full = await status();
    expect(full).toMatchObject({ state: 'protected', mayFailOver: true });
    expect(waitingOf(full)).toMatchObject({ hardSeconds: 0, isLastCommitKept: true });
    const { primary, secondary, committed } = full['buffers'] as Record<string, number>;
    // What the guest had under way at that moment, each request up to a MiB, is beyond it.
    expect(primary! + secondary! + committed!).toBeLessThan(96 * MIB);
    expect(pair.secondaryDaemon.eventsOf('writes-held')).toHaveLength(1);
    await pair.failOver();
    const { oracle, gone } = pair.secondary;
    await oracle.waitForWrites(100, { signal: gone });
    const { digests, isClean } = await pair.compare();
    expect(isClean).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  }, 600_000);
});

describe('the last commit outlives', () => {
  type Way = [string, () => Promise<unknown>];
  const vmThenDaemon = async (): Promise<void> => {
    await pair.secondary.kill('SIGKILL');
    await until(status, ({ state }) => state === 'diverged');
    await pair.secondaryDaemon.kill('SIGTERM');
  };
  const ways = rows<Way>(
    [['a daemon that is killed', () => pair.secondaryDaemon.kill('SIGKILL')]],
    [
      ['a daemon that is asked to end', () => pair.secondaryDaemon.kill('SIGTERM')],
      ['the secondary VM, as when the kernel is out of memory', vmThenDaemon],
    ],
  );

  it.each(ways)('%s', async (_what, end) => {
    await alone();
    await until(status, (json) => waitingOf(json)['isLastCommitKept'] === true);
    const { epoch } = await status();
    await end();
    for (const base of pair.bases) {
      const record = JSON.parse(await readFile(`${base}.gannet`, 'utf8')) as Json;
      expect(record).toMatchObject({ epoch, lastCommit: true });
    }
    // Neither a service manager nor a person destroys it by a restart.
    await expect(pair.startDaemon('secondary')).rejects.toThrow(/it holds the last commit/);
    const refused = await gannet('recover', ...onSecondary());
    expect(refused.code).not.toBe(0);
    expect(refused.error['remedy']).toContain('gannet recover --last-commit');
    const recovered = await gannet('recover', ...onSecondary(), '--last-commit');
    expect(recovered.code).toBe(0);
    expect(recovered.json).toMatchObject({
      recovered: [{ state: 'retired' }, { state: 'retired' }],
    });
  });
});
