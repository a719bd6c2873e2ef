/** B3: the NBD server alone, without a disk behind it that could be slow. */
import path from 'node:path';
import { takeTurns, type Comparison, type Contender, type Trial } from './harness/comparison.js';
import { fill, fio, type FioReading, type Load } from './harness/fio.js';
import type { ExportSettings, Renewal, Report } from './children/gannet-export.js';
import { answers, endpointFor, type Endpoint, type Transport, uriOf } from './harness/ports.js';
import type { Point } from './harness/result.js';
import { BenchError, type Running, type Scope } from './harness/scope.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE_BYTES = 256 * MIB;
const COMMIT_MS = 500;
/** From a client's coming until there is something to read; the others have it from the start. */
const FILL_SECONDS = 0.5;

interface Server {
  load(transport: Transport, load: Load, seconds: number): Promise<FioReading>;
}

export const GANNET = 'Gannet';
export const GANNET_BASE = 'Gannet, from its base';
export const NBDKIT = 'nbdkit memory';

const RAW_FILES = ['QEMU raw file', 'qemu-nbd raw file'] as const;
/** The transport makes the same difference to each: these are measured over one. */
const UNIX_ONLY: readonly string[] = [...RAW_FILES, GANNET_BASE];

const LOADS: readonly { readonly name: string; readonly load: Load }[] = [
  ...[1, 16, 64].flatMap((depth) => [
    {
      name: `4 KiB random write, qd${depth}`,
      load: { rw: 'randwrite', blockBytes: 4 * KIB, depth } as const,
    },
    {
      name: `4 KiB random read, qd${depth}`,
      load: { rw: 'randread', blockBytes: 4 * KIB, depth } as const,
    },
  ]),
  ...[64, 1024].flatMap((kib) => {
    const size = kib === 1024 ? '1 MiB' : `${kib} KiB`;
    const depth = kib === 1024 ? 4 : 8;
    return [
      {
        name: `${size} write, qd${depth}`,
        load: { rw: 'write', blockBytes: kib * KIB, depth } as const,
      },
      {
        name: `${size} read, qd${depth}`,
        load: { rw: 'read', blockBytes: kib * KIB, depth } as const,
      },
    ];
  }),
];

export const B3: Comparison = {
  name: 'B3',
  title: 'NBD server alone',
  about:
    'fio against each server, over one connection, with 256 MiB of memory behind it and no ' +
    'disk. Gannet takes writes into the open epoch of a protected replica, commits every ' +
    `${COMMIT_MS} ms (four times as often as by default), and writes back to a base in memory ` +
    'at the same time. Reads come from the open epoch or, in a separate column, from the base ' +
    'image.',
  estimateSeconds: 472,
  async run(context) {
    const { scope, quick } = context;
    const contenders = await contendersIn(scope);
    const points = await takeTurns(context, contenders, quick ? quickTrials() : trials());
    return { contenders, baseline: NBDKIT, points, notes: [] };
  },
};

function trials(): Trial<Server>[] {
  return (['unix', 'tcp'] as const).flatMap((transport) =>
    LOADS.map((each) => trialOf(transport, each, 0.4)),
  );
}

/** Enough to see that every server works, over either transport. */
function quickTrials(): Trial<Server>[] {
  const unix = LOADS.filter(({ load }) => load.depth === 16 || load.blockBytes === MIB);
  const tcp = LOADS.filter(({ load }) => load.depth === 16 && load.rw === 'randwrite');
  return [
    ...unix.map((each) => trialOf('unix', each, 0.1)),
    ...tcp.map((each) => trialOf('tcp', each, 0.1)),
  ];
}

function trialOf(
  transport: Transport,
  { name, load }: (typeof LOADS)[number],
  seconds: number,
): Trial<Server> {
  const unit = load.blockBytes > 4 * KIB ? 'MiB/s' : 'IOPS';
  const better: Point['better'] = 'higher';
  const isWrite = load.rw.endsWith('write');
  return {
    point: `${name}, ${transport}`,
    unit,
    better,
    isFor: (contender) =>
      !(isWrite && contender === GANNET_BASE) &&
      !(transport === 'tcp' && UNIX_ONLY.includes(contender)),
    measure: async (server, round) => {
      const reading = await server.load(transport, load, round < 1 ? seconds / 2 : seconds);
      return unit === 'IOPS' ? reading.iops : reading.bytesPerSec / MIB;
    },
  };
}

