/**
 * Where the time of a checkpoint goes: `node bench/dist/services/pause-trace.js [--service ID]
 * [--iops N] [--slow both|primary|secondary] [--checkpoints N] [--rounds N] [--requests]
 * [--contender COLO|Gannet]`. Boots the VM of B9 with stock COLO and with Gannet in turn, limits
 * the disks, loads one service, and traces both QEMUs.
 */
import { parseArgs } from 'node:util';
import { BenchError, Scope } from '../harness/scope.js';
import { quantile } from '../harness/stats.js';
import { COLO_RAM } from '../b1-path.js';
import { OURS } from '../b8-guest.js';
import type { Side } from '../harness/pin.js';
import { SERVICES } from './b9-services.js';
import {
  checkpointsOf,
  DRAIN,
  PHASES,
  startTrace,
  TRACE_ARGS,
  type TracedCheckpoint,
  type TraceLine,
} from './checkpoint-trace.js';
import { serviceImages, type ServiceImages } from './images.js';
import { bootServices, colo, gannet, waitForCheckpoints } from './vms.js';

const MIB = 1024 * 1024;

const { values } = parseArgs({
  options: {
    service: { type: 'string', default: 'sqlite' },
    iops: { type: 'string', default: '200' },
    checkpoints: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '2' },
    slow: { type: 'string', default: 'both' },
    requests: { type: 'boolean', default: false },
    contender: { type: 'string', default: '' },
  },
});

async function traced(
  service: (typeof SERVICES)[number],
  images: ServiceImages,
  name: string,
  count: number,
): Promise<TracedCheckpoint[]> {
  const scope = new Scope();
  const isGannet = name === OURS;
  try {
    const ids = SERVICES.map(({ id }) => id);
    const started = await bootServices(scope, images, ids);
    const side = await (isGannet ? gannet('replication') : colo('memory'))(started);
    if (!side) throw new BenchError('without a secondary there are no checkpoints');
    await waitForCheckpoints(side, 2);
    const slow = { iops: Number(values.iops), bytesPerSec: 60 * MIB };
    const isSlow = (side: Side): boolean => values.slow === 'both' || values.slow === side;
    for (const side of ['primary', 'secondary'] as const) {
      await started.hosts[side].limit(isSlow(side) ? slow : undefined);
    }
    const { console, primary } = started;
    const { id, operations, manyOperations } = service;
    // They last for about as long as two checkpoints take.
    const few = isSlow('primary') || !isGannet ? operations : manyOperations;
    console.send(`load ${id} ${count * few} 1`);
    await console.said(`BEGIN ${id}`);
    const [ofPrimary, ofSecondary] = await Promise.all([startTrace(primary), startTrace(side.vm)]);
    await waitForCheckpoints(side, count);
    const traces = { primary: await ofPrimary(), secondary: await ofSecondary() };
    const checkpoints = checkpointsOf(traces);
    if (values.requests) printRequests(name, checkpoints, traces.primary);
    return checkpoints;
  } finally {
    await scope.close();
  }
}

/** What the primary did about its disks from 30 ms before its longest drain until its end. */
function printRequests(
  name: string,
  checkpoints: readonly TracedCheckpoint[],
  trace: readonly TraceLine[],
): void {
  const drainOf = ({ phasesMs }: TracedCheckpoint): number => phasesMs[DRAIN] ?? 0;
  const [longest] = [...checkpoints].sort((a, b) => drainOf(b) - drainOf(a));
  if (!longest) return;
  const { stoppedAtMs } = longest;
  console.log(`${name}, a drain of ${drainOf(longest).toFixed(1)} ms; ms from STOP:`);
  for (const { atMs, text } of trace) {
    const fromStopMs = atMs - stoppedAtMs;
    if (fromStopMs < -30 || fromStopMs > drainOf(longest) + 0.01) continue;
    console.log(`${fromStopMs.toFixed(2).padStart(8)}  ${text}`);
  }
}

function print(name: string, checkpoints: readonly TracedCheckpoint[]): void {
  const row = (what: string, all: readonly number[]): string => {
    const sorted = [...all].sort((a, b) => a - b);
    const cells = [0.5, 0.9, 1].map((share) => quantile(sorted, share).toFixed(1));
    return `| ${[what, ...cells].join(' | ')} |`;
  };
  const rows = PHASES.map((phase, at) =>
    row(
      phase,
      checkpoints.map(({ phasesMs }) => phasesMs[at] ?? NaN),
    ),
  );
  const pauses = checkpoints.map(({ pauseMs }) => pauseMs);
  const head = `| ${name}, ${pauses.length} checkpoints | median ms | p90 | most |`;
  const all = [
    head,
    '| --- | ---: | ---: | ---: |',
    ...rows,
    row('pause, from STOP to RESUME', pauses),
  ];
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
const results = new Map<string, TracedCheckpoint[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const name of [COLO_RAM, OURS].filter((each) => each.includes(values.contender))) {
    const found = await traced(service, images, name, Number(values.checkpoints));
    results.set(name, [...(results.get(name) ?? []), ...found]);
  }
}
for (const [name, found] of results) print(name, found);
