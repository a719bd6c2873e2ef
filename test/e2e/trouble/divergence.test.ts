import { once } from 'node:events';
import { createServer, connect, type Server } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGuest, type LabDaemon, LabPair } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';

// Invariant I5, where a write of the primary goes missing while COLO itself is whole: nothing
// commits any more, the replica never takes over, the primary serves on, and both say what happened
// and what to do. For links that are cut, see links.test.ts.

const PERIOD_MS = 300;

type Json = Record<string, unknown>;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const { until, untilSo } = waiting({ patienceMs: 30_000 });

async function statusOf(daemon: LabDaemon): Promise<Json> {
  return await daemon.client.call('status');
}

/** Asked with and without force. */
async function expectNeverTakesOver(daemon: LabDaemon): Promise<void> {
  for (const force of [false, true]) {
    await expect(daemon.client.call('failover', { force })).rejects.toMatchObject({
      exit: 'refused',
      remedy: expect.stringMatching(/./),
    });
  }
  expect(daemon.eventsOf('failover')).toEqual([]);
}

async function expectPrimaryServes({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(50, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

/**
 * A checkpoint that was under way when the link broke may still commit, provisionally:
 * docs/explanation/architecture.md, "The gate".
 */
const commitsOf = (pair: LabPair): number =>
  pair.commits.filter(({ provisional }) => !provisional).length;

async function expectNoCommit(pair: LabPair, since: number): Promise<void> {
  await expectPrimaryServes(pair);
  expect(commitsOf(pair)).toBe(since);
}

/** Of a request with a compact header, and with an extended one: QEMU asks for those since 8.2. */
const REQUESTS = [0x25609513, 0x21e41c71];

/** Between QEMU and the replicator; when told to, one write goes to where the disk has ended. */
class Meddler {
  isArmed = false;
  #server: Server | undefined;

  constructor(
    private readonly near: string,
    private readonly far: string,
  ) {}

  async listen(): Promise<void> {
    this.#server = createServer((near) => {
      const far = connect(this.far);
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.on('data', (bytes: Buffer) => far.write(this.#meddle(bytes)));
      far.pipe(near);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    }).listen(this.near);
    await once(this.#server, 'listening');
  }

  close(): void {
    this.#server?.close();
  }

  /** NBD_CMD_WRITE without flags, as QEMU's begin a piece of what it sends. */
  #meddle(bytes: Buffer): Buffer {
    const isRequest = bytes.length >= 28 && REQUESTS.includes(bytes.readUInt32BE(0));
    if (!this.isArmed || !isRequest || bytes.readUInt32BE(4) !== 1) return bytes;
    this.isArmed = false;
    bytes.writeBigUInt64BE(2n ** 40n, 16);
    return bytes;
  }
}

describe('one write of the primary fails, on a link that stays whole', () => {
  it.each(['replication', 'mirror'])('%s', async (link) => {
    const at = (name: string): string => path.join(pair.dir, name);
    const pair: LabPair = await LabPair.create({
      guest: await findGuest(),
      periodMs: PERIOD_MS,
      link,
      config: (role) => ({
        ...(role === 'primary' && {
          primary: {
            link,
            nbd: `unix:${at('near.nbd')}`,
            migrate: `unix:${at('incoming0.sock')}`,
            peer: `unix:${at('peer0.sock')}`,
            checkpointPeriodMs: PERIOD_MS,
          },
        }),
      }),
    });
    undo.push(() => pair.dispose());
    const meddler = new Meddler(at('near.nbd'), at('replica0.nbd'));
    undo.push(() => meddler.close());
    await meddler.listen();
    await pair.startProtected(3);
    const { primaryDaemon, secondaryDaemon } = pair;
    meddler.isArmed = true;
    await untilSo('the loss', () => secondaryDaemon.eventsOf('link-lost').length > 0);
    expect(meddler.isArmed).toBe(false);
    await untilSo('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
    const commits = commitsOf(pair);
    await expectNoCommit(pair, commits);
    const status = await until(
      () => statusOf(secondaryDaemon),
      ({ state }) => state === 'diverged',
    );
    expect(status).toMatchObject({
      link: expect.stringMatching(/a write of the primary was refused: .* beyond the end/),
      needs: expect.stringContaining('gannet protect'),
    });
    await expectNeverTakesOver(secondaryDaemon);
  });
});

it('a replicator restarted under a running secondary does not pass for the old one', async () => {
  const pair = await LabPair.create({ guest: await findGuest(), periodMs: PERIOD_MS });
  undo.push(() => pair.dispose());
  await pair.startProtected(3);
  await pair.secondaryDaemon.kill('SIGKILL');
  const restarted = await pair.startDaemon('secondary');
  undo.push(() => restarted.kill());
  const { primaryDaemon } = pair;
  await untilSo('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
  const status = await until(
    () => statusOf(restarted),
    ({ secondaryVm }) => secondaryVm === 'unusable',
  );
  expect(status).toMatchObject({
    mayFailOver: false,
    checkpoints: 0,
    secondaryVmTrouble: expect.stringContaining('does not wait for its primary'),
  });
  // The secondary may have stopped in a checkpoint without its disk, and have come to its
  // end since.
  expect(`${String(status['state'])}: ${String(status['reason'])}`).toMatch(
    /^(seeding: .*|diverged: a checkpoint was made, but no primary is connected to this replica)$/,
  );
  await expectNeverTakesOver(restarted);
  expect(restarted.eventsOf('commit')).toEqual([]);
  // Nor is it protected by mistake: the remedy is another secondary VM.
  await expect(pair.reprotect()).rejects.toMatchObject({ code: 'GANNET_STAGE_FAILED' });
  await expectPrimaryServes(pair);
});
