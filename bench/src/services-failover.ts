/**
 * Kills the primary at a random moment while a service works, and lets the service's own checker
 * judge what the secondary goes on with: `node bench/dist/services-failover.js [--kills N]
 * [--service NAME] [--seed S]`. `make services-failover` runs it.
 */
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { SERVICES } from './services/b9-services.js';
import { BenchError, Scope } from './harness/scope.js';
import { GuestConsole } from './services/console.js';
import { serviceImages, type ServiceImages } from './services/images.js';
import { bootServices, gannet, PERIOD_MS, waitForCheckpoints } from './services/vms.js';

type Service = (typeof SERVICES)[number];

/** Any moment between two checkpoints. */
const LATEST_KILL_MS = PERIOD_MS;
/** Of `manyOperations`: the load has to go on for some seconds after the failover. */
const LOAD_SHARE = 2;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1' },
    service: { type: 'string' },
    seed: { type: 'string', default: `${Math.floor(Math.random() * 2 ** 31)}` },
  },
});

async function killOnce(
  scope: Scope,
  images: ServiceImages,
  { id, manyOperations }: Service,
  seed: number,
): Promise<string> {
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
}

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
  const chosen = SERVICES.filter(({ id }) => values.service === undefined || id === values.service);
  if (!Number.isInteger(kills) || kills < 1 || chosen.length === 0) {
    const ids = SERVICES.map(({ id }) => id).join(', ');
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
        const what = await killOnce(scope, images, service, seed);
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