async function contendersIn(scope: Scope): Promise<Contender<Server>[]> {
  const program = async (
    commandOf: (endpoint: Endpoint, file: string) => readonly string[],
    exportName = '',
    transports: readonly Transport[] = ['unix', 'tcp'],
  ): Promise<Server> => {
    const endpoints = new Map<Transport, string>();
    for (const transport of transports) {
      const folder = await scope.folder('memory');
      const endpoint = await endpointFor(transport, folder);
      const file = path.join(folder, 'disk.raw');
      await scope.run(['truncate', '--size', `${SIZE_BYTES}`, file]);
      const running = scope.start(commandOf(endpoint, file));
      await running.ready(() => answers(endpoint));
      const uri = uriOf(endpoint, exportName);
      await fill(scope, uri, SIZE_BYTES);
      endpoints.set(transport, uri);
    }
    return {
      load: (transport, load, seconds) => {
        const uri = endpoints.get(transport) ?? '';
        return fio(scope, { uri, load, seconds, rampSeconds: 0.2, sizeBytes: SIZE_BYTES });
      },
    };
  };
  return [
    {
      name: GANNET,
      setup: 'the wiring of `gannet secondary` with an external source; the defaults',
      subject: await GannetServer.start(scope, 'pvm'),
    },
    {
      name: NBDKIT,
      setup: '`nbdkit memory 256M`: its memory plugin, with its default of 16 threads',
      subject: await program((endpoint) => [
        'nbdkit',
        '-f',
        ...nbdkitAt(endpoint),
        'memory',
        '256M',
      ]),
    },
    {
      name: 'QEMU null-co',
      setup: '`qemu-storage-daemon`, an export of `null-co`: no data is kept at all',
      subject: await program(
        (endpoint) => storageDaemon(endpoint, [`driver=null-co,node-name=disk,size=${SIZE_BYTES}`]),
        'disk',
      ),
    },
    {
      name: RAW_FILES[0],
      setup: '`qemu-storage-daemon`, an export of a raw file on tmpfs; defaults; unix socket only',
      subject: await program((endpoint, file) => storageDaemon(endpoint, [rawFile(file)]), 'disk', [
        'unix',
      ]),
    },
    {
      name: RAW_FILES[1],
      setup: '`qemu-nbd -f raw --persistent` of a raw file on tmpfs; defaults; unix socket only',
      subject: await program(
        (endpoint, file) => [
          ...['qemu-nbd', '--format=raw', '--persistent', '--shared=4'],
          ...(endpoint.transport === 'unix'
            ? [`--socket=${endpoint.path}`]
            : ['--bind=127.0.0.1', `--port=${endpoint.port}`]),
          file,
        ],
        '',
        ['unix'],
      ),
    },
    {
      name: GANNET_BASE,
      setup:
        'as Gannet, but what is read was never written: it comes from the base image on tmpfs; ' +
        'unix socket only',
      subject: await GannetServer.start(scope, 'svm', ['unix']),
    },
  ];
}

function nbdkitAt(endpoint: Endpoint): string[] {
  if (endpoint.transport === 'unix') return ['--unix', endpoint.path];
  return ['--ipaddr', '127.0.0.1', '--port', `${endpoint.port}`];
}

function rawFile(file: string): string {
  return `driver=raw,node-name=disk,file.driver=file,file.filename=${file}`;
}

function storageDaemon(endpoint: Endpoint, nodes: readonly string[]): string[] {
  const address =
    endpoint.transport === 'unix'
      ? `addr.type=unix,addr.path=${endpoint.path}`
      : `addr.type=inet,addr.host=127.0.0.1,addr.port=${endpoint.port}`;
  return [
    'qemu-storage-daemon',
    ...nodes.flatMap((node) => ['--blockdev', node]),
    ...['--nbd-server', address],
    ...['--export', 'type=nbd,id=export,node-name=disk,name=disk,writable=on'],
  ];
}

/** Gannet's export in a process of its own, renewed before each client. */
export class GannetServer implements Server {
  private constructor(
    private readonly scope: Scope,
    private readonly side: 'pvm' | 'svm',
    private readonly servers: ReadonlyMap<Transport, { running: Running; endpoint: Endpoint }>,
  ) {}

  static async start(
    scope: Scope,
    side: 'pvm' | 'svm',
    transports: readonly Transport[] = ['unix', 'tcp'],
    commitMs = COMMIT_MS,
  ): Promise<GannetServer> {
    const servers = new Map<Transport, { running: Running; endpoint: Endpoint }>();
    for (const transport of transports) {
      const folder = await scope.folder('memory');
      const endpoint = await endpointFor(transport, folder);
      const base = path.join(folder, 'base.raw');
      await scope.run(['dd', 'if=/dev/zero', `of=${base}`, 'bs=1M', `count=${SIZE_BYTES / MIB}`]);
      const settings: ExportSettings = {
        ...{ endpoint, base, sizeBytes: SIZE_BYTES, commitMs },
      };
      const program = path.join(import.meta.dirname, 'children', 'gannet-export.js');
      const running = scope.start([process.execPath, program, JSON.stringify(settings)]);
      await running.ready(() => answers(endpoint));
      servers.set(transport, { running, endpoint });
    }
    return new GannetServer(scope, side, servers);
  }

  pidOf(transport: Transport): number {
    const server = this.servers.get(transport);
    if (!server) throw new BenchError(`no server for ${transport}`);
    return server.running.pid;
  }

  async load(
    transport: Transport,
    load: Load,
    seconds: number,
    rampSeconds = 0.2,
  ): Promise<FioReading> {
    const server = this.servers.get(transport);
    if (!server) throw new BenchError(`no server for ${transport}`);
    const readsEpoch = load.rw.endsWith('read') && this.side === 'pvm';
    await ask(server.running, { renew: { fill: readsEpoch } });
    const uri = uriOf(server.endpoint, this.side);
    const reading = await fio(this.scope, {
      ...{ uri, load, seconds, sizeBytes: SIZE_BYTES },
      rampSeconds: rampSeconds + (readsEpoch ? FILL_SECONDS : 0),
    });
    const { state, reason, commits } = await ask(server.running, {});
    if (state === 'diverged') throw new BenchError(`the replica has diverged: ${reason}`);
    if (this.side === 'pvm' && commits === 0) throw new BenchError('nothing was committed');
    return reading;
  }
}

function ask(running: Running, message: { renew?: Renewal }): Promise<Report> {
  return new Promise((resolve, reject) => {
    const { child } = running;
    void running.exited.then(() => reject(new BenchError(`gannet ended: ${running.stderrTail}`)));
    child.once('message', (answer: { report?: Report; error?: string }) => {
      if (answer.report) resolve(answer.report);
      else reject(new BenchError(answer.error ?? 'no answer'));
    });
    child.send(message, (error) => {
      if (error) reject(error);
    });
  });
}
