/** The daemons with `engine: vsmr`, and a real pair: no COLO, no preloaded library. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { findGuest, GANNET_BIN, LabPair } from '@gannet/lab';
import { afterEach, expect, test } from '@jest/globals';

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

test('protect, checkpoints, kill -9 of the primary, failover, nothing lost', async () => {
  pair = await LabPair.create({
    ...{ guest: await findGuest(), engine: 'vsmr', disks: 2, fillMb: 4, periodMs: 500 },
    qemu: process.env['GANNET_QEMU'],
    machine: { type: 'q35' },
  });
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  expect(await errorsIn(pair.primaryDaemon.configPath)).toEqual([]);
  await pair.protect();
  await pair.waitForCommits(3);
  const { client } = pair.primaryDaemon;
  expect(await client.call('checkpoint')).toMatchObject({ about: { engine: 'vsmr' } });
  await sleep(300);

  await pair.primary.kill('SIGKILL');
  await pair.failOver();
  const writesAtFailover = pair.secondary.oracle.writes;
  await sleep(500);
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  expect(digests).toHaveLength(pair.regionCount);
  expect(pair.secondary.oracle.writes).toBeGreaterThan(writesAtFailover);
});

/** What `gannet check` finds that is in the way. */
function errorsIn(config: string): Promise<unknown[]> {
  const args = [GANNET_BIN, 'check', '--json', '--config', config];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, (error, stdout, stderr) => {
      if (stdout === '') return reject(new Error(stderr, { cause: error }));
      const { findings } = JSON.parse(stdout) as { findings: { severity: string }[] };
      resolve(findings.filter(({ severity }) => severity === 'error'));
    });
  });
}
