/**
 * From the fault to the guest's first completed write on the side that lives: `node
 * bench/dist/failover-times.js [RUNS]`. Writes are counted by QEMU (query-blockstats), which is
 * asked every 10 ms over a QMP socket of its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { findGuest, LabPair, type LabVm, TwoHosts } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

const POLL_MS = 10;
const PATIENCE_MS = 60_000;
/** It may be dead already. */
const FENCE = 'kill -9 "$FENCED" 2>/dev/null; true';

type Fault = 'killed' | 'hung' | 'cut off';
type Lost = 'primary' | 'secondary';

async function makePair(network: { current?: TwoHosts }, lost: Lost): Promise<LabPair> {
  const near = (name: string): string => `${pair.dir}/near.${name}`;
  const pair: LabPair = await LabPair.create({
    guest: await findGuest(),
    periodMs: 1000,
    // Only the survivor of this run may act: what is measured is the time, not who wins.
    secondary: lost === 'primary' ? { failover: 'automatic' } : {},
    env: () => ({ FENCED: String(pair.primary.pid) }),
    config: (role) =>
      role === 'primary'
        ? {
            primary: {
              nbd: `unix:${near('nbd')}`,
              migrate: `unix:${near('migration')}`,
              peer: `unix:${near('peer')}`,
              checkpointPeriodMs: 1000,
            },
          }
        : lost === 'primary'
          ? { fence: { command: ['sh', '-c', FENCE] } }
          : {},
  });
  network.current = await TwoHosts.create([
    { name: 'nbd', near: near('nbd'), far: `${pair.dir}/replica0.nbd` },
    { name: 'migration', near: near('migration'), far: `${pair.dir}/incoming0.sock` },
    { name: 'peer', near: near('peer'), far: `${pair.dir}/peer0.sock` },
  ]);
  await pair.startProtected(3);
  return pair;
}

async function strike(pair: LabPair, network: TwoHosts, fault: Fault, lost: Lost): Promise<void> {
  const vm = lost === 'primary' ? pair.primary : pair.secondary;
  const daemon = lost === 'primary' ? pair.primaryDaemon : pair.secondaryDaemon;
  if (fault === 'cut off') await network.cut('drop');
  if (fault === 'killed') await vm.kill('SIGKILL');
  // A host that is cut off from here is as good as halted; let it not answer behind the cut.
  else {
    vm.sigstop();
    daemon.stop();
  }
}

/** Until a write has completed on the survivor after `isOver`; the stall begins with the fault. */
async function firstWrite(vm: LabVm, isOver: () => boolean, sinceMs: number): Promise<number> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    const writes = async (): Promise<number> => {
      const stats = (await qmp.executeRaw('query-blockstats', {})) as {
        stats: { wr_operations: number };
      }[];
      return stats.reduce((sum, { stats: { wr_operations: count } }) => sum + count, 0);
    };
    let base: number | undefined;
    while (performance.now() - sinceMs < PATIENCE_MS) {
      if (base !== undefined && (await writes()) > base) return performance.now() - sinceMs;
      if (base === undefined && isOver()) base = await writes();
      await sleep(POLL_MS);
    }
    throw new Error('no write in time');
  } finally {
    await qmp.close();
  }
}

async function measure(fault: Fault, lost: Lost): Promise<number> {
  const network: { current?: TwoHosts } = {};
  const pair = await makePair(network, lost);
  try {
    if (!network.current) throw new Error('no network');
    const sinceMs = performance.now();
    await strike(pair, network.current, fault, lost);
    return lost === 'primary'
      ? await firstWrite(
          pair.secondary,
          () => pair.secondaryDaemon.eventsOf('failover').length > 0,
          sinceMs,
        )
      : await firstWrite(
          pair.primary,
          () => pair.primaryDaemon.eventsOf('alone').length > 0,
          sinceMs,
        );
  } finally {
    await pair.dispose();
    await network.current?.dispose();
  }
}

const runs = Number(process.argv[2] ?? 5);
process.stdout.write('| lost | fault | runs | least ms | median ms | most ms |\n');
process.stdout.write('| --- | --- | --- | --- | --- | --- |\n');
for (const lost of ['primary', 'secondary'] as const) {
  for (const fault of ['killed', 'hung', 'cut off'] as const) {
    const all: number[] = [];
    for (let run = 0; run < runs; run++) all.push(await measure(fault, lost));
    const sorted = all.sort((a, b) => a - b).map((ms) => ms.toFixed(0));
    const middle = sorted[Math.floor(runs / 2)];
    const cells = [lost, fault, runs, sorted[0], middle, sorted.at(-1)];
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
  }
}
