import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type Cut, findGuest, LabPair, type LabVm, TwoHosts } from 'gannet/lab';

// docs/failover.md says what is to come of each fault; this is that table, on two hosts with a cable between them.

const PERIOD_MS = 300;
const PEER = { heartbeatMs: 100, lowMs: 800, highMs: 2000 };
const PATIENCE_MS = 30_000;

type Link = 'nbd' | 'migration' | 'peer';
type Json = Record<string, unknown>;

/** Power off, by the number that the test has put there. */
const FENCE = 'read pid <"$LAB/$GANNET_FENCE.pid" && kill -9 "$pid"';

interface Bench {
  readonly pair: LabPair;
  readonly network: TwoHosts;
}

let bench: Bench | undefined;
let guard: NodeJS.Timeout | undefined;
afterEach(async () => {
  clearInterval(guard);
  await bench?.pair.dispose();
  await bench?.network.dispose();
  bench = undefined;
});

interface Options {
  readonly link?: string;
  readonly fences?: { readonly primary: string; readonly secondary: string };
}

async function protectedPair({
  link = 'replication',
  fences = { primary: FENCE, secondary: FENCE },
}: Options = {}): Promise<Bench> {
  const dirOf = (): string => pair.dir;
  const socket = (name: string): string => path.join(dirOf(), name);
  const pair: LabPair = await LabPair.create({
    guest: await findGuest(),
    periodMs: PERIOD_MS,
    link,
    secondary: { failover: 'automatic' },
    env: () => ({ LAB: dirOf() }),
    config: (role) => ({
      peer: PEER,
      fence: { command: ['sh', '-c', fences[role]] },
      ...(role === 'primary' && {
        primary: {
          link,
          nbd: `unix:${socket('near.nbd')}`,
          migrate: `unix:${socket('near.migration')}`,
          peer: `unix:${socket('near.peer')}`,
          checkpointPeriodMs: PERIOD_MS,
        },
      }),
    }),
  });
  const network = await TwoHosts.create([
    { name: 'nbd', near: socket('near.nbd'), far: socket('replica0.nbd') },
    { name: 'migration', near: socket('near.migration'), far: socket('incoming0.sock') },
    { name: 'peer', near: socket('near.peer'), far: socket('peer0.sock') },
  ]);
  bench = { pair, network };
  await pair.bootPrimary();
  await pair.startSecondary();
  await writeFile(socket('primary.pid'), `${pair.primary.pid}\n`);
  await writeFile(socket('secondary.pid'), `${pair.secondary.pid}\n`);
  await pair.startPrimaryDaemon();
  await pair.protect();
  await pair.waitForCommits(3);
  guardAgainstBoth(pair);
  return bench;
}

