import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compareDigests, LabError } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import type { Outcome } from './cells.js';
import { executes } from './processes.js';
import type { Recovery, Scene } from './scene.js';
import { PEER } from './two-host-pair.js';

/** Whoever acts on silence has done so by then. */
const SETTLE_MS = 2.5 * PEER.highMs;
const PATIENCE_MS = 60_000;
const COMMITS = 3;

/** What has become of the VM, once that is clear. */
export async function observe(scene: Scene): Promise<Outcome> {
  switch (scene.cell.phase) {
    case 'seeding':
    case 'migration':
      return observeSeeding(scene);
    case 'alone':
    case 'heal':
      return observeAlone(scene);
    case 'failover':
    case 'move':
      return observeTakeover(scene);
    case 'replay':
      return observeReplay(scene);
    default:
      return observeProtected(scene);
  }
}

async function observeProtected(scene: Scene): Promise<Outcome> {
  const { pair } = scene;
  const startMs = performance.now();
  const commits = pair.commits.length;
  for (;;) {
    const settledMs = performance.now() - startMs;
    if (scene.hasHappened('failover-done')) return settle('secondary');
    if (await runsAlone(scene)) return settle('primary');
    if (settledMs > SETTLE_MS && pair.commits.length >= commits + COMMITS) return 'protected';
    if (settledMs > PATIENCE_MS) throw new LabError(`nothing came of it\n${scene.logs}`);
    await sleep(20);
  }
}

/** It has said so; or the daemon before this one has, and this one knows it by its record. */
async function runsAlone({ cell, pair: { primaryDaemon } }: Scene): Promise<boolean> {
  if (primaryDaemon.eventsOf('alone').length > 0) return true;
  if (cell.fault !== 'restart') return false;
  const status = await primaryDaemon.client.call('status').catch(() => undefined);
  return status !== undefined && status.record.word === 'alone';
}

/** Long enough for whoever might act late. */
async function settle(outcome: Outcome): Promise<Outcome> {
  await sleep(SETTLE_MS);
  return outcome;
}

/** Its network is whole by now. */
async function observeAlone(scene: Scene): Promise<Outcome> {
  const { primary, secondaryDaemon } = scene.pair;
  await sleep(SETTLE_MS);
  if (scene.hasHappened('failover')) return 'overruled';
  if (primary.running) return 'primary';
  const isAlive = executes(secondaryDaemon.pid ?? 0);
  return isAlive && (await mayTakeOver(scene)) ? 'waiting' : 'primary-disk';
}

/** As its daemon says. */
async function mayTakeOver({ pair }: Scene): Promise<boolean> {
  const status = await pair.secondaryDaemon.client.call('status');
  return 'mayFailOver' in status && status.mayFailOver === true;
}

async function observeSeeding(scene: Scene): Promise<Outcome> {
  await scene.until('the protection to be made or not', () => scene.protection !== undefined);
  if (scene.protection === 'done') {
    await scene.pair.waitForCommits(COMMITS);
    return observeProtected(scene);
  }
  return settle(scene.pair.primary.running ? 'unprotected' : 'primary-disk');
}

async function observeTakeover(scene: Scene): Promise<Outcome> {
  const { cell, pair } = scene;
  const isKilled = cell.fault === 'kill';
  const isReplicatorDead =
    isKilled && (cell.target === 'replicator' || cell.target === 'both-daemons');
  if (isReplicatorDead) {
    await scene.loseUnsynced();
    return worthOfBase(scene);
  }
  if (isKilled && cell.target === 'svm') {
    // Its daemon lives, and has a journal to bring to an end.
    await scene.until('its end to be noticed', () =>
      pair.secondaryDaemon.eventsOf('vm').some(({ state }) => state === 'lost'),
    );
    await sleep(PEER.highMs);
    await pair.secondaryDaemon.kill('SIGTERM');
    return worthOfBase(scene);
  }
  await scene.until('the takeover', () => scene.hasHappened('failover-done'));
  return 'secondary';
}

/** Whether the base can be made a disk again, when nobody runs any more. */
async function worthOfBase(scene: Scene): Promise<Outcome> {
  const { pair } = scene;
  if (pair.secondary.running) await pair.secondary.kill('SIGKILL');
  if (executes(pair.secondaryDaemon.pid ?? 0)) await pair.secondaryDaemon.kill();
  return judge(await scene.recover());
}

/** What the base holds is no disk, may not be the newest, or is known not to be. */
const REFUSED = /holds no consistent disk|REPLICA_BASE_LAST_COMMIT|this host is outdated/;

function judge({ code, output }: Recovery): Outcome {
  if (code === 0) return 'recovered';
  if (REFUSED.test(output)) return 'primary-disk';
  throw new LabError(`gannet recover ended with ${code}: ${output}`);
}

async function observeReplay(scene: Scene): Promise<Outcome> {
  const disturbed = await scene.recovery;
  if (disturbed?.code === 0) return 'recovered';
  // "Recover again: the journal is still there."
  return judge(await scene.recover());
}

