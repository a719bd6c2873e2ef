import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerStatus, PrimaryState, TermRecord } from '@gannet/contract';
import { alone, leaving, outdatedBy } from '../../../src/daemon/arbitration/records.js';
import { HandOver } from '../../../src/daemon/move/hand-over.js';
import type { TermStore } from '../../../src/daemon/terms/term-store.js';
import { record, termsInMemory } from '../../support/records.js';

// A move beside an engine, a guest and a secondary that do what the test wants.

type SecondaryPeer = Extract<PeerStatus, { role: 'secondary' }>;

let done: string[];
let state: PrimaryState;
let isIdle: boolean;
let terms: TermStore;
let peer: SecondaryPeer;
let liveness: 'up' | 'lost';
let engineError: Error | undefined;
let goOnError: Error | undefined;
let stageTimeoutMs: number;
let onLast: () => void;
let handOver: HandOver;

beforeEach(() => {
  [done, state, isIdle, liveness] = [[], 'protected', true, 'up'];
  [engineError, goOnError, stageTimeoutMs] = [undefined, undefined, 60_000];
  onLast = () => undefined;
  terms = termsInMemory(record('protected', 3));
  peer = {
    ...{ role: 'secondary', state: 'protected', epoch: 5, vm: 'ready', link: 'whole' },
    ...{ host: 'b', record: record('protected', 3) },
  };
  handOver = made();
});
afterEach(() => handOver.close());

function made(canHandOver = true): HandOver {
  const last = (): Promise<void> => {
    done.push('last checkpoint');
    onLast();
    return engineError ? Promise.reject(engineError) : Promise.resolve();
  };
  const link = {
    get state() {
      return liveness;
    },
    get peer() {
      return { status: peer, silentMs: 0 };
    },
    beatNow: () => undefined,
  };
  return new HandOver({
    ...{ terms, link, state: () => state, isIdle: () => isIdle },
    config: () => ({ vm: 'web', primary: { stageTimeoutMs } }),
    history: {
      add: (...[kind, details]) => void done.push(`${kind} ${JSON.stringify(details)}`),
      operations: undefined as never,
    },
    expectProtected: () => undefined,
    driver: () => ({
      handOver: canHandOver ? last : undefined,
      takeBack: () => Promise.resolve(void done.push('take back')),
    }),
    yield: () => {
      if (state !== 'protected' || !isIdle) return false;
      done.push(`yield, with ${terms.record.movedTo}`);
      state = 'yielding';
      return true;
    },
    goOn: async () => {
      done.push('go on');
      if (goOnError) throw goOnError;
      await terms.update((own) => alone(own, 'word'));
      state = 'alone';
    },
    onTrouble: (error) => void done.push(`trouble: ${(error as Error).message}`),
  });
}

const move = (): ReturnType<HandOver['move']> => handOver.move(() => undefined);

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(2);
}

/** The secondary has written its claim, and this side has heard of it. */
async function claims(): Promise<void> {
  peer = { ...peer, record: record('taken-over', 4) };
  state = 'superseded';
  await terms.update((own) => outdatedBy(own, peer.record));
}

test('what is written comes between the last checkpoint and the word to the other', async () => {
  const stages: string[] = [];
  const moving = handOver.move(({ stage }) => stages.push(stage));
  await until(() => state === 'yielding');
  expect(done.slice(0, 3)).toEqual([
    ...['last checkpoint', 'yield, with b', 'move {"phase":"handed-over","to":"b"}'],
  ]);
  await claims();
  // Claimed, and not running yet.
  await delay(60);
  expect(done).toHaveLength(3);
  peer = { ...peer, state: 'failed-over' };
  expect(await moving).toMatchObject({ movedTo: 'b', stillMs: expect.any(Number) as unknown });
  expect(stages).toEqual(['last checkpoint', 'take over']);
  expect(done.at(-1)).toMatch(/^move \{"phase":"done","to":"b","stillMs":\d+\}$/);
  expect(await move()).toEqual({ movedTo: 'b', stillMs: null });
});

test('whoever asks meanwhile waits for the same', async () => {
  const both = [move(), move()];
  await until(() => state === 'yielding');
  await claims();
  peer = { ...peer, state: 'retired' };
  const [first, second] = await Promise.all(both);
  expect(second).toBe(first);
  expect(done.filter((what) => what === 'last checkpoint')).toHaveLength(1);
});

