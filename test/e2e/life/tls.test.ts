import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { findGuest, LabPair } from '@gannet/lab';
import { makeCertificates } from '@gannet/test-support/certificates.js';
import { waiting } from '@gannet/test-support/waiting.js';
import { freePort } from '@gannet/test-support/ports.js';

const STRANGERS = path.resolve(import.meta.dirname, 'strangers.mjs');
const { until } = waiting({ patienceMs: 40_000 });
const PERIOD_MS = 500;
/** How long checkpoints are counted, without strangers and with them. */
const WINDOW_MS = 8000;

type Json = Record<string, unknown>;

let certificates: string;
beforeAll(async () => {
  certificates = await mkdtemp(path.join(tmpdir(), 'gannet-tls-'));
  await makeCertificates(certificates);
});
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
afterAll(() => rm(certificates, { recursive: true, force: true }));

async function makePair(
  tlsOf: (host: string) => Json,
): Promise<{ pair: LabPair; ports: number[] }> {
  const ports = [await freePort(), await freePort()];
  const [nbd, peer] = ports.map((port) => `tls:127.0.0.1:${port}`);
  const migrate = `tls:127.0.0.1:${await freePort()}`;
  let dirOf = (): string => '';
  const pair: LabPair = await LabPair.create({
    guest: await findGuest(),
    periodMs: PERIOD_MS,
    fillMb: 8,
    secondary: {
      ...{ nbd, peer, migrate },
      get svm() {
        return `unix:${dirOf()}/replica0.nbd`;
      },
    },
    config: (role) => ({
      tls: tlsOf(role === 'primary' ? 'host-a' : 'host-b'),
      ...(role === 'primary' && {
        primary: {
          nbd,
          peer,
          migrate,
          checkpointPeriodMs: PERIOD_MS,
        },
      }),
    }),
  });
  dirOf = () => pair.dir;
  return { pair, ports };
}

async function commitsIn(pair: LabPair, ms: number): Promise<number> {
  const before = pair.commits.length;
  await sleep(ms);
  return pair.commits.length - before;
}

/** Somebody who can reach the ports from another address, for as long as it takes. */
async function besieged(ports: number[], work: () => Promise<void>): Promise<Json> {
  const args = ['--pdeathsig', 'KILL', 'nice', process.execPath, STRANGERS, '127.0.0.3'];
  const child = spawn('setpriv', [...args, ...ports.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  try {
    await work();
    child.stdin.end();
    await once(child, 'close');
    return JSON.parse(output) as Json;
  } finally {
    child.kill('SIGKILL');
  }
}

it('a pair over TLS with certificates is protected, is attacked, and fails over', async () => {
  const { pair, ports } = await makePair((host) => ({
    dir: path.join(certificates, host),
    clients: ['host-a'],
  }));
  undo.push(() => pair.dispose());
  await pair.startProtected(3);

  const undisturbed = await commitsIn(pair, WINDOW_MS);
  let disturbed = 0;
  const deeds = await besieged(ports, async () => {
    disturbed = await commitsIn(pair, WINDOW_MS);
  });
  process.stderr.write(`${JSON.stringify({ undisturbed, disturbed, deeds })}\n`);
  expect(deeds['connections']).toBeGreaterThan(1000);
  expect(disturbed).toBeGreaterThan(undisturbed / 3);
  for (const daemon of [pair.primaryDaemon, pair.secondaryDaemon]) {
    expect(await daemon.client.call('status')).toMatchObject({
      state: 'protected',
      peer: { pulse: 'up' },
    });
  }
  expect(await pair.secondaryDaemon.client.call('status')).toMatchObject({
    strangers: { turnedAway: expect.any(Number), last: { address: expect.stringMatching(/^127/) } },
  });
  // All that was told of, together: not one line for each.
  expect(pair.secondaryDaemon.eventsOf('strangers').length).toBeLessThan(10);
  expect(pair.secondaryDaemon.eventsOf('strangers')[0]).toMatchObject({ count: 1 });
  expect(pair.primary.oracle.clean).toBe(true);

  await pair.primary.kill('SIGKILL');
  await pair.failOver();
  await pair.secondary.oracle.waitForWrites(50, { signal: pair.secondary.gone });
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
});

it('a pair over TLS-PSK runs on alone when its replicator hangs, and logs no secret', async () => {
  const { pair } = await makePair(() => ({ dir: path.join(certificates, 'psk'), kind: 'psk' }));
  undo.push(() => pair.dispose());
  await pair.startProtected(2);
  // QEMU waits on a link whose other end takes nothing: it is cut below TLS.
  pair.secondaryDaemon.stop();
  await until(
    () => pair.primaryDaemon.client.call('status') as Promise<Json>,
    ({ state }) => state === 'alone',
  );
  await pair.primary.oracle.waitForWrites(100, { signal: pair.primary.gone });
  expect(pair.primary.oracle.clean).toBe(true);
});