/** @throws LabError when the VM or its disk are not what the outcome promises */
export const VERIFY: Record<Outcome, (scene: Scene) => Promise<void>> = {
  protected: async (scene) => {
    const { primary, secondary } = scene.pair;
    for (const vm of [primary, secondary]) {
      await vm.oracle.waitForWrites(50, { signal: vm.gone });
      expect(vm.oracle.clean, `${vm.name} is not clean: ${vm.oracle.tail}`);
    }
    // What it is worth shows when it is needed.
    await primary.kill('SIGKILL');
    await scene.until('the takeover', () => scene.hasHappened('failover-done'));
    await VERIFY.secondary(scene);
  },
  primary: async (scene) => {
    const { primary, secondary, secondaryDaemon } = scene.pair;
    expect(!scene.hasHappened('failover-begins'), 'the secondary began to take over');
    await expectPrimaryWhole(scene);
    if (!secondary.running || !executes(secondaryDaemon.pid ?? 0)) return;
    expect(
      await isRefused(scene, true),
      'a secondary that is outdated has taken over when it was forced to',
    );
    expect(primary.running, 'the primary has ended');
  },
  secondary: async (scene) => {
    const { primary, secondary, secondaryDaemon } = scene.pair;
    expect(!executes(primary.pid), 'the primary executes');
    const [began] = secondaryDaemon.eventsOf('failover');
    const [done] = secondaryDaemon.eventsOf('failover-done');
    expect(began?.epoch === done?.epoch, `${began?.epoch} has become ${done?.epoch}`);
    if (scene.digests.length > 0) await secondary.command('go');
    await expectSecondaryWhole(scene);
  },
  waiting: async (scene) => {
    const refused = await isRefused(scene, false);
    expect(refused, 'a secondary whose primary may have gone on alone has taken over');
  },
  overruled: async (scene) => {
    const { primary, primaryDaemon } = scene.pair;
    await scene.until('the primary to be stopped', () => {
      return primaryDaemon.eventsOf('second-copy-stopped').length > 0;
    });
    expect(!(await guestRuns(primary.qmpPaths[0])), 'the guest of the primary runs');
    const alarms = primaryDaemon.eventsOf('two-copies');
    expect(alarms[0]?.newest === 'secondary', 'nobody says which copy is which');
    await expectSecondaryWhole(scene);
  },
  unprotected: async (scene) => {
    const { pair } = scene;
    await expectPrimaryWhole(scene, async () => {
      const { jobs, nodes } = await graphOf(pair.primary.qmpPaths[0]);
      expect(jobs === 0, `${jobs} block jobs are left`);
      expect(nodes.length === NODES_OF_A_PRIMARY, `nodes are left: ${nodes.join(' ')}`);
    });
    // The next copy is as good as any.
    await pair.primary.command('go');
    await scene.hosts.replaceSecondary();
    await pair.protect();
    await pair.waitForCommits(2);
  },
  recovered: async (scene) => {
    if (scene.digests.length === 0) return;
    const compared = await compareDigests(scene.digests, await scene.pair.baseImages());
    const wrong = compared.filter(({ equal }) => !equal).length;
    expect(wrong === 0, `${wrong} regions of the image are not what the guest had flushed`);
  },
  'primary-disk': async (scene) => {
    const { pair } = scene;
    if (executes(pair.secondaryDaemon.pid ?? 0)) await pair.secondaryDaemon.kill('SIGKILL');
    expect(judge(await scene.recover()) === 'primary-disk', 'the base passes for a disk');
  },
};

async function isRefused({ pair }: Scene, force: boolean): Promise<boolean> {
  return pair.secondaryDaemon.client.call('failover', { force }).then(
    () => false,
    (error: unknown) => (error as { exit?: string }).exit === 'refused',
  );
}

/** The quorum, its child and the file below. */
const NODES_OF_A_PRIMARY = 3;

/** Its guest writes on, and its disks are what it has written. */
async function expectSecondaryWhole({ pair }: Scene): Promise<void> {
  const { secondary } = pair;
  await secondary.oracle.waitForWrites(50, { signal: secondary.gone });
  const { digests, isClean } = await pair.compare();
  expect(isClean, `the secondary is not clean: ${secondary.oracle.tail}`);
  expect(
    digests.every(({ equal }) => equal),
    'the image is not what the guest says',
  );
}

/** Its guest runs, its memory is right, and its disk is what it has written. */
async function expectPrimaryWhole(scene: Scene, meanwhile?: () => Promise<void>): Promise<void> {
  const { dir, primary, regionCount } = scene.pair;
  const options = { signal: primary.gone };
  await primary.oracle.waitForWrites(50, options);
  await meanwhile?.();
  await primary.command('stop');
  const digests = await primary.oracle.waitForDigests(regionCount, options);
  const compared = await compareDigests(digests, { vda: path.join(dir, 'primary0.img') });
  expect(
    compared.every(({ equal }) => equal),
    'the primary disk is not what the guest says',
  );
  await primary.command('scan');
  await primary.oracle.waitForScans(regionCount, options);
  expect(primary.oracle.clean, `the primary is not clean: ${primary.oracle.tail}`);
}

async function guestRuns(socket: string): Promise<boolean> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: socket } });
  try {
    return (await qmp.execute('query-status')).running;
  } finally {
    await qmp.close();
  }
}

async function graphOf(socket: string): Promise<{ jobs: number; nodes: string[] }> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: socket } });
  try {
    const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
    const jobs = await qmp.execute('query-block-jobs');
    return { jobs: jobs.length, nodes: nodes.map((node) => String(node['node-name'])) };
  } finally {
    await qmp.close();
  }
}

function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new LabError(otherwise);
}
