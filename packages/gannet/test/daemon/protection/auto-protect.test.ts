/** What `protection: automatic` does with what it decides, in virtual time. */
import { expect, test } from '@jest/globals';
import { GannetError, type PeerStatus, type ProtectionMode, type Status } from '@gannet/contract';
import { PAUSES_MS, type Readiness } from '../../../src/daemon/arbitration/may-protect.js';
import { AutoProtect } from '../../../src/daemon/protection/auto-protect.js';
import { readinessOf } from '../../../src/daemon/protection/scout.js';
import { judged, PRIMARY, SECONDARY } from '../../support/statuses.js';

const said = { ...PRIMARY.peer.status, role: 'secondary' };
const FRESH: PeerStatus = { ...said, state: 'seeding', link: 'none' } as PeerStatus;
const GONE: PeerStatus = { ...said, state: 'protected', vm: 'lost' } as PeerStatus;

const alone = (peer: PeerStatus, more: Partial<typeof PRIMARY> = {}): Status =>
  judged({ ...PRIMARY, state: 'alone', peer: { pulse: 'up', silentMs: 9, status: peer }, ...more });
const SURVIVOR: Status = judged({ ...SECONDARY, state: 'retired' });

class Scene {
  nowMs = 0;
  policy: ProtectionMode = 'automatic';
  isBusy = false;
  readiness: Readiness | undefined = 'silent';
  readonly began: string[] = [];
  readonly waits: object[] = [];
  lookouts = 0;
  #end: ((error?: Error) => void) | undefined;
  readonly auto = new AutoProtect({
    policy: () => this.policy,
    isBusy: () => this.isBusy,
    lookOut: () => this.#lookOut(),
    begin: (how) => {
      this.began.push(how);
      return new Promise<void>((resolve, reject) => {
        this.#end = (error) => (error ? reject(error) : resolve());
      });
    },
    onWait: ({ why }) => void this.waits.push(why as unknown as object),
    now: () => this.nowMs,
  });

  /** What it has begun ends. */
  async end(error?: Error): Promise<void> {
    this.#end?.(error);
    await new Promise(setImmediate);
  }

  #lookOut() {
    if (this.readiness === undefined) return undefined;
    this.lookouts++;
    const readiness = (): Readiness => this.readiness ?? 'silent';
    return {
      get readiness() {
        return readiness();
      },
      close: () => {
        this.lookouts--;
        return Promise.resolve();
      },
    };
  }
}

const FAILURE = new GannetError('GANNET_STAGE_FAILED', 'stage seed: no space.', 'Free some.');

test('a primary protects again as soon as a new secondary is ready, and once', async () => {
  const scene = new Scene();
  scene.auto.consider(alone(GONE));
  expect(scene.auto.view).toMatchObject({ why: 'secondary-unready', failures: 0 });
  scene.auto.consider(alone(FRESH));
  scene.auto.consider(alone(FRESH));
  expect(scene.began).toEqual(['protect']);
  expect(scene.auto.view).toMatchObject({ why: null, words: '' });
  await scene.end();
  scene.auto.consider(PRIMARY);
  expect(scene.began).toHaveLength(1);
  expect(scene.waits).toEqual(['secondary-unready']);
});

test('with `manual`, nothing begins, and the status says nothing of it', () => {
  const scene = new Scene();
  scene.policy = 'manual';
  scene.auto.consider(alone(FRESH));
  expect([scene.began, scene.auto.view, scene.waits]).toEqual([[], undefined, []]);
  // A reload.
  scene.policy = 'automatic';
  scene.auto.consider(alone(FRESH));
  expect(scene.began).toEqual(['protect']);
});

test('never after an operator has detached it, nor on a copy that may not run', () => {
  const scene = new Scene();
  const { record } = PRIMARY;
  scene.auto.consider(alone(FRESH, { record: { ...record, isDetached: true } }));
  for (const state of ['superseded', 'held', 'unknown', 'ended', 'yielding'] as const) {
    scene.auto.consider(alone(FRESH, { state }));
  }
  expect(scene.began).toEqual([]);
  expect(scene.waits).toEqual(['detached', 'outdated', 'in-doubt', 'no-guest']);
});

test('a failure is told, and followed by a pause that grows', async () => {
  const scene = new Scene();
  for (const [at, pauseMs] of PAUSES_MS.entries()) {
    scene.auto.consider(alone(FRESH));
    expect(scene.began).toHaveLength(at + 1);
    await scene.end(FAILURE);
    scene.nowMs += pauseMs - 1;
    scene.auto.consider(alone(FRESH));
    expect(scene.auto.view).toMatchObject({
      ...{ why: 'failed', failures: at + 1, failure: 'stage seed: no space. Free some.' },
      until: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    scene.nowMs++;
  }
  // It has not said the same thing again and again.
  expect(scene.waits).toEqual(PAUSES_MS.map(() => 'failed'));
});

test('what is under way is waited for without a word', () => {
  const scene = new Scene();
  scene.isBusy = true;
  scene.auto.consider(alone(FRESH));
  expect(scene.auto.view).toMatchObject({ why: 'busy' });
  expect([scene.began, scene.waits]).toEqual([[], []]);
});

test('a survivor looks out for a new secondary until one is ready, then no more', async () => {
  const scene = new Scene();
  scene.auto.consider(SURVIVOR);
  scene.auto.consider(SURVIVOR);
  expect([scene.lookouts, scene.waits]).toEqual([1, ['no-secondary']]);
  scene.readiness = 'unready';
  scene.auto.consider(SURVIVOR);
  scene.readiness = 'ready';
  scene.auto.consider(SURVIVOR);
  expect([scene.began, scene.lookouts]).toEqual([['reprotect'], 0]);
  await scene.end();
});

test('a survivor whose configuration leads nowhere says so', () => {
  const scene = new Scene();
  scene.readiness = undefined;
  scene.auto.consider(SURVIVOR);
  expect(scene.auto.view).toMatchObject({ why: 'no-way' });
});

test('nobody looks out any more after a reload to `manual`, or at the end', () => {
  const scene = new Scene();
  scene.auto.consider(SURVIVOR);
  scene.policy = 'manual';
  scene.auto.consider(SURVIVOR);
  expect(scene.lookouts).toBe(0);
  scene.policy = 'automatic';
  scene.auto.consider(SURVIVOR);
  expect(scene.lookouts).toBe(1);
  scene.auto.close();
  expect(scene.lookouts).toBe(0);
});

test('a secondary that has not taken over has no VM to protect', () => {
  const scene = new Scene();
  scene.auto.consider(SECONDARY);
  expect(scene.auto.view).toBeUndefined();
});

test.each([
  ['up', FRESH, 'ready'],
  ['late', FRESH, 'silent'],
  ['lost', FRESH, 'silent'],
  ['unknown', undefined, 'silent'],
  ['none', undefined, 'silent'],
  ['up', GONE, 'unready'],
  ['up', { ...FRESH, vm: 'awaited' }, 'unready'],
  ['up', { ...FRESH, isLeaving: true }, 'unready'],
  ['up', { ...said, state: 'retired' }, 'unready'],
  ['up', { ...FRESH, role: 'primary', state: 'alone' }, 'silent'],
] as const)('a peer that is %s and says %j is %s', (pulse, status, readiness) => {
  expect(readinessOf(pulse, status as PeerStatus | undefined)).toBe(readiness);
});
