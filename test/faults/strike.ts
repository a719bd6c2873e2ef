import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '@gannet/lab';
import { type Target, TARGETS } from './cells.js';
import { childrenOf, signal } from './processes.js';
import type { Scene } from './scene.js';
import { PEER } from './two-host-pair.js';

/** Longer than a secondary's patience, which is twice that of a primary. */
export const FAULT_MS = 2.5 * PEER.highMs;
/** Enough for what the guest does, and no more. */
const SLOW_KIB_PER_SEC = 2000;
/** As a service manager would take. */
const RESTART_MS = 1000;
const COMMAND_MS = 10_000;

type Command = 'failover' | 'force' | 'detach' | 'protect';

/** Does what the cell says, for as long as it says, and undoes what can be undone. */
export async function strike(scene: Scene): Promise<void> {
  const { fault, target } = scene.cell;
  const { network } = scene.hosts;
  const { links } = TARGETS[target];
  const pids = await pidsOf(scene, target);
  if (['kill', 'halt', 'restart'].includes(fault) && pids.length === 0) {
    throw new LabError(`there is no ${TARGETS[target].name} to strike`);
  }
  switch (fault) {
    case 'kill':
      for (const pid of pids) signal(pid, 'SIGKILL');
      break;
    case 'halt':
      for (const pid of pids) signal(pid, 'SIGSTOP');
      await sleep(FAULT_MS);
      for (const pid of pids) signal(pid, 'SIGCONT');
      break;
    case 'restart':
      await restartDaemons(scene);
      break;
    case 'failover':
    case 'force':
    case 'detach':
    case 'protect':
      await command(scene, fault);
      break;
    case 'drop':
    case 'reset':
      await network.cut(fault, ...links);
      await sleep(FAULT_MS);
      break;
    case 'slow':
      await network.slow(SLOW_KIB_PER_SEC, ...links);
      await sleep(FAULT_MS);
      break;
  }
  await network.mend();
  await scene.slowHost?.limit(undefined);
  if (fault === 'kill') await restart(scene);
  if (scene.cell.phase === 'seeding') await hurry(scene);
}

async function pidsOf({ cell, pair, recoveryPid }: Scene, target: Target): Promise<number[]> {
  const { primary, secondary, primaryDaemon, secondaryDaemon } = pair;
  const replicator = cell.phase === 'replay' ? recoveryPid : secondaryDaemon.pid;
  const pids: Record<Target, () => (number | undefined)[]> = {
    pvm: () => [primary.pid],
    svm: () => [secondary.pid],
    replicator: () => [replicator],
    'primary-daemon': () => [primaryDaemon.pid],
    'both-daemons': () => [primaryDaemon.pid, replicator],
    'storage-daemon': () => [],
    'primary-host': () => [primary.pid, primaryDaemon.pid],
  };
  if (target === 'storage-daemon') return childrenOf(replicator, 'qemu-storage-daemon');
  return pids[target]().filter((pid) => pid !== undefined);
}

/** A service manager starts the primary's daemon again; of the secondary it is left dead. */
async function restart({ cell, pair }: Scene): Promise<void> {
  const isDaemon = cell.target === 'primary-daemon' || cell.target === 'both-daemons';
  if (!isDaemon || !pair.primary.running) return;
  await sleep(RESTART_MS);
  await pair.startPrimaryDaemon();
}

async function restartDaemons({ cell, pair }: Scene): Promise<void> {
  if (cell.target !== 'primary-daemon') await pair.restartSecondaryDaemon();
  if (cell.target === 'replicator') return;
  await pair.primaryDaemon.kill('SIGTERM');
  if (pair.primary.running) await pair.startPrimaryDaemon();
}

/** Whatever comes of it, a refusal too, is seen later. One that takes long is not waited for. */
async function command({ cell, pair }: Scene, fault: Command): Promise<void> {
  const { client } = cell.target === 'replicator' ? pair.secondaryDaemon : pair.primaryDaemon;
  const calls: Record<Command, () => Promise<unknown>> = {
    failover: () => client.call('failover', {}),
    force: () => client.call('failover', { force: true }),
    detach: () => client.call('detach', {}),
    protect: () => client.call('protect', {}),
  };
  const answer = calls[fault]().catch(() => undefined);
  await Promise.race([answer, sleep(COMMAND_MS)]);
}

/** The rest of the copy needs no time. */
async function hurry({ pair }: Scene): Promise<void> {
  await pair.primaryDaemon.client.call('seed-rate', { bytesPerSec: 0 }).catch(() => undefined);
}
