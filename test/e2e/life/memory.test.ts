import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DiskFaults, findGuest, LabPair } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';

const MIB = 1024 * 1024;
const BUDGET = 64 * MIB;
/** Of the process beside its buffers: receive blocks, what write-back has under way, garbage. */
const SLACK = 64 * MIB;
const { until } = waiting({ patienceMs: 60_000 });

interface Status {
  readonly state: string;
  readonly link: string;
  readonly buffers: { readonly spilled: number; readonly slowedWrites: number };
}

// No checkpoint is due by time, and once there have been some the bases take nothing for as long as
// the test wants. The primary is one and the same throughout: for each answer to a full memory it
// gets a new secondary.
describe('I7 bounded memory: a budget of 64 MiB under load', () => {
  const memory = { soft: BUDGET / 2, hard: BUDGET, onFull: 'slow' };
  let pair: LabPair;
  let faults: DiskFaults;
  /** Of the secondary's daemon, before anything is copied to it. */
  let idleBytes: number;

  beforeAll(async () => {
    const options = { disks: 2, periodMs: 600_000, secondary: { memory }, env: () => faults.env };
    pair = await LabPair.create({ guest: await findGuest(), ...options });
    faults = await DiskFaults.create(pair.dir);
    await pair.bootPrimary();
    await pair.startPrimaryDaemon();
  });
  afterAll(async () => {
    await faults.close();
    await pair.dispose();
  });

  async function status(): Promise<Status> {
    return (await pair.secondaryDaemon.client.call('status', {})) as Status;
  }

  /** At the soft limit checkpoints are asked for; then the bases take nothing any more. */
  async function fill(onFull: string): Promise<void> {
    memory.onFull = onFull;
    await pair.replaceSecondary();
    const { secondaryDaemon } = pair;
    idleBytes = await memoryOf(secondaryDaemon.pid, 'VmRSS');
    await pair.protect();
    // The first is COLO's start.
    await pair.waitForCommits(2);
    expect(secondaryDaemon.eventsOf('memory-pressure')).not.toEqual([]);
    await faults.begin({ file: '.raw', error: 'EIO' });
  }

  async function expectWithinBudget(): Promise<void> {
    const overIdle = (await memoryOf(pair.secondaryDaemon.pid, 'VmHWM')) - idleBytes;
    const [most, idle] = [overIdle, idleBytes].map((bytes) => Math.round(bytes / MIB));
    const { slowedWrites, spilled } = (await status()).buffers;
    process.stdout.write(
      `${memory.onFull}: at most ${most} MiB over the ${idle} MiB of an idle daemon; ` +
        `${pair.commits.length} checkpoints, ${slowedWrites} slowed writes, ` +
        `${Math.round(spilled / MIB)} MiB spilled\n`,
    );
    expect(overIdle).toBeLessThan(BUDGET + SLACK);
  }

  /** Both guests go on, and have met neither an error nor a wrong byte. */
  async function expectWell(): Promise<void> {
    for (const { oracle, gone } of [pair.primary, pair.secondary]) {
      await oracle.waitForWrites(10, { signal: gone });
      expect(oracle.clean).toBe(true);
    }
    expect(await status()).toMatchObject({ state: 'protected', link: 'connected' });
  }

  it('release: protection is given up in good order, and the primary runs on', async () => {
    await fill('release');
    const { primary, primaryDaemon } = pair;
    await until(status, ({ link }) => link.includes('hard limit'));
    await until(
      () => primaryDaemon.client.call('status', {}) as Promise<Status>,
      ({ state }) => state === 'alone',
    );
    await expectWithinBudget();
    expect((await status()).buffers).toMatchObject({ spilled: 0, slowedWrites: 0 });
    await primary.oracle.waitForWrites(100, { signal: primary.gone });
    expect(primary.oracle.clean).toBe(true);
    await faults.lift();
  });

  it('slow: writes wait, and none fails', async () => {
    await fill('slow');
    await until(status, ({ buffers }) => buffers.slowedWrites > 200);
    await expectWithinBudget();
    expect(await status()).toMatchObject({ state: 'protected', buffers: { spilled: 0 } });
    // Even the slowest of writes fill it in the end.
    await faults.lift();
    await pair.waitForCommits(pair.commits.length + 2);
    await expectWell();
    await pair.primaryDaemon.client.call('detach', {});
  });

  it('spill: a file takes what memory has no room for, and a takeover finds it there', async () => {
    await fill('spill');
    await until(status, ({ buffers }) => buffers.spilled > BUDGET / 2);
    await expectWell();
    await expectWithinBudget();
    await pair.primary.kill('SIGKILL');
    const moved = pair.failOver();
    await until(
      () => pair.secondaryDaemon.eventsOf('failover-durable'),
      (events) => events.length > 0,
    );
    await faults.lift();
    await moved;
    await expectWithinBudget();
    const { digests, isClean } = await pair.compare();
    expect(isClean).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
    expect(pair.primary.oracle.clean).toBe(true);
  });
});

async function memoryOf(pid: number | undefined, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}
