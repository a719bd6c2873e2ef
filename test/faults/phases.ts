import { setTimeout as sleep } from 'node:timers/promises';
import type { ProtectProgress } from '@gannet/contract';
import { SlowHost } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import type { Phase } from './cells.js';
import { childrenOf } from './processes.js';
import type { Scene } from './scene.js';

const MIB = 1024 * 1024;
/** So slow that a base is behind for as long as a fault takes. */
const SLOW_BASE = { iops: 500, bytesPerSec: MIB / 2 };
/** So slow that the guest says what its disk holds long before all of that is in the base. */
const CRAWLING_BASE = { iops: 20, bytesPerSec: MIB / 32 };
const SLOW_SEED_BYTES_PER_SEC = 2 * MIB;
/** A checkpoint of some hundred milliseconds. */
const SLOW_MIGRATION_KIB_PER_SEC = 3000;
const TRIES = 20;

/** The moment was over before it could be used: not a word about what was to be tried. */
export class PhaseMissed extends Error {}

/** Brings a pair that is started into a phase, and returns in the middle of it. */
export const REACH: Record<Phase, (scene: Scene) => Promise<void>> = {
  seeding: async (scene) => {
    const isCopying = (report: ProtectProgress): boolean =>
      'doneBytes' in report && report.doneBytes > 0;
    await scene.beginToProtect(SLOW_SEED_BYTES_PER_SEC, isCopying);
    await sleep(500 * scene.chance('seeding'));
  },
  migration: async (scene) => {
    await scene.hosts.network.slow(SLOW_MIGRATION_KIB_PER_SEC, 'migration');
    await scene.beginToProtect(0, ({ stage }) => stage === 'colo');
    await sleep(1000 * scene.chance('migration'));
    if (scene.protection !== undefined) throw new PhaseMissed('COLO began too early');
  },
  steady: async (scene) => {
    await scene.protect();
    await sleep(scene.periodMs * scene.chance('steady'));
  },
  checkpoint: async (scene) => {
    await scene.protect();
    await scene.hosts.network.slow(SLOW_MIGRATION_KIB_PER_SEC, 'migration');
    await insideCheckpoint(scene);
  },
  'write-back': async (scene) => {
    await scene.protect();
    await slowDown(scene);
    await scene.until('a base that is behind', () => scene.isBehind());
    await sleep(200 * scene.chance('write-back'));
    if (!(await scene.isBehind())) throw new PhaseMissed('the base has caught up too early');
  },
  alone: async (scene) => {
    await scene.protect();
    await scene.hosts.network.cut('drop', 'nbd', 'migration', 'peer');
    await scene.until('the primary to go on alone', () => scene.isAlone);
    await sleep(500 * scene.chance('alone'));
  },
  heal: async (scene) => {
    await REACH.alone(scene);
    await scene.hosts.network.mend();
    await scene.until('the secondary to hear of it', () => scene.hasHappened('diverged'));
  },
  failover: async (scene) => {
    await beginFailover(scene);
    await sleep(100 * scene.chance('failover'));
    if (scene.hasHappened('failover-durable')) throw new PhaseMissed('it was durable too early');
  },
  move: async (scene) => {
    await beginFailover(scene);
    await scene.until('the guest to run', () => scene.hasHappened('failover'));
    await scene.slowHost?.limit(CRAWLING_BASE);
    await scene.keepBase();
    // Its flush is answered from the journal, which is on a disk of its own.
    await quiesce(scene);
    await scene.until('a takeover that is durable', () => scene.hasHappened('failover-durable'));
    if (!(await scene.isBehind())) throw new PhaseMissed('the base has all of it too early');
  },
  replay: async (scene) => {
    await REACH.move(scene);
    const { secondary, secondaryDaemon } = scene.pair;
    await secondaryDaemon.kill('SIGKILL');
    await secondary.kill('SIGKILL');
    await scene.loseUnsynced();
    await scene.beginToRecover();
    await sleep(150 + 150 * scene.chance('replay'));
    if (!scene.isRecovering) throw new PhaseMissed('the replay was over too early');
  },
};

async function slowDown(scene: Scene): Promise<void> {
  const { secondaryDaemon } = scene.pair;
  const slow = await SlowHost.create(SLOW_BASE);
  scene.slowHost = slow;
  const { pid } = secondaryDaemon;
  const pids = [pid ?? 0, ...(await childrenOf(pid, 'qemu-storage-daemon'))];
  for (const each of pids) await slow.take(each);
}

/** Kills the primary while there is much in memory that a slow base has not got yet. */
async function beginFailover(scene: Scene): Promise<void> {
  await scene.protect();
  await slowDown(scene);
  await scene.until('a base that is behind', () => scene.isBehind());
  await scene.pair.primary.kill('SIGKILL');
  await scene.until('the failover', () => scene.hasHappened('failover-begins'));
}

/**
 * The guest flushes all that it has, and says what its disk holds: from then on that is durable.
 */
async function quiesce(scene: Scene): Promise<void> {
  const { pair } = scene;
  await pair.secondary.command('stop');
  scene.digests = await pair.secondary.oracle.waitForDigests(pair.regionCount, {
    signal: pair.secondary.gone,
  });
}

async function insideCheckpoint(scene: Scene): Promise<void> {
  const target = { kind: 'unix', path: scene.pair.secondary.qmpPaths[0] } as const;
  const qmp = await QmpClient.connect({ target });
  try {
    const checkpoint = { isUnderWay: false };
    qmp.onEvent('STOP', () => (checkpoint.isUnderWay = true));
    qmp.onEvent('RESUME', () => (checkpoint.isUnderWay = false));
    for (let tries = 0; tries < TRIES; tries++) {
      await scene.until('a checkpoint', () => checkpoint.isUnderWay);
      await sleep(60 * scene.chance(`checkpoint ${tries}`));
      if (checkpoint.isUnderWay) return;
    }
    throw new PhaseMissed('checkpoints were over too early');
  } finally {
    // Not awaited: what follows is to come now.
    void qmp.close();
  }
}