describe('refused before anything is done', () => {
  test.each<[string, () => void]>([
    ['the engine cannot', () => (handOver = made(false))],
    ['the secondary is not heard', () => (liveness = 'lost')],
    ['its VM has ended', () => (peer = { ...peer, vm: 'lost' })],
    ['it could not take over', () => (peer = { ...peer, mayFailOver: false })],
    ['it lacks writes', () => (peer = { ...peer, link: 'lost' })],
    ['it is not complete', () => (peer = { ...peer, state: 'seeding' })],
    ['the guest yields already', () => (state = 'yielding')],
    ['the secondary is being let go', () => (isIdle = false)],
  ])('%s', async (_what, spoil) => {
    spoil();
    await expect(move()).rejects.toMatchObject({ exit: 'refused' });
    expect(done).toEqual([]);
    expect(terms.record.movedTo).toBeUndefined();
  });

  test('the term file takes nothing', async () => {
    terms.update = () => Promise.reject(new Error('no space'));
    await expect(move()).rejects.toThrow('no space');
    expect(done).toEqual([]);
  });
});

describe('the guest goes on here', () => {
  test('when the last checkpoint fails', async () => {
    engineError = new Error('the secondary gave it up');
    await expect(move()).rejects.toMatchObject({
      ...{ code: 'GANNET_STAGE_FAILED', message: expect.stringContaining('gave it up') as unknown },
    });
    expect(done).toEqual(['last checkpoint']);
    expect(terms.record.movedTo).toBeUndefined();
    engineError = undefined;
    const again = move();
    await until(() => state === 'yielding');
    await claims();
    peer = { ...peer, state: 'retired' };
    await again;
  });

  test('when its record cannot be written any more', async () => {
    const update = terms.update.bind(terms);
    onLast = () => (terms.update = () => Promise.reject(new Error('no space')));
    await expect(move()).rejects.toThrow('no space');
    expect(done).toEqual(['last checkpoint', 'take back']);
    terms.update = update;
  });

  test('when the secondary is being let go by then; the record forgets it', async () => {
    onLast = () => (isIdle = false);
    await expect(move()).rejects.toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    expect(done).toEqual(['last checkpoint', 'take back']);
    await delay(5);
    expect(terms.record.movedTo).toBeUndefined();
  });

  test('when the secondary, heard, says that it can not', async () => {
    const moving = move();
    moving.catch(() => undefined);
    await until(() => state === 'yielding');
    handOver.hear();
    await delay(5);
    expect(done).not.toContain('go on');
    peer = { ...peer, vm: 'lost' };
    handOver.hear();
    await expect(moving).rejects.toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    expect(done.slice(-2)).toEqual(['go on', 'move {"phase":"undone","to":"b"}']);
  });

  test('when the secondary has not taken over in time, and says that it does not', async () => {
    stageTimeoutMs = 50;
    await expect(move()).rejects.toMatchObject({ code: 'GANNET_STAGE_FAILED' });
    expect(done.slice(-2)).toEqual(['go on', 'move {"phase":"undone","to":"b"}']);
  });
});

describe('nobody knows', () => {
  test('the guest stands still, and asking again does the rest', async () => {
    [stageTimeoutMs, goOnError] = [50, new Error('not told')];
    await expect(move()).rejects.toMatchObject({
      ...{ code: 'GANNET_TIMEOUT', remedy: expect.stringContaining('gannet move web') as unknown },
    });
    expect([state, terms.record.movedTo]).toEqual(['yielding', 'b']);
    stageTimeoutMs = 60_000;
    const again = move();
    await delay(30);
    await claims();
    peer = { ...peer, state: 'retired' };
    expect(await again).toMatchObject({ movedTo: 'b' });
    expect(done.filter((what) => what === 'last checkpoint')).toHaveLength(1);
  });

  test('a claim of which nothing comes is left to the other host', async () => {
    stageTimeoutMs = 60;
    const moving = move();
    moving.catch(() => undefined);
    await until(() => state === 'yielding');
    await claims();
    await expect(moving).rejects.toMatchObject({
      ...{ code: 'GANNET_TIMEOUT', remedy: expect.stringContaining('failover web') as unknown },
    });
    expect(done).not.toContain('go on');
  });

  test('a take-back that fails is reported once, and tried again at each beat', async () => {
    goOnError = new Error('not told');
    const own: TermRecord = record('protected', 3, { movedTo: 'b' });
    terms = termsInMemory(own);
    [state, handOver] = ['yielding', made()];
    peer = { ...peer, vm: 'lost' };
    for (let beat = 0; beat < 3; beat++) {
      handOver.hear();
      await delay(5);
    }
    expect(done).toEqual(['go on', 'trouble: not told', 'go on', 'go on']);
    await terms.update((now) => leaving(now));
    peer = { ...peer, vm: 'ready' };
    liveness = 'lost';
    handOver.hear();
    await delay(5);
    expect(done).toHaveLength(4);
  });
});
