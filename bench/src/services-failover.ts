/**
 * Kills the primary at a random moment while a service works, and lets the service's own checker
 * judge what the secondary goes on with: `node bench/dist/services-failover.js [--kills N]
 * [--service NAME] [--seed S]`. `make services-failover` runs it. The service `outside` is Redis
 * with clients outside, whose connections and acknowledged requests have to survive.
 */
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientNetwork } from '@gannet/lab';
import { SERVICES } from './services/b9-services.js';
import { BenchError, Scope } from './harness/scope.js';
import { GuestConsole } from './services/console.js';
import { serviceImages, type ServiceImages } from './services/images.js';
import { outsideClient } from './services/outside-client.js';
import { bootServices, gannet, PERIOD_MS, waitForCheckpoints } from './services/vms.js';

type Service = (typeof SERVICES)[number];
type Kill = (scope: Scope, images: ServiceImages, seed: number) => Promise<string>;

/** Any moment between two checkpoints. */
const LATEST_KILL_MS = PERIOD_MS;
/** Of `manyOperations`: the load has to go on for some seconds after the failover. */
const LOAD_SHARE = 2;
const OUTSIDE = {
  requests: 4000,
  clients: 8,
  /** What redis-benchmark counts in. */
  counter: 'counter:__rand_int__',
};

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1' },
    service: { type: 'string' },
    seed: { type: 'string', default: `${Math.floor(Math.random() * 2 ** 31)}` },
  },
});

/** Nothing that a client in the guest remembers is lost. */
const killInside =
  ({ id, manyOperations }: Service): Kill =>
  async (scope, images, seed) => {
    const started = await bootServices(scope, images, [id]);
    const side = await gannet('replication')(started);
    if (!side?.failOver) throw new BenchError('this contender has no failover');
    await waitForCheckpoints(side, 2);
    started.console.send(`prove ${id} ${LOAD_SHARE * manyOperations} ${seed}`);
    await started.console.said(`BEGIN ${id}`);
    // The secondary takes part in it after the next checkpoint.
    await waitForCheckpoints(side, 1);
    const afterMs = seed % LATEST_KILL_MS;
    await sleep(afterMs);
    const ended = started.console.heard(`PROVE ${id}`);
    if (ended !== undefined) throw new BenchError(`the load ended before the kill: ${ended}`);
    const survivor = new GuestConsole(side.vm);
    scope.defer(() => survivor.close());
    await started.primary.kill('SIGKILL');
    const killedMs = performance.now();
    await side.failOver();
    const tookMs = performance.now() - killedMs;
    const end = await survivor.done(`PROVE ${id}`);
    await survivor.command(`check ${id}`);
    const wentOn = ((end.atMs - killedMs) / 1000).toFixed(1);
    return (
      `killed after ${afterMs} ms, failed over in ${tookMs.toFixed(0)} ms, ` +
      `the load went on for ${wentOn} s, checked`
    );
  };

/** Nothing that was answered to a client outside is lost, or done twice; no connection breaks. */
const killOutside: Kill = async (scope, images, seed) => {
  const network = await ClientNetwork.create(2);
  scope.defer(() => network.dispose());
  const started = await bootServices(scope, images, ['redis'], network);
  const side = await gannet('replication')(started);
  if (!side?.failOver) throw new BenchError('this contender has no failover');
  await waitForCheckpoints(side, 1);
  const { requests, clients, counter } = OUTSIDE;
  const work = ['-t', 'incr', '-c', `${clients}`, '-n', `${requests}`, '--csv'];
  const load = { isDone: false };
  const counting = scope
    .run(outsideClient(network, images, 'redis-benchmark', ...work), { timeoutMs: 120_000 })
    .finally(() => (load.isDone = true));
  counting.catch(() => undefined);
  const count = async (): Promise<number> =>
    Number(await scope.run(outsideClient(network, images, 'redis-cli', 'get', counter)));
  const afterMs = seed % LATEST_KILL_MS;
  await sleep(afterMs);
  if (load.isDone) throw new BenchError('the load ended before the kill');
  const before = await count();
  await started.primary.kill('SIGKILL');
  const killedMs = performance.now();
  await side.failOver();
  const tookMs = performance.now() - killedMs;
  await counting;
  const survivor = new GuestConsole(side.vm);
  scope.defer(() => survivor.close());
  const inMemory = await count();
  await survivor.command('stop redis');
  await survivor.command('start redis');
  const onDisk = await count();
  if (inMemory !== requests || onDisk !== requests) {
    throw new BenchError(`${requests} were counted, it has ${inMemory}, and ${onDisk} on its disk`);
  }
  return (
    `killed after ${afterMs} ms and ${before} requests, failed over in ${tookMs.toFixed(0)} ms, ` +
    `${clients} connections went on, all ${requests} requests are there, once each`
  );
};

/** Xorshift: the moments of the kills follow from the seed. No service takes more than 31 bits. */
function next(state: number): number {
  let x = state | 1;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x & 0x7fffffff;
}

async function main(): Promise<number> {
  const kills = Number(values.kills);
  const all = [
    ...SERVICES.map((service) => ({ ...service, kill: killInside(service) })),
    { id: 'outside', name: 'Redis, clients outside', kill: killOutside },
  ];
  const chosen = all.filter(({ id }) => values.service === undefined || id === values.service);
  if (!Number.isInteger(kills) || kills < 1 || chosen.length === 0) {
    const ids = all.map(({ id }) => id).join(', ');
    console.error(`--kills takes a number from 1 on, --service one of ${ids}`);
    return 2;
  }
  await Scope.sweep();
  const images = await serviceImages();
  let state = Number(values.seed);
  let passed = 0;
  let failed = 0;
  for (const service of chosen) {
    for (let kill = 1; kill <= kills; kill++) {
      const seed = state;
      state = next(state);
      const scope = new Scope();
      try {
        const what = await service.kill(scope, images, seed);
        passed++;
        console.log(`${service.name} ${kill}/${kills}: ${what}`);
      } catch (error) {
        failed++;
        const repeat = `--service ${service.id} --seed ${seed}`;
        console.log(`${service.name} ${kill}/${kills}: FAILED ${String(error)} (${repeat})`);
      } finally {
        await scope.close();
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

process.exitCode = await main();
