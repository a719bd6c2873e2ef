import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import { type DiskFault, DiskFaults, findGuest, LabPair, type LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

// The policy of docs/internals/integrity.md, "Disk trouble", on one real pair under load. The
// secondary's disk fails on command. The tests are one life of the pair, in this order.

const MIB = 1024 * 1024;
const BIN = path.resolve(import.meta.dirname, '../../../packages/gannet/dist/bin.js');
const PROBE_AT = 40 * MIB;
const PROBE_BYTES = MIB;
/** As LabPair names it. */
const BASE = 'base0-0.raw';
const run = promisify(execFile);
const { until } = waiting({ patienceMs: 60_000 });

type Json = Record<string, unknown>;

let faults: DiskFaults;
let pair: LabPair;
/** What was written last beside the guest, on the primary, where no oracle writes. */
let probe = 0;

beforeAll(async () => {
  const guest = await findGuest();
  pair = await LabPair.create({ guest, periodMs: 300, fillMb: 8, env: () => faults.env });
  faults = await DiskFaults.create(pair.dir);
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
});
afterAll(async () => {
  await faults.close();
  await pair.dispose();
});

async function statusOf(role: 'primary' | 'secondary'): Promise<Json> {
  const daemon = role === 'primary' ? pair.primaryDaemon : pair.secondaryDaemon;
  return await daemon.client.call('status');
}

/** Of `gannet status` on the secondary's host. */
async function exitOfStatus(): Promise<unknown> {
  const command = [BIN, 'status', '--config', pair.secondaryDaemon.configPath];
  return run(process.execPath, command).then(
    () => 0,
    (error: unknown) => (error as { code: unknown }).code,
  );
}

async function writeProbe(vm: LabVm): Promise<void> {
  probe++;
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const request = `write -P ${probe} ${PROBE_AT} ${PROBE_BYTES}`;
    const line = `qemu-io -d /machine/peripheral/vb0/virtio-backend "${request}"`;
    await qmp.executeRaw('human-monitor-command', { 'command-line': line });
  } finally {
    await qmp.close();
  }
}

/** What the secondary VM would read where the probe is. */
async function readProbe(): Promise<number[]> {
  const socket = path.join(pair.dir, 'replica0.nbd');
  const client = await NbdClient.connect({ path: socket }, { export: 'svm' });
  try {
    return [...new Set(await client.read(PROBE_AT, PROBE_BYTES))];
  } finally {
    client.destroy();
  }
}

async function expectWell(...vms: LabVm[]): Promise<void> {
  for (const vm of vms) {
    await vm.oracle.waitForWrites(50, { signal: vm.gone });
    expect(vm.oracle.clean).toBe(true);
  }
}

function troubles(code: string): Json[] {
  return pair.secondaryDaemon.eventsOf('trouble').filter((event) => event['code'] === code);
}

/**
 * The fault is on, the pair works on for some commits, and the pages that the base does not take
 * are read right.
 */
async function worksOnUnder(fault: DiskFault): Promise<void> {
  await faults.begin(fault);
  await writeProbe(pair.primary);
  await pair.waitForCommits(pair.commits.length + 3);
  expect(await readProbe()).toEqual([probe]);
  expect(await statusOf('secondary')).toMatchObject({ state: 'protected', mayFailOver: true });
  await expectWell(pair.primary, pair.secondary);
  expect(await faults.hits()).toBeGreaterThan(0);
}

async function isWritten(): Promise<void> {
  const backlogged = Number(pair.commits.at(-1)?.['epoch']);
  await until(
    () => pair.secondaryDaemon.eventsOf('write-back').at(-1) as { epochs?: number[] } | undefined,
    (batch) => (batch?.epochs?.at(-1) ?? 0) >= backlogged,
  );
  expect(await statusOf('secondary')).toMatchObject({ baseTrouble: null });
  const image = await readFile(pair.bases[0]!);
  expect([...new Set(image.subarray(PROBE_AT, PROBE_AT + PROBE_BYTES))]).toEqual([probe]);
}

