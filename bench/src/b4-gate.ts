/** B4: how long requests wait at a checkpoint. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiskLimits } from '@gannet/lab';
import { FakeQemu, type ListeningFakeQemu } from 'qemu-qmp-client/testing';
import type { Comparison, Context } from './harness/comparison.js';
import type { GateAnswer, GateRequest, GateSettings } from './children/gate-replica.js';
import { answers, type Endpoint, uriOf } from './harness/ports.js';
import { Collector } from './harness/result.js';
import { BenchError, type Running, Scope } from './harness/scope.js';
import { slowHost } from './harness/slow-host.js';
import { quantile } from './harness/stats.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const SIZE_BYTES = 5 * GIB;
/** QEMU takes at least some milliseconds from STOP to RESUME. */
const STOPPED_MS = 4;

export const GATE = 'gate closed';
export const ROUND_TRIP = 'QMP round trip';
const COMMIT = 'commit alone';
const READ = 'read of the base';
/** At the end of a slow base; in the page cache, since it has just been written. */
const DATA_BYTES = 16 * MIB;

interface Amount {
  readonly pages: number;
  readonly checkpointsPerRound: number;
}

interface Setting {
  /** Behind the number of pages. */
  readonly suffix: string;
  /** The disk that committed pages are written back to, all the time; or they are dropped. */
  readonly disk: DiskLimits | undefined;
  readonly amounts: readonly Amount[];
}

const SETTINGS: readonly Setting[] = [
  {
    ...{ suffix: '', disk: undefined },
    amounts: [
      { pages: 10, checkpointsPerRound: 40 },
      { pages: 10_000, checkpointsPerRound: 40 },
      { pages: 1_000_000, checkpointsPerRound: 2 },
    ],
  },
  {
    suffix: ', slow base',
    disk: { iops: 200, bytesPerSec: 60 * MIB },
    amounts: [
      { pages: 10, checkpointsPerRound: 40 },
      { pages: 10_000, checkpointsPerRound: 40 },
    ],
  },
];

function amountName({ suffix }: Setting, { pages }: Amount): string {
  return `${pages} dirty pages${suffix}`;
}

export function p99Point(amount: string): string {
  return `${amount}, p99 of all rounds`;
}
export const DIRTY_AMOUNTS: readonly string[] = SETTINGS.flatMap((setting) =>
  setting.amounts.map((amount) => amountName(setting, amount)),
);

export const B4: Comparison = {
  name: 'B4',
  title: 'Gate at a checkpoint',
  about:
    "A fake QEMU in another process sends STOP and RESUME and answers Gannet's queries, while " +
    'fio writes random 4 KiB pages at queue depth 16. The gate is closed from RESUME until ' +
    'query-colo-status is answered and the epoch is committed. A round trip is the same query ' +
    'at another time, under the same load. With 10^6 pages there are only a few checkpoints, so ' +
    'the p99 is the worst of them. With a slow base, what is committed is written back at the ' +
    'same time, to a disk with 200 IOPS and 60 MiB/s; otherwise it is dropped.',
  estimateSeconds: 60,
  async run(context) {
    const collector = new Collector();
    for (const setting of SETTINGS) {
      const scope = new Scope();
      context.scope.defer(() => scope.close());
      try {
        await measure(context, await GateBench.start(scope, setting), setting, collector);
      } finally {
        await scope.close();
      }
    }
    const contenders = [
      {
        name: GATE,
        setup: "the checkpointer's own measure, from RESUME to the open gate",
        subject: 0,
      },
      { name: ROUND_TRIP, setup: 'query-colo-status, asked and answered', subject: 0 },
      { name: COMMIT, setup: "the replica's commit(), without the question", subject: 0 },
      {
        name: READ,
        setup: "4 KiB for the secondary's guest that the page cache has, with a slow base",
        subject: 0,
      },
    ];
    return { contenders, baseline: undefined, points: collector.points(), notes: [] };
  },
};

async function measure(
  { rounds, quick, progress }: Context,
  bench: GateBench,
  setting: Setting,
  collector: Collector,
): Promise<void> {
  const all = new Map<string, number[]>();
  const amounts = quick ? setting.amounts.slice(0, 2) : setting.amounts;
  const how = { unit: 'ms', better: 'lower' } as const;
  const perRound = (count: number): number => (quick ? 3 : count);
  progress.expect(
    (rounds + 1) * amounts.reduce((sum, each) => sum + perRound(each.checkpointsPerRound), 0),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const amount of amounts) {
      const { pages, checkpointsPerRound } = amount;
      const what = amountName(setting, amount);
      const samples = new Map<string, number[]>(measuredIn(setting).map((name) => [name, []]));
      for (let count = 0; count < perRound(checkpointsPerRound); count++) {
        progress.step(what);
        const { gateClosedMs, roundTripMs, commitMs, readMs } = await bench.checkpoint(pages);
        samples.get(GATE)?.push(gateClosedMs);
        samples.get(ROUND_TRIP)?.push(roundTripMs);
        samples.get(COMMIT)?.push(commitMs);
        samples.get(READ)?.push(readMs);
      }
      if (round === 0) continue;
      for (const [name, values] of samples) {
        const value = quantile(
          [...values].sort((a, b) => a - b),
          0.5,
        );
        collector.add(name, { ...how, point: `${what}, median of a round`, value });
        const key = `${name}/${what}`;
        all.set(key, [...(all.get(key) ?? []), ...values]);
      }
    }
  }
  for (const amount of amounts) {
    const what = amountName(setting, amount);
    for (const name of measuredIn(setting)) {
      const sorted = (all.get(`${name}/${what}`) ?? []).sort((a, b) => a - b);
      const value = quantile(sorted, 0.99);
      collector.add(name, { ...how, point: p99Point(what), value });
    }
  }
}

