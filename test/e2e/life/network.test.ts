import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ClientNetwork,
  findNetworkGuest,
  type LabDaemon,
  LabPair,
  type LabPairOptions,
  type TrafficReport,
} from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { makeCertificates } from '@gannet/test-support/certificates.js';
import { waiting } from '@gannet/test-support/waiting.js';
import { talked } from '../guests.js';

const CONNECTIONS = 12;
/** The default of `network[].compareTimeoutMs`. */
const COMPARE_TIMEOUT_MS = 1000;
/** A guest that is halted for a moment does not count as lost. */
const PEER = { heartbeatMs: 100, lowMs: 1000, highMs: 15_000 };
const { untilSo } = waiting({ patienceMs: 60_000 });

let network: ClientNetwork;
let pair: LabPair | undefined;

beforeEach(async () => {
  network = await ClientNetwork.create(3);
});
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
  await network.dispose();
});

/** No checkpoints but those that the guests' packets, or somebody, ask for. */
async function makePair(config: LabPairOptions['config'] = () => ({})): Promise<LabPair> {
  const guest = await findNetworkGuest();
  // The service has to get a turn beside the oracles.
  const pair = await LabPair.create({
    guest,
    network,
    periodMs: 3_600_000,
    thinkUs: 20_000,
    config: (role) => ({ peer: PEER, ...config(role) }),
  });
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
  return pair;
}

const failuresOf = (reports: readonly TrafficReport[]): unknown[] =>
  reports.filter(({ failure }) => failure !== undefined);

/** What Gannet has added to a QEMU and not taken away. */
async function leftIn(qmpPath: string): Promise<string[]> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: qmpPath } });
  try {
    const objects = await qmp.execute('qom-list', { path: '/objects' });
    const chardevs = await qmp.execute('query-chardev');
    const names = [...objects.map(({ name }) => name), ...chardevs.map(({ label }) => label)];
    return names.filter((name) => name.startsWith('gannet-')).sort();
  } finally {
    await qmp.close();
  }
}

/** Where the packets of the guest beside this daemon go, as its status says. */
async function wayOut(daemon: LabDaemon): Promise<unknown> {
  const { network: cards } = (await daemon.client.call('status')) as { network?: unknown };
  return cards;
}
const card = (state: string): unknown => [{ netdev: 'net0', state }];

const causesOf = ({ primaryDaemon }: LabPair): unknown[] =>
  primaryDaemon.eventsOf('checkpoint').map(({ cause }) => cause);

/**
 * What the primary's guest sends while the secondary's is stopped waits for the same output of the
 * secondary, which does not come before the next checkpoint.
 */
async function untilOutputDiffers(pair: LabPair): Promise<void> {
  await untilSo('a checkpoint for the output', async () => {
    pair.secondary.sigstop();
    await sleep(1.5 * COMPARE_TIMEOUT_MS);
    pair.secondary.sigcont();
    return causesOf(pair).includes('output');
  });
}

/** A checkpoint that differing output has begun may do for one that is asked for meanwhile. */
async function untilDemanded(pair: LabPair): Promise<void> {
  await untilSo('a checkpoint on demand', async () => {
    await pair.primaryDaemon.client.call('checkpoint');
    return causesOf(pair).includes('demand');
  });
}

describe('a client outside', () => {
  it('keeps its connections through failover, reprotect and detach; no byte is lost', async () => {
    pair = await makePair();
    network.open(CONNECTIONS);
    await talked(network, 20);
    expect(await wayOut(pair.primaryDaemon)).toEqual(card('direct'));
    await pair.protect();
    expect(await wayOut(pair.primaryDaemon)).toEqual(card('compared'));
    expect(await wayOut(pair.secondaryDaemon)).toEqual(card('walled'));
    await untilDemanded(pair);
    await talked(network, 20);

    // These are known to the secondary from their packets alone: no checkpoint comes after their
    // beginning.
    network.open(CONNECTIONS);
    await untilSo('all connections', async () => (await network.report()).length > CONNECTIONS);
    await talked(network, 20);
    // The period is an hour: but for the first, with which COLO begins, none is that one's.
    expect(causesOf(pair).lastIndexOf('period')).toBe(0);
    await pair.primary.kill('SIGKILL');
    await pair.failOver();
    expect(await wayOut(pair.secondaryDaemon)).toEqual(card('open'));
    const first = await talked(network, 20);
    const survivors = first.length - failuresOf(first).length;
    process.stdout.write(
      `TCP connections that survived the failover: ${survivors} of ${first.length}\n`,
    );
    expect({ failures: failuresOf(first), all: first.length }).toEqual({
      ...{ failures: [], all: 2 * CONNECTIONS },
    });
    expect(await leftIn(pair.secondary.qmpPaths[0])).toEqual(['gannet-rewriter-net0']);

    await pair.advance();
    await pair.startSecondary();
    await pair.reprotect();
    expect(failuresOf(await talked(network, 20))).toEqual([]);
    await untilOutputDiffers(pair);
    expect(failuresOf(await talked(network, 20))).toEqual([]);
    expect(pair.secondaryDaemon.eventsOf('diverged')).toEqual([]);
    await pair.primaryDaemon.client.call('detach');
    expect(await wayOut(pair.primaryDaemon)).toEqual(card('direct'));
    expect(failuresOf(await talked(network, 20))).toEqual([]);
    expect(await leftIn(pair.primary.qmpPaths[0])).toEqual(['gannet-rewriter-net0']);
    expect(pair.primary.oracle.clean).toBe(true);
  });

  it('keeps them when the packets go over TCP with TLS', async () => {
    const certificates = await mkdtemp(path.join(tmpdir(), 'gannet-tls-'));
    try {
      await makeCertificates(certificates);
      // In the network namespace of the two QEMUs, where nobody else has a port.
      const sockets = { mirror: 'tls:127.0.0.1:10812', compare: 'tls:127.0.0.1:10813' };
      pair = await makePair((role) => ({
        tls: {
          dir: path.join(certificates, role === 'primary' ? 'host-a' : 'host-b'),
          clients: ['host-a'],
        },
        network: [{ netdev: 'net0', primary: sockets, secondary: sockets }],
      }));
      network.open(CONNECTIONS);
      await talked(network, 20);
      await pair.protect();
      expect(await wayOut(pair.primaryDaemon)).toEqual(card('compared'));
      await talked(network, 20);
      await pair.primary.kill('SIGKILL');
      await pair.failOver();
      expect(failuresOf(await talked(network, 20))).toEqual([]);
      expect(await leftIn(pair.secondary.qmpPaths[0])).toEqual(['gannet-rewriter-net0']);
    } finally {
      await rm(certificates, { recursive: true, force: true });
    }
  });
});
