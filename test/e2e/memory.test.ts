import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, LabPair } from 'gannet/lab';

const MIB = 1024 * 1024;
const CHECKPOINTS = 8;

describe('I7 bounded memory', () => {
  let pair: LabPair | undefined;
  afterEach(async () => {
    await pair?.dispose();
    pair = undefined;
  });

  it('a pair under load stays within its budget: checkpoints are asked for, no write fails', async () => {
    // No checkpoint is due by time. Whether one comes before writes are slowed depends on the machine.
    pair = await LabPair.create({
      guest: await findGuest(),
      periodMs: 600_000,
      secondary: { memory: { soft: 2 * MIB, hard: 3 * MIB } },
    });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    await pair.protect();
    const { secondaryDaemon } = pair;
    const rssAtStart = await rssBytes(secondaryDaemon.pid);
    await pair.waitForCommits(CHECKPOINTS);
    const status = (await secondaryDaemon.client.call('status', {})) as Status;
    const rss = await rssBytes(secondaryDaemon.pid);

    expect(secondaryDaemon.eventsOf('memory-pressure').length).toBeGreaterThanOrEqual(
      CHECKPOINTS - 2,
    );
    expect(status.state).toBe('protected');
    expect(status.link).toBe('connected');
    expect(rss - rssAtStart).toBeLessThan(64 * MIB);

    await pair.primary.kill('SIGKILL');
    await pair.failOver();
    const { digests, isClean } = await pair.compare();
    expect(pair.primary.oracle.mismatches).toEqual([]);
    expect(pair.primary.oracle.errors).toEqual([]);
    expect(pair.secondary.oracle.mismatches).toEqual([]);
    expect(pair.secondary.oracle.errors).toEqual([]);
    expect(isClean).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  });
});

interface Status {
  readonly state: string;
  readonly link: string;
}

async function rssBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
