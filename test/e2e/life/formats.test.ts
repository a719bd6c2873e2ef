import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, LabPair, type LabPairOptions } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { childrenOf } from '../../faults/processes.js';
import { waiting } from '@gannet/test-support/waiting.js';

const run = promisify(execFile);
const PERIOD_MS = 400;
const PATIENCE_MS = 30_000;

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

async function protectedPair(options: Partial<LabPairOptions>): Promise<LabPair> {
  pair = await LabPair.create({ guest: await findGuest(), periodMs: PERIOD_MS, ...options });
  await pair.startProtected(3);
  return pair;
}

const { untilSo: until } = waiting({ patienceMs: PATIENCE_MS });

/** Kills the primary, fails over, and protects the survivor with a new secondary. */
async function goRound(running: LabPair): Promise<void> {
  await running.primary.kill('SIGKILL');
  await running.failOver();
  await running.advance();
  await running.startSecondary();
  await running.reprotect();
  await running.waitForCommits(3);
}

async function expectEqual(running: LabPair): Promise<void> {
  const { digests, isClean } = await running.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
}

async function expectPrimaryWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(200, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

/** Drivers and names of the nodes, jobs. */
async function graphOf(socket: string): Promise<{ nodes: string[]; jobs: unknown }> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: socket } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
    const jobs = await qmp.execute('query-block-jobs');
    return { nodes: nodes.map((node) => `${node.drv} ${node['node-name']}`).sort(), jobs };
  } finally {
    await qmp.close();
  }
}

describe('disks of any shape, all the way round', () => {
  it('qcow2 on both sides, two disks with iothreads; the storage daemon is killed', async () => {
    const running = await protectedPair({
      disks: 2,
      link: 'mirror',
      local: { format: 'qcow2' },
      baseFormat: 'qcow2',
      iothreads: true,
    });
    const storage = await childrenOf(running.secondaryDaemon.pid, 'qemu-storage-daemon');
    expect(storage).toHaveLength(2);
    process.kill(storage[0] ?? 0, 'SIGKILL');
    await running.waitForCommits(running.commits.length + 3);
    expect(running.secondaryDaemon.eventsOf('trouble')).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/storage daemon was lost/) }),
    );

    await goRound(running);
    const { nodes } = await graphOf(running.primary.qmpPaths[0]);
    expect(nodes).toEqual(expect.arrayContaining(['qcow2 gannet-disk0', 'qcow2 gannet-disk1']));
    await running.primary.kill('SIGKILL');
    await running.failOver();
    await expectEqual(running);
  });

  it('a raw disk without a quorum: both losses, protected again, and detached', async () => {
    const running = await protectedPair({
      link: 'mirror',
      local: { quorum: false },
      baseFormat: 'qcow2',
    });
    await running.secondary.kill('SIGKILL');
    const { primaryDaemon } = running;
    await until('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
    await expectPrimaryWell(running);
    await running.replaceSecondary();
    await running.reprotect();
    await running.waitForCommits(3);
    await goRound(running);
    await running.primaryDaemon.client.call('detach');
    expect(await graphOf(running.primary.qmpPaths[0])).toMatchObject({ jobs: [] });
    await expectPrimaryWell(running);
  });

  it('a qcow2 disk without a quorum, and a block device as base', async () => {
    const devices: string[] = [];
    try {
      const running = await protectedPair({
        link: 'mirror',
        local: { format: 'qcow2', quorum: false },
        secondary: { overwrite: true },
        makeBase: async (disk, sizeBytes) => {
          const file = `${pair?.dir}/device${disk}`;
          await run('truncate', ['-s', String(sizeBytes), file]);
          const { stdout } = await run('losetup', ['--find', '--show', file]);
          devices.push(stdout.trim());
          return stdout.trim();
        },
      });
      await running.primary.kill('SIGKILL');
      await running.failOver();
      const { nodes } = await graphOf(running.secondary.qmpPaths[0]);
      expect(nodes.filter((node) => node.startsWith('host_device'))).toHaveLength(1);
      await expectEqual(running);
    } finally {
      await pair?.dispose();
      for (const device of devices) await run('losetup', ['--detach', device]);
    }
  });
});