/** Executes its guest, for all that can be seen from outside: it is there, and not halted. */
function executes(vm: LabVm): boolean {
  if (!vm.running) return false;
  try {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${vm.pid}/stat`, 'utf8'))?.[1];
    return state !== undefined && !'TZX'.includes(state);
  } catch {
    return false;
  }
}

let bothRan: string | undefined;

/** Looks all the time for what must never be: two guests on their own. */
function guardAgainstBoth(pair: LabPair): void {
  const { primary, secondary, secondaryDaemon } = pair;
  bothRan = undefined;
  guard = setInterval(() => {
    const tookOver = secondaryDaemon.eventsOf('failover').length > 0;
    if (tookOver && executes(secondary) && executes(primary)) bothRan ??= new Date().toISOString();
  }, 10);
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !isSo();) {
    if (performance.now() - startMs > PATIENCE_MS) {
      const { primaryDaemon, secondaryDaemon } = bench?.pair ?? {};
      const log = `${primaryDaemon?.logTail ?? ''}\n\n${secondaryDaemon?.logTail ?? ''}`;
      throw new Error(`waited in vain for ${what}\n${log}`);
    }
    await sleep(20);
  }
}

/** Long enough for whoever might act late. */
const settle = (): Promise<void> => sleep(2 * PEER.highMs);

async function stateOf(daemon: LabPair['primaryDaemon']): Promise<Json> {
  return (await daemon.client.call('status')) as Json;
}

const fencesOf = (daemon: LabPair['primaryDaemon']): Json[] =>
  daemon.eventsOf('fence').map(({ target, succeeded }) => ({ target, succeeded }));

async function expectPrimaryWell({ primary }: LabPair): Promise<void> {
  await primary.oracle.waitForWrites(50, { signal: primary.gone });
  expect(primary.oracle.clean).toBe(true);
}

describe('the primary runs on, and its secondary never will', () => {
  const faults: readonly { how: Cut; links: Link[]; known: boolean; link?: string }[] = [
    { how: 'drop', links: ['nbd'], known: true },
    { how: 'drop', links: ['nbd'], known: true, link: 'mirror' },
    { how: 'drop', links: ['migration'], known: true },
    { how: 'drop', links: ['peer'], known: false },
    { how: 'drop', links: ['nbd', 'migration', 'peer'], known: false },
    { how: 'reset', links: ['nbd'], known: true },
    { how: 'reset', links: ['migration'], known: true },
    { how: 'reset', links: ['nbd', 'migration', 'peer'], known: false },
  ];
  const named = faults.map((fault) => ({
    ...fault,
    name: `${fault.links.join(', ')}: ${fault.how}${fault.link ? ` (${fault.link})` : ''}`,
  }));

  it.each(named)('$name', async ({ how, links, known, link }) => {
    const { pair, network } = await protectedPair(link === undefined ? {} : { link });
    const { primary, secondary, primaryDaemon, secondaryDaemon } = pair;
    await network.cut(how, ...links);
    await until('the primary to be alone', () => primaryDaemon.eventsOf('alone').length > 0);
    await expectPrimaryWell(pair);
    // Who has been told never will; who could not be might.
    if (!known) await settle();

    expect(primaryDaemon.eventsOf('alone')).toMatchObject([{ secondaryKnows: known }]);
    expect(fencesOf(primaryDaemon)).toEqual(
      known ? [] : [{ target: 'secondary', succeeded: true }],
    );
    expect(secondary.running).toBe(known);
    expect(fencesOf(secondaryDaemon)).toEqual([]);
    expect(secondaryDaemon.eventsOf('failover-begins')).toEqual([]);
    expect(await stateOf(primaryDaemon)).toMatchObject({ state: 'alone', primaryVm: 'ready' });
    expect(bothRan).toBeUndefined();

    // Whoever could not be told hears of it when the cable is whole again.
    await network.mend();
    await until('the secondary to be outdated', () =>
      secondaryDaemon.eventsOf('state').some(({ to }) => to === 'diverged'),
    );
    await expect(secondaryDaemon.client.call('failover', { force: true })).rejects.toMatchObject({
      exit: 'refused',
    });
    await expectPrimaryWell(pair);
    expect(executes(primary)).toBe(true);
  });
});

describe('the secondary takes over, and its primary is dead by then', () => {
  it('everything is cut and the primary host hangs', async () => {
    const { pair, network } = await protectedPair();
    const { primary, secondaryDaemon } = pair;
    await network.cut('drop');
    pair.primaryDaemon.stop();
    primary.sigstop();
    await until('the takeover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
    expect(fencesOf(secondaryDaemon)).toEqual([{ target: 'primary', succeeded: true }]);
    expect(primary.running).toBe(false);
    await expectTakenOver(pair);
  });

  it('everything is cut and the primary cannot fence', async () => {
    const { pair, network } = await protectedPair({
      fences: { primary: 'false', secondary: FENCE },
    });
    const { primary, primaryDaemon, secondaryDaemon } = pair;
    await network.cut('drop');
    await until('the takeover', () => secondaryDaemon.eventsOf('failover-done').length > 0);
    expect(fencesOf(primaryDaemon)[0]).toEqual({ target: 'secondary', succeeded: false });
    expect(primaryDaemon.eventsOf('alone')).toEqual([]);
    expect(primary.running).toBe(false);
    await expectTakenOver(pair);
  });
});

async function expectTakenOver(pair: LabPair): Promise<void> {
  expect(bothRan).toBeUndefined();
  await pair.secondary.oracle.waitForWrites(50, { signal: pair.secondary.gone });
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
}

describe('nobody acts', () => {
  it('when everything is cut and neither can fence: an operator has to', async () => {
    const { pair, network } = await protectedPair({
      fences: { primary: 'false', secondary: 'false' },
    });
    const { primaryDaemon, secondaryDaemon } = pair;
    await network.cut('drop');
    await until('both to try', () =>
      [primaryDaemon, secondaryDaemon].every((daemon) => daemon.eventsOf('fence').length > 0),
    );
    await settle();
    expect(primaryDaemon.eventsOf('fence').filter(({ succeeded }) => succeeded)).toEqual([]);
    expect(secondaryDaemon.eventsOf('failover-begins')).toEqual([]);
    expect(primaryDaemon.eventsOf('alone')).toEqual([]);
    const refused = secondaryDaemon.client.call('failover', {});
    await expect(refused).rejects.toMatchObject({ code: 'REFUSED', exit: 'refused' });
    expect(bothRan).toBeUndefined();

    // The operator sees to it, and says so.
    await pair.secondary.kill('SIGKILL');
    await expect(primaryDaemon.client.call('failover')).rejects.toMatchObject({
      ...{ code: 'REFUSED', remedy: expect.stringContaining('--force') },
    });
    await primaryDaemon.client.call('failover', { force: true });
    await expectPrimaryWell(pair);
  });
});
