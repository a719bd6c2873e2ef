/** B6: how much memory buffers use beyond the data in them. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdClient } from '@gannet/nbd';
import { LabDaemon } from '@gannet/lab';
import {
  takeTurns,
  type Comparison,
  type Contender,
  type Reading,
  type Trial,
} from './harness/comparison.js';
import { residentBytes } from './harness/processor.js';
import { BenchError, type Scope } from './harness/scope.js';

const MIB = 1024 * 1024;
const TIB = 1024 * 1024 * MIB;
const PAGE_BYTES = 4096;
const BUDGET_BYTES = 256 * MIB;
const IN_FLIGHT = 32;
const SETTLE_MS = 1000;

export const IDLE = 'resident, idle, 1 TiB of bases';
export const METADATA = 'tables / buffered bytes';

export const B6: Comparison = {
  name: 'B6',
  title: 'Memory',
  about:
    '`gannet secondary` with sparse bases of 1 TiB in total. Its resident memory before ' +
    'anything was written, and after random 4 KiB pages have filled its budget of 256 MiB (the ' +
    'soft limit). Tables are the memory that it counts beyond the pages.',
  estimateSeconds: 25,
  async run(context) {
    const pages = (context.quick ? BUDGET_BYTES / 16 : BUDGET_BYTES) / PAGE_BYTES;
    const contenders: Contender<number>[] = [
      { name: 'Gannet, one disk', setup: 'a base of 1 TiB', subject: 1 },
      { name: 'Gannet, eight disks', setup: 'eight bases of 128 GiB', subject: 8 },
    ];
    const trial: Trial<number> = {
      ...{ point: IDLE, unit: 'MiB', better: 'lower' },
      measure: (disks) => measure(context.scope, disks, pages),
    };
    const points = await takeTurns(context, contenders, [trial], 0);
    return { contenders, baseline: undefined, points, notes: [] };
  },
};

async function measure(scope: Scope, disks: number, pages: number): Promise<Reading[]> {
  const folder = await scope.folder();
  const socket = path.join(folder, 'nbd.sock');
  const sizeBytes = TIB / disks;
  const daemon = await startDaemon(folder, socket, disks, sizeBytes);
  scope.defer(async () => {
    await daemon.kill('SIGKILL');
  });
  const pid = daemon.pid ?? 0;
  await sleep(SETTLE_MS);
  const idleBytes = await residentBytes(pid);
  const clients = await Promise.all(
    Array.from({ length: disks }, (_, disk) =>
      NbdClient.connect({ path: socket }, { export: disks === 1 ? 'pvm' : `disk${disk}-pvm` }),
    ),
  );
  await daemon.client.call('seal');
  await daemon.client.call('commit');
  await writeAtRandom(clients, sizeBytes, pages);
  const status = await daemon.client.call('status');
  const fullBytes = await residentBytes(pid);
  await Promise.all(clients.map((client) => client.disconnect()));
  await daemon.kill('SIGKILL');
  if (status.role !== 'secondary' || status.state !== 'protected')
    throw new BenchError(`the replica is ${status.state}`);
  const heldBytes = pages * PAGE_BYTES;
  const metadata = (100 * (status.buffers.primary - heldBytes)) / heldBytes;
  const head = (point: string, unit: string) => ({ point, unit, better: 'lower' }) as const;
  return [
    { ...head(IDLE, 'MiB'), value: idleBytes / MIB },
    { ...head('resident, budget of 256 MiB full', 'MiB'), value: fullBytes / MIB },
    { ...head(METADATA, '%'), value: metadata },
    {
      ...head('resident beyond idle / buffered bytes', '%'),
      value: (100 * (fullBytes - idleBytes)) / heldBytes,
    },
  ];
}

function startDaemon(
  folder: string,
  socket: string,
  disks: number,
  sizeBytes: number,
): Promise<LabDaemon> {
  return LabDaemon.start({
    role: 'secondary',
    dir: folder,
    config: {
      vm: 'bench',
      control: path.join(folder, 'control.sock'),
      qmp: `unix:${path.join(folder, 'none.sock')}`,
      disks: Array.from({ length: disks }, (_, disk) => ({
        name: `disk${disk}`,
        device: `disk${disk}`,
        base: path.join(folder, `base${disk}.raw`),
        size: sizeBytes,
      })),
      secondary: {
        nbd: `unix:${socket}`,
        source: 'external',
        memory: { soft: BUDGET_BYTES, hard: 2 * BUDGET_BYTES },
      },
    },
  });
}

/** Each page once, in turn to each disk. */
async function writeAtRandom(
  clients: readonly NbdClient[],
  sizeBytes: number,
  pages: number,
): Promise<void> {
  const page = Buffer.alloc(PAGE_BYTES, 0x5a);
  const seen = new Set<number>();
  const writer = async (): Promise<void> => {
    while (seen.size < pages) {
      const number = Math.floor((Math.random() * sizeBytes) / PAGE_BYTES);
      const client = clients[seen.size % clients.length];
      // A number that differs everywhere is distinct on its disk too.
      if (!client || seen.has(number)) continue;
      seen.add(number);
      await client.write(number * PAGE_BYTES, page);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer));
}
