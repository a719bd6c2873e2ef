import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { ReplicaEvent } from '@gannet/replicator';
import { WaitingCopy, type WaitingReplica } from '../../../src/daemon/secondary/waiting-copy.js';

const MEMORY = { softBytes: 500, hardBytes: 1000 };

/** A replica, its QEMU and its daemon, as far as they matter here. */
class Scene {
  readonly told: unknown[] = [];
  readonly commands: string[] = [];
  readonly copy: WaitingCopy;
  answer: () => Promise<unknown> = () => Promise.resolve({});
  bytes = 100;
  /** How often what is held was answered. */
  answered = 0;
  #listener: (event: ReplicaEvent) => void = () => undefined;
  readonly replica = {
    answerHeld: () => {
      this.answered++;
    },
    areWritesHeld: false,
    epoch: 3,
    isLastCommitKept: false,
    isWaiting: false,
    lastCommitKept: () => Promise.resolve(),
    leave: () => this.told.push('leave'),
    link: { loss: undefined as string | undefined },
    memory: MEMORY,
    spilledBytes: 0,
    state: 'protected',
    on: (listener: (event: ReplicaEvent) => void) => {
      this.#listener = listener;
      return () => undefined;
    },
  };

  constructor(hasQemu = true) {
    Object.defineProperty(this.replica, 'bufferBytes', {
      get: () => ({ primary: 0, secondary: this.bytes, committed: 0 }),
    });
    const execute = (command: string) => {
      this.commands.push(command);
      return this.answer();
    };
    this.copy = new WaitingCopy({
      replica: this.replica as unknown as WaitingReplica,
      history: { add: (...event: unknown[]) => void this.told.push(event) },
      qmp: () => (hasQemu ? ({ execute } as never) : undefined),
    });
  }

  lose(): this {
    this.replica.isWaiting = true;
    this.replica.link.loss = 'cut';
    this.#listener({ kind: 'link-lost', reason: 'cut' });
    return this;
  }

  hold(): void {
    this.replica.areWritesHeld = true;
    this.#listener({ kind: 'writes-held', usedBytes: 1001, hardBytes: 1000 });
  }
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe('WaitingCopy', () => {
  test('shows nothing while nothing waits', () => {
    expect(new Scene().copy.view).toBeNull();
  });

  test('shows how long the memory lasts', async () => {
    const scene = new Scene().lose();
    expect(scene.copy.view).toMatchObject({ guest: 'runs', hardSeconds: null });
    for (let second = 0; second < 4; second++) {
      scene.bytes += 100;
      await jest.advanceTimersByTimeAsync(1000);
    }
    expect(scene.copy.view).toMatchObject({ softSeconds: 0, hardSeconds: 5 });
    scene.copy.close();
    expect(scene.told).toEqual(['leave']);
  });

  test('stops the guest when its writes are held; until it answers, again and again', async () => {
    const scene = new Scene().lose();
    scene.answer = () => Promise.reject(new Error('no answer'));
    scene.hold();
    await jest.advanceTimersByTimeAsync(2500);
    scene.answer = () => Promise.resolve({});
    await jest.advanceTimersByTimeAsync(5000);
    expect(scene.commands).toEqual(['stop', 'stop', 'stop', 'stop']);
    expect(scene.told).toMatchObject([['trouble', { message: 'no answer' }]]);
    expect(scene.copy.view).toMatchObject({ guest: 'stopped', hardSeconds: 0 });
    scene.copy.close();
  });

  test('while it stops, what it has under way is answered: QEMU 10 waits for that', async () => {
    const scene = new Scene().lose();
    scene.answer = () =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          // As many rounds as its queue is long.
          if (scene.answered < 3) return;
          clearInterval(timer);
          resolve({});
        }, 10);
      });
    scene.hold();
    expect(scene.answered).toBe(0);
    await jest.advanceTimersByTimeAsync(9000);
    expect(scene.commands).toEqual(['stop']);
    expect(scene.answered).toBe(3);
    expect(scene.told).toEqual([]);
    scene.copy.close();
  });

  test('a guest that writes on while its monitor hangs stays near the limit', async () => {
    const scene = new Scene().lose();
    scene.bytes = 1001;
    scene.answer = () => new Promise((_resolve, reject) => setTimeout(reject, 10_000));
    scene.replica.answerHeld = () => {
      // Its I/O threads have sent as much again.
      scene.answered++;
      scene.bytes += 50;
    };
    scene.hold();
    await jest.advanceTimersByTimeAsync(60_000);
    expect(scene.commands.length).toBeGreaterThan(3);
    expect(scene.answered).toBe(5);
    expect(scene.bytes).toBe(1251);
    scene.copy.close();
  });

  test('where checkpoints come by call, there is no guest to stop', async () => {
    const scene = new Scene(false).lose();
    scene.hold();
    await scene.copy.leave();
    expect(scene.commands).toEqual([]);
    expect(scene.copy.view).toMatchObject({ guest: 'stopped' });
    scene.copy.close();
  });

  test.each([
    ['a copy that waits', {}, ['copy-left']],
    ['one whose VM has ended', { state: 'diverged', isWaiting: false }, ['copy-left']],
    ['nothing was committed', { epoch: 0 }, []],
    ['its primary has continued', { lastCommitKept: () => Promise.reject(new Error('no')) }, []],
    ['it has taken over', { state: 'failed-over', isWaiting: false }, []],
  ])('the daemon ends: %s', async (_what, change, told) => {
    const scene = new Scene().lose();
    Object.assign(scene.replica, change);
    await scene.copy.leave();
    expect(scene.told.map((event) => (event as string[])[0])).toEqual(told);
    scene.copy.close();
  });

  test('the daemon ends: a protected secondary, whose primary can be told', async () => {
    const scene = new Scene();
    await scene.copy.leave();
    expect(scene.commands).toEqual([]);
    expect(scene.told).toEqual([]);
  });
});
