/**
 * Where the time of a checkpoint goes: `node bench/dist/services/pause-trace.js [--service ID]
 * [--iops N] [--fast-primary] [--checkpoints N] [--rounds N]`. Boots the VM of B9 with stock COLO
 * and with Gannet in turn, limits the disks, loads one service, and traces both QEMUs.
 */
import { parseArgs } from 'node:util';
import { BenchError, Scope } from '../harness/scope.js';
import { summarize } from '../harness/stats.js';
import { SERVICES } from './b9-services.js';
import {
  checkpointsOf,
  PHASES,
  startTrace,
  TRACE_ARGS,
  type TracedCheckpoint,
} from './checkpoint-trace.js';
import { serviceImages, type ServiceImages } from './images.js';
import { bootServices, colo, gannet, type Protect, waitForCheckpoints } from './vms.js';

const MIB = 1024 * 1024;

const { values } = parseArgs({
  options: {
    service: { type: 'string', default: 'sqlite' },
    iops: { type: 'string', default: '200' },
    checkpoints: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '2' },
    'fast-primary': { type: 'boolean', default: false },
  },
});

async function traced(
  service: (typeof SERVICES)[number],
  images: ServiceImages,
  protect: Protect,
  count: number,
): Promise<TracedCheckpoint[]> {
  const scope = new Scope();
  try {
    const ids = SERVICES.map(({ id }) => id);
    const started = await bootServices(scope, images, ids);
    const side = await protect(started);
    if (!side) throw new BenchError('without a secondary there are no checkpoints');
    await waitForCheckpoints(side, 2);
    const slow = { iops: Number(values.iops), bytesPerSec: 60 * MIB };
    await started.hosts.primary.limit(values['fast-primary'] ? undefined : slow);
    await started.hosts.secondary.limit(slow);
    const { console, primary } = started;
    const { id, operations, manyOperations } = service;
    // They last for about as long as two checkpoints.
    const few = values['fast-primary'] ? manyOperations : operations;
    console.send(`load ${id} ${count * few} 1`);
    await console.said(`BEGIN ${id}`);
    const [ofPrimary, ofSecondary] = await Promise.all([startTrace(primary), startTrace(side.vm)]);
    await waitForCheckpoints(side, count);
    return checkpointsOf({ primary: await ofPrimary(), secondary: await ofSecondary() });
  } finally {
    await scope.close();
  }
}

function print(name: string, checkpoints: readonly TracedCheckpoint[]): void {
  const row = (what: string, all: readonly number[]): string => {
    const { median, max } = summarize(all);
    return `| ${what} | ${median.toFixed(1)} | ${max.toFixed(1)} |`;
  };
  const rows = PHASES.map((phase, at) =>
    row(
      phase,
      checkpoints.map(({ phasesMs }) => phasesMs[at] ?? NaN),
    ),
  );
  const pauses = checkpoints.map(({ pauseMs }) => pauseMs);
  const head = `| ${name}, ${pauses.length} checkpoints | median ms | most ms |`;
  const all = [head, '| --- | ---: | ---: |', ...rows, row('pause, from STOP to RESUME', pauses)];
  console.log(`${all.join('\n')}\n`);
}

const service = SERVICES.find(({ id }) => id === values.service);
if (!service) throw new BenchError(`no service ${values.service}`);
await Scope.sweep();
const plain = await serviceImages();
const machine = {
  ...plain.machine,
  extraArgs: [...(plain.machine.extraArgs ?? []), ...TRACE_ARGS],
};
const images = { ...plain, machine };
const contenders = { 'COLO, RAM disk': colo('memory'), Gannet: gannet('replication') };
const results = new Map<string, TracedCheckpoint[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, protect] of Object.entries(contenders)) {
    const found = await traced(service, images, protect, Number(values.checkpoints));
    results.set(name, [...(results.get(name) ?? []), ...found]);
  }
}
for (const [name, found] of results) print(name, found);
