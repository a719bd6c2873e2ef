import { open } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import { findGuest, LabPair, type LabVm, SmallDisk } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';
import { rows } from '../rows.js';

// Bases on a file system of their own, which runs full.

const MIB = 1024 * 1024;
const PATIENCE_MS = 60_000;

type Json = Record<string, unknown>;

let small: SmallDisk;
let pair: LabPair | undefined;

beforeEach(async () => {
  small = await SmallDisk.mount('12m');
});
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
  await small.remove();
});

const { until } = waiting({ patienceMs: PATIENCE_MS });

/** Writes to a VM's disk, beside its guest. */
async function writeTo(vm: LabVm, request: string): Promise<void> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const line = {
      'command-line': `qemu-io -d /machine/peripheral/vb0/virtio-backend "${request}"`,
    };
    await qmp.executeRaw('human-monitor-command', line);
  } finally {
    await qmp.close();
  }
}

/** What the secondary VM would read. */
async function readAsSecondary(socket: string): Promise<Buffer> {
  const client = await NbdClient.connect({ path: socket }, { export: 'svm' });
  try {
    return Buffer.from(await client.read(20 * MIB, 2 * MIB));
  } finally {
    client.destroy();
  }
}

async function graphOf(vm: LabVm): Promise<unknown> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', {});
    const graph = await qmp.execute('x-debug-query-block-graph', {});
    const jobs = await qmp.execute('query-block-jobs', {});
    const { status } = await qmp.execute('query-status', {});
    return { nodes: nodes.map((node) => node['node-name']).sort(), graph, jobs, status };
  } finally {
    await qmp.close();
  }
}

async function expectWell(vm: LabVm): Promise<void> {
  await vm.oracle.waitForWrites(50, { signal: vm.gone });
  expect(vm.oracle.clean).toBe(true);
}

it.each(rows(['qcow2'], ['raw']))(
  'a %s base on a full file system: an error while it seeds, waited out when protected',
  async (format) => {
    const base = path.join(small.dir, `base.${format}`);
    pair = await LabPair.create({
      guest: await findGuest(),
      fillMb: 24,
      periodMs: 300,
      baseFormat: format,
      makeBase: () => Promise.resolve(base),
    });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const { primary, secondary, secondaryDaemon } = pair;
    const before = await graphOf(primary);

    await expect(pair.protect()).rejects.toMatchObject({
      code: 'GANNET_STAGE_FAILED',
      message: expect.stringMatching(
        new RegExp(`^stage seed: .*vb0.* no space .*the secondary says: ${base}: `),
      ),
      remedy: expect.stringMatching(/^Make space on the file system of the replica's base/),
    });
    expect(await graphOf(primary)).toEqual(before);
    await expectWell(primary);

    await small.resize('128m');
    await pair.protect();
    await pair.waitForCommits(3);
    const status = async (): Promise<Json> => await secondaryDaemon.client.call('status');
    expect(await status()).toMatchObject({ baseTrouble: null });

    const makeSpace = await small.fillUp();
    // Where the base has a hole: the guest has been everywhere in its own part of the disk.
    await writeTo(primary, 'write -P 0x42 20M 2M');
    const written = Buffer.alloc(2 * MIB, 0x42);
    await until(status, ({ baseTrouble }) => String(baseTrouble).startsWith(`${base}: write`));
    const tries = (): Json[] =>
      secondaryDaemon.eventsOf('trouble').filter(({ attempt }) => attempt !== undefined);
    // Seconds of attempts, which all fail in the same way.
    await pair.waitForCommits(pair.commits.length + 3);
    expect(tries()).toHaveLength(1);
    await until(
      () => pair?.primaryDaemon.client.call('status'),
      (value) => JSON.stringify(value).includes(`${base}: write`),
    );
    expect(await status()).toMatchObject({ state: 'protected', mayFailOver: true });
    await expectWell(primary);
    await expectWell(secondary);
    const read = await readAsSecondary(path.join(pair.dir, 'replica0.nbd'));
    expect(read.equals(written)).toBe(true);

    await makeSpace();
    await until(status, ({ baseTrouble }) => baseTrouble === null);
    await primary.kill('SIGKILL');
    await pair.failOver();
    const { digests, isClean } = await pair.compare();
    expect(isClean).toBe(true);
    // Which made a raw copy of another format.
    const file = await open(format === 'raw' ? base : `${base}.raw`);
    const { buffer } = await file.read(Buffer.alloc(2 * MIB), 0, 2 * MIB, 20 * MIB);
    await file.close();
    expect(buffer.equals(written)).toBe(true);
    expect(digests.filter(({ equal }) => !equal)).toEqual([]);
  },
);