/** Without data in it, a base is not read. */
function measuredIn({ disk }: Setting): string[] {
  return [GATE, ROUND_TRIP, COMMIT, ...(disk ? [READ] : [])];
}

interface Checkpoint {
  readonly gateClosedMs: number;
  readonly commitMs: number;
  readonly roundTripMs: number;
  readonly readMs: number;
}

class GateBench {
  readonly #waiting = new Map<string, (answer: GateAnswer) => void>();
  #trouble: string | undefined;

  private constructor(
    private readonly qemu: ListeningFakeQemu,
    private readonly replica: Running,
    private readonly load: Running,
  ) {
    replica.child.on('message', (answer: GateAnswer) => {
      if (answer.kind === 'trouble') this.#trouble = answer.reason;
      this.#waiting.get(answer.kind)?.(answer);
      this.#waiting.delete(answer.kind);
    });
  }

  static async start(scope: Scope, { disk }: Setting): Promise<GateBench> {
    const folder = await scope.folder('memory');
    const qemu = await FakeQemu.listen({ path: path.join(folder, 'qmp.sock') });
    scope.defer(() => qemu.close());
    qemu.qemu.reply('query-status', { status: 'colo', running: false, singlestep: false });
    const status = { mode: 'secondary', 'last-mode': 'none', reason: 'none' };
    qemu.qemu.reply('query-colo-status', status);
    const endpoint: Endpoint = { transport: 'unix', path: path.join(folder, 'nbd.sock') };
    const settings: GateSettings = {
      ...{ nbdPath: endpoint.path, qmpPath: qemu.path, sizeBytes: SIZE_BYTES },
      base: path.join(disk ? await scope.folder() : folder, 'base.raw'),
      isWrittenBack: disk !== undefined,
      ...{ dataAt: SIZE_BYTES - DATA_BYTES, dataBytes: DATA_BYTES },
    };
    const program = path.join(import.meta.dirname, 'children', 'gate-replica.js');
    if (disk) {
      const to = [`of=${settings.base}`, 'bs=1M', `seek=${settings.dataAt / MIB}`];
      await scope.run(['dd', 'if=/dev/urandom', ...to, `count=${DATA_BYTES / MIB}`]);
    }
    const host = disk ? (await slowHost(scope, disk)).enter() : [];
    const replica = scope.start([...host, process.execPath, program, JSON.stringify(settings)]);
    await replica.ready(() => answers(endpoint));
    const load = scope.start([
      ...['fio', '--name=load', '--ioengine=nbd', `--uri=${uriOf(endpoint, 'pvm')}`, '--thread'],
      ...['--rw=randwrite', '--bs=4k', '--iodepth=16', '--norandommap', '--size=64m'],
      ...['--time_based', '--runtime=3600'],
    ]);
    const bench = new GateBench(qemu, replica, load);
    await bench.#untilConnected();
    return bench;
  }

  /** Dirties pages, measures a round trip, then stops and resumes as QEMU does. */
  async checkpoint(pages: number): Promise<Checkpoint> {
    await this.#ask({ kind: 'dirty', pages });
    const trip = await this.#ask({ kind: 'round-trip' });
    const committed = this.#answer('commit');
    this.qemu.qemu.emit('STOP');
    await sleep(STOPPED_MS);
    this.qemu.qemu.emit('RESUME');
    const read = await this.#ask({ kind: 'read' });
    const commit = await committed;
    if (commit.kind !== 'commit' || trip.kind !== 'round-trip' || read.kind !== 'read') {
      throw new BenchError('out of order');
    }
    if (commit.pages < pages) throw new BenchError(`${commit.pages} pages, expected ${pages}`);
    const { gateClosedMs, commitMs } = commit;
    return { gateClosedMs, commitMs, roundTripMs: trip.ms, readMs: read.ms };
  }

  /** fio connects twice: until it writes, it may leave again. */
  async #untilConnected(): Promise<void> {
    for (let settled = 0; settled < 10;) {
      const status = await this.#ask({ kind: 'status' });
      settled = status.kind === 'status' && status.isConnected ? settled + 1 : 0;
      await sleep(20);
    }
  }

  #ask(request: GateRequest): Promise<GateAnswer> {
    const answer = this.#answer(request.kind);
    this.replica.child.send(request);
    return answer;
  }

  async #answer(kind: GateAnswer['kind']): Promise<GateAnswer> {
    const timeout = new AbortController();
    try {
      return await Promise.race([
        new Promise<GateAnswer>((resolve) => this.#waiting.set(kind, resolve)),
        sleep(30_000, undefined, { signal: timeout.signal }).then(() => this.#fail(`no ${kind}`)),
        this.replica.exited.then(() => this.#fail('the replica ended')),
        this.load.exited.then(() => this.#fail('the load ended')),
      ]);
    } finally {
      timeout.abort();
    }
  }

  #fail(why: string): never {
    const tails = `${this.replica.stderrTail}${this.load.stderrTail}`;
    throw new BenchError(`${why}: ${this.#trouble ?? tails}`);
  }
}
