import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import { findGuest, LabPair, type LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

// Bases on a file system of their own, which runs full.

const MIB = 1024 * 1024;
const PATIENCE_MS = 60_000;
const run = promisify(execFile);

type Json = Record<string, unknown>;

let keeper: ChildProcess;
let space: string;
let pair: LabPair | undefined;

beforeEach(async () => {
  // In a namespace of its own, which others see through its process: it is gone with that, and that
  // with this one.
  const script = 'mount -t tmpfs -o size=12m bases /mnt && echo mounted && exec sleep infinity';
  const command = ['--pdeathsig', 'KILL', 'unshare', '--mount', 'sh', '-c', script];
  keeper = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (keeper.stdout) await once(keeper.stdout, 'data');
  space = `/proc/${keeper.pid}/root/mnt`;
});
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
  const ended = once(keeper, 'close');
  keeper.kill('SIGKILL');
  await ended;
});

/** From now on it has so much space in all. */
async function resize(size: string): Promise<void> {
  const mount = ['mount', '-o', `remount,size=${size}`, '/mnt'];
  await run('nsenter', ['--mount', '--target', String(keeper.pid), ...mount]);
}

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

/** Takes all the space that is left. @returns gives it back */
async function fillUp(): Promise<() => Promise<void>> {
  const filler = path.join(space, 'filler');
  const file = await open(filler, 'w');
  const page = Buffer.alloc(4096, 0x5a);
  try {
    while ((await statfs(space)).bfree > 0) await file.write(page);
  } finally {
    await file.close();
  }
  return () => rm(filler);
}

it.each(['raw', 'qcow2'])(
  'a %s base on a full file system: an error while it seeds, waited out when protected',
  async (format) => {
    const base = path.join(space, `base.${format}`);
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

    await resize('128m');
    await pair.protect();
    await pair.waitForCommits(3);
    const status = async (): Promise<Json> => await secondaryDaemon.client.call('status');
    expect(await status()).toMatchObject({ baseTrouble: null });

    const makeSpace = await fillUp();
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
