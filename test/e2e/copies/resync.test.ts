import { afterEach, expect, it } from '@jest/globals';
import type { PrimaryStatus } from '@gannet/contract';
import { findGuest, LabPair, type LabPairOptions } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { expectSurvivorWhole } from '../guests.js';
import { rows } from '../rows.js';

const MIB = 1024 * 1024;
const DISK_MB = 256;
const FILL_MB = 128;
const LOSSES = 3;

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

const { untilSo } = waiting({ patienceMs: 60_000 });

async function statusOf({ primaryDaemon }: LabPair): Promise<PrimaryStatus> {
  const status = await primaryDaemon.client.call('status', {});
  if (status.role !== 'primary') throw new Error('it is no primary');
  return status;
}

/** Waits until the secondary has reported a basis that a bitmap of the primary covers. */
async function untilRecorded({ secondaryDaemon }: LabPair): Promise<void> {
  await untilSo('some epochs to be on stable storage', () => {
    return secondaryDaemon.eventsOf('write-back').length > 2;
  });
}

const pairs = rows<Partial<LabPairOptions>>(
  [{ link: 'replication', disks: 2 }],
  [{ link: 'nbd' }, { link: 'mirror', local: { format: 'qcow2' } }, { engine: 'vsmr' }],
);

it.each(pairs)(
  'a secondary that is lost again and again gets what changed: %j',
  async (options) => {
    const disks = options.disks ?? 1;
    const size = { diskMb: DISK_MB, fillMb: FILL_MB };
    pair = await LabPair.create({ guest: await findGuest(), periodMs: 500, ...size, ...options });
    const running = pair;
    await running.startProtected(3);
    const { primary, primaryDaemon } = running;
    const { client } = primaryDaemon;
    expect(await statusOf(running)).toMatchObject({ lastCopy: { how: 'whole' } });

    for (let loss = 1; loss <= LOSSES; loss++) {
      await untilRecorded(running);
      await running.secondaryDaemon.kill('SIGKILL');
      await untilSo('it to run alone', async () => (await statusOf(running)).state === 'alone');
      await primary.oracle.waitForWrites(200, { signal: primary.gone });
      await running.replaceSecondary();
      const startMs = performance.now();
      await running.protect();
      const ms = Math.round(performance.now() - startMs);
      const { lastCopy } = await statusOf(running);
      console.log(
        `${JSON.stringify(options)}: loss ${loss}: ${ms} ms, ${JSON.stringify(lastCopy)}`,
      );
      expect(lastCopy).toMatchObject({ how: 'changes' });
      expect(primaryDaemon.eventsOf('resynced')).toHaveLength(loss);
      expect(lastCopy?.copiedBytes).toBeLessThan((disks * FILL_MB * MIB) / 2);
      await running.waitForCommits(3);
      const found = await client.call('verify', {});
      expect(found).toMatchObject({ isWhole: true, wrongBytes: 0, places: [] });
    }
    await primary.kill('SIGKILL');
    await running.failOver();
    await expectSurvivorWhole(running);
  },
);