it('EIO while it seeds: the copy is refused by name, the primary runs on as before', async () => {
  await faults.begin({ file: BASE, error: 'EIO' });
  await expect(pair.protect()).rejects.toMatchObject({
    code: 'GANNET_STAGE_FAILED',
    message: expect.stringMatching(
      new RegExp(`^stage seed: .*the secondary says: .*${BASE}: write at byte .*EIO`),
    ),
    remedy: expect.stringMatching(/replica's base.*protect again/),
  });
  expect(troubles('REPLICA_BASE_IO').length).toBeGreaterThan(0);
  await expectWell(pair.primary);
});

it('short writes while it seeds are gone on with', async () => {
  await faults.begin({ file: BASE, shortBytes: 30_000 });
  await pair.protect();
  expect(await faults.hits()).toBeGreaterThan(100);
  await faults.lift();
  await pair.waitForCommits(3);
  expect(await exitOfStatus()).toBe(0);
});

it.each<[string, DiskFault, RegExp]>([
  ['EIO', { file: BASE, error: 'EIO' }, /write at byte \d+ failed: EIO/],
  ['ENOSPC', { file: BASE, error: 'ENOSPC' }, /write at byte \d+ failed: ENOSPC/],
  [
    'a failing fdatasync',
    { file: BASE, on: ['sync'], error: 'EIO' },
    /fdatasync at byte 0 failed: EIO/,
  ],
  ['writes that are lost', { file: BASE, loses: true }, /fdatasync at byte 0 failed: EIO/],
])('%s during write-back: told and tried again, until all is written', async (_, fault, words) => {
  const before = troubles('REPLICA_BASE_IO').length;
  await worksOnUnder(fault);
  const { baseTrouble } = await until(
    () => statusOf('secondary'),
    (status) => status['baseTrouble'] !== null,
  );
  expect(baseTrouble).toMatch(words);
  await until(
    () => statusOf('primary'),
    (status) => words.test(JSON.stringify(status)),
  );
  await until(
    () => troubles('REPLICA_BASE_IO').slice(before),
    (events) => events.some(({ attempt }) => Number(attempt) >= 1),
  );
  expect(troubles('REPLICA_BASE_IO').at(-1)).toMatchObject({
    remedy: expect.stringContaining('Write-back retries'),
  });
  await faults.lift();
  await isWritten();
});

it.each<[string, DiskFault]>([
  ['short writes', { file: BASE, shortBytes: 1000 }],
  ['a slow base', { file: BASE, on: ['write', 'sync'], delayMs: 100 }],
])('%s during write-back are waited for', async (_, fault) => {
  const before = troubles('REPLICA_BASE_IO').length;
  await worksOnUnder(fault);
  await faults.lift();
  await isWritten();
  expect(troubles('REPLICA_BASE_IO')).toHaveLength(before);
});

it('at the failover: journal, state file and base fail in turn; nothing is lost', async () => {
  const { primary, secondary, secondaryDaemon } = pair;
  await faults.begin({ file: 'lab.journal', error: 'ENOSPC' });
  await primary.kill('SIGKILL');
  await expect(pair.failOver()).rejects.toMatchObject({
    code: 'REPLICA_JOURNAL_IO',
    message: expect.stringMatching(/lab.journal can't be created: ENOSPC/),
    remedy:
      'Check the disk and the free space of its folder. Then run `gannet failover lab` again.',
  });
  // Its flushes wait, and all that does not: nothing is refused to it.
  const { baseTrouble } = await statusOf('secondary');
  expect(baseTrouble).toMatch(/lab.journal can't be created: ENOSPC/);
  expect(await exitOfStatus()).toBe(3);
  await faults.begin({ file: 'lab.journal', on: ['sync'], error: 'EIO' });
  await until(
    () => statusOf('secondary'),
    (status) => /lab.journal can't be \w+: EIO/.test(String(status['baseTrouble'])),
  );
  await faults.begin({ file: '.new', error: 'ENOSPC' });
  await expect(pair.failOver()).rejects.toMatchObject({
    code: 'REPLICA_BASE_IO',
    message: expect.stringMatching(/raw.gannet can't be written: ENOSPC/),
    remedy:
      'Make its folder writable and give it free space. Then run `gannet failover lab` again.',
  });
  expect(await statusOf('secondary')).toMatchObject({ state: 'failed-over' });
  expect(secondaryDaemon.eventsOf('failover-durable')).toHaveLength(0);

  await faults.begin({ file: BASE, error: 'EIO' });
  const done = secondaryDaemon.client.call('failover', { force: false });
  await until(
    () => statusOf('secondary'),
    (status) => /raw: write at byte \d+ failed: EIO/.test(String(status['baseTrouble'])),
  );
  await expectWell(secondary);
  await faults.lift();
  await done;
  expect(await statusOf('secondary')).toMatchObject({ state: 'retired', baseTrouble: null });
  await expectWell(secondary);
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
});
