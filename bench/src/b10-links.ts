/** B10: for how long a checkpoint stops the guest, by the kind of link between the hosts. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findGuest, HOST_ADDRESSES, LabPair, type LabGuest, TwoHosts } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import {
  takeTurns,
  type Comparison,
  type Contender,
  type Reading,
  type Trial,
} from './harness/comparison.js';
import { freePort } from './harness/ports.js';
import { BenchError, type Scope } from './harness/scope.js';
import { quantile } from './harness/stats.js';

const PERIOD_MS = 500;
const CHECKPOINTS = 20;
/** So that little memory changes between two checkpoints: what remains is the link's. */
const THINK_US = 20_000;
const PORT = 7100;

export const SOCKET = 'unix socket';
export const TLS = 'TLS';
export const TLS_QUICK = 'TLS, quickack';
export const PAUSE = 'pause, median';

type Host = 0 | 1;

/** How the guest's memory gets from one host to the other. */
interface Link {
  readonly kind: 'unix' | 'relay' | 'loopback' | 'tls';
  /** The hosts whose route to the other one has `quickack 1`. */
  readonly quick?: readonly Host[];
}

const CONTENDERS: readonly Contender<Link>[] = [
  { name: SOCKET, setup: 'both VMs on one host', subject: { kind: 'unix' } },
  {
    name: 'relay',
    setup: 'a unix socket on each host, and a relay with TCP_NODELAY between them',
    subject: { kind: 'relay' },
  },
  {
    name: 'TCP, loopback',
    setup: '`tcp:127.0.0.1:PORT`, as with a tunnel on a TCP port',
    subject: { kind: 'loopback' },
  },
  { name: TLS, setup: '`tls:HOST:PORT`, the routes as they are', subject: { kind: 'tls' } },
  {
    name: `${TLS_QUICK} on the primary`,
    setup: 'the same, and `quickack 1` on the route from the primary host to the other one',
    subject: { kind: 'tls', quick: [0] },
  },
  {
    name: `${TLS_QUICK} on the secondary`,
    setup: 'the same, and `quickack 1` on the route from the secondary host to the other one',
    subject: { kind: 'tls', quick: [1] },
  },
  {
    name: TLS_QUICK,
    setup: 'the same, and `quickack 1` on both routes',
    subject: { kind: 'tls', quick: [0, 1] },
  },
];

export const B10: Comparison = {
  name: 'B10',
  title: 'Pause by kind of link',
  about:
    `For how long each of ${CHECKPOINTS} checkpoints stops the guest, from STOP to RESUME in the ` +
    "primary's QMP events, by the link that carries the migration. The two hosts are network " +
    'namespaces with a cable (veth) between them, without a delay of its own. The guest of the ' +
    'end-to-end tests under TCG, which writes little. Each round boots it again.',
  estimateSeconds: 700,
  async run(context) {
    const guest = await findGuest();
    const trial: Trial<Link> = {
      ...{ point: PAUSE, unit: 'ms', better: 'lower' },
      measure: (link) => pauses(context.scope, guest, link, context.quick ? 3 : CHECKPOINTS),
    };
    const points = await takeTurns(context, CONTENDERS, [trial], 0);
    return { contenders: CONTENDERS, baseline: SOCKET, points, notes: [] };
  },
};

async function pauses(
  scope: Scope,
  guest: LabGuest,
  { kind, quick = [] }: Link,
  count: number,
): Promise<Reading[]> {
  const folder = await scope.folder();
  const near = path.join(folder, 'migration');
  let pair = undefined as LabPair | undefined;
  const far = (): string => path.join(pair?.dir ?? '', 'incoming0.sock');
  const port = kind === 'loopback' ? await freePort() : PORT;
  const migrate = {
    unix: undefined,
    relay: `unix:${near}`,
    loopback: `tcp:127.0.0.1:${port}`,
    tls: `tls:${HOST_ADDRESSES[1]}:${port}`,
  }[kind];
  const hosts = kind === 'tls' ? await TwoHosts.create([]) : undefined;
  if (hosts) scope.defer(() => hosts.dispose());
  for (const host of quick) await hosts?.run(host, 'sh', '-c', await quickAck(hosts, host));
  const listens = kind === 'loopback' || kind === 'tls' ? migrate : undefined;
  const key = `gannet:${randomBytes(32).toString('hex')}\n`;
  await writeFile(path.join(folder, 'keys.psk'), key, { mode: 0o600 });
  const options = { guest, periodMs: PERIOD_MS, thinkUs: THINK_US, hosts };
  pair = await LabPair.create({
    ...options,
    secondary: listens === undefined ? {} : { migrate: listens },
    config: (role) => {
      const tls = kind === 'tls' ? { tls: { dir: folder, kind: 'psk' } } : {};
      if (role === 'secondary' || migrate === undefined) return tls;
      const { dir } = pair ?? { dir: '' };
      const primary = {
        ...{ nbd: `unix:${dir}/replica0.nbd`, peer: `unix:${dir}/peer0.sock`, migrate },
        checkpointPeriodMs: PERIOD_MS,
      };
      return { ...tls, primary };
    },
  });
  const made = pair;
  scope.defer(() => made.dispose());
  const relay =
    kind === 'relay' ? await TwoHosts.create([{ name: 'migration', near, far: far() }]) : undefined;
  if (relay) scope.defer(() => relay.dispose());
  await made.startProtected(2);
  const all = await readPauses(made.primary.qmpPaths[0], count);
  await made.dispose();
  await hosts?.dispose();
  await relay?.dispose();
  const sorted = all.sort((a, b) => a - b);
  const how = { unit: 'ms', better: 'lower' } as const;
  return [
    { point: PAUSE, ...how, value: quantile(sorted, 0.5) },
    { point: 'pause, longest', ...how, value: sorted.at(-1) ?? NaN },
  ];
}

/** The next checkpoints, by QEMU's own clock. */
async function readPauses(qmpPath: string, count: number): Promise<number[]> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: qmpPath } });
  const all: number[] = [];
  try {
    let stoppedMs: number | undefined;
    const timeoutMs = 10 * PERIOD_MS * count;
    const names = ['STOP', 'RESUME'] as const;
    for await (const { event, timestamp } of qmp.events({
      names,
      signal: AbortSignal.timeout(timeoutMs),
    })) {
      const atMs = timestamp.seconds * 1000 + timestamp.microseconds / 1000;
      if (event === 'STOP') stoppedMs = atMs;
      else if (stoppedMs !== undefined && all.push(atMs - stoppedMs) === count) return all;
    }
    throw new BenchError('the primary sent no more events');
  } finally {
    await qmp.close();
  }
}

async function quickAck(hosts: TwoHosts, host: Host): Promise<string> {
  const route = await hosts.run(host, 'ip', 'route', 'get', HOST_ADDRESSES[1 - host] ?? '');
  return `ip route replace ${route.split(' uid ')[0]} quickack 1`;
}
