import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { WriteBackClock, BatchPort, WriteBackPort, RunPort } from '../src/ports.js';
import { WriteBack, type WriteBackEvent } from '../src/write-back.js';

/** Time that stands still until wake() is called. */
class FakeClock implements WriteBackClock {
  nowMs = 0;
  readonly sleeps: number[] = [];
  #sleepers: (() => void)[] = [];

  now(): number {
    return this.nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    return new Promise((resolve, reject) => {
      this.#sleepers.push(resolve);
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
    });
  }

  get asleep(): number {
    return this.#sleepers.length;
  }

  wake(): void {
    for (const resolve of this.#sleepers.splice(0)) resolve();
  }
}

/** Batches of runs that end when the test says so. */
class FakeTarget implements WriteBackPort {
  readonly log: string[] = [];
  readonly waiting: { name: string; end: (error?: Error) => void }[] = [];
  readonly batches: { -readonly [Key in keyof BatchPort]: BatchPort[Key] }[] = [];
  #isOut = false;
  deepest = 0;

  add(epoch: number, runs: number): void {
    this.batches.push({
      epochs: [epoch],
      ready: () => this.#wait(`${epoch} ready`),
      runs: () => Array.from({ length: runs }, (_, at) => this.#run(epoch, at)),
      sync: () => this.#wait(`${epoch} sync`),
      finish: () => {
        this.batches.shift();
        this.#isOut = false;
        this.log.push(`${epoch} finish`);
      },
      abandon: () => {
        this.#isOut = false;
        this.log.push(`${epoch} abandon`);
      },
    });
  }

  nextBatch(): BatchPort | undefined {
    if (this.#isOut) throw new Error('a batch was begun before the last one was finished');
    const [batch] = this.batches;
    if (batch) this.#isOut = true;
    return batch;
  }

  /** Ends the oldest thing that waits. */
  async end(error?: Error): Promise<void> {
    this.waiting.shift()?.end(error);
    await turn();
  }

  async endAll(): Promise<void> {
    while (this.waiting.length > 0) await this.end();
  }

  #run(epoch: number, at: number): RunPort {
    const write = (): Promise<void> => this.#wait(`${epoch} write ${at}`);
    return { disk: 'disk', offset: at, length: 100, write };
  }

  #wait(name: string): Promise<void> {
    this.log.push(name);
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => (error ? reject(error) : resolve());
      this.waiting.push({ name, end });
      this.deepest = Math.max(this.deepest, this.waiting.length);
    });
  }
}

function scene(depth?: number): {
  target: FakeTarget;
  clock: FakeClock;
  events: WriteBackEvent[];
  writeBack: WriteBack;
} {
  const target = new FakeTarget();
  const clock = new FakeClock();
  const events: WriteBackEvent[] = [];
  const onEvent = (event: WriteBackEvent): void => void events.push(event);
  const writeBack = new WriteBack({ target, clock, onEvent, ...(depth ? { depth } : {}) });
  return { target, clock, events, writeBack };
}

describe('WriteBack', () => {
  test('waits for readers, writes, syncs, finishes; the next batch only then', async () => {
    const { target, events, writeBack, clock } = scene(1);
    target.add(1, 2);
    target.add(2, 1);
    writeBack.kick();
    await turn();
    clock.nowMs = 9;
    await target.endAll();
    await writeBack.idle();
    expect(target.log).toEqual([
      ...['1 ready', '1 write 0', '1 write 1', '1 sync', '1 finish'],
      ...['2 ready', '2 write 0', '2 sync', '2 finish'],
    ]);
    expect(events[0]).toEqual({ kind: 'batch', epochs: [1], writes: 2, bytes: 200, ms: 9 });
  });

  test('keeps `depth` writes under way, and syncs when all are done', async () => {
    const { target, writeBack } = scene(3);
    target.add(1, 10);
    writeBack.kick();
    await turn();
    await target.end();
    for (let write = 0; write < 10; write++) {
      expect(target.waiting.some(({ name }) => name.endsWith('sync'))).toBe(false);
      await target.end();
    }
    expect(target.waiting.map(({ name }) => name)).toEqual(['1 sync']);
    expect(target.deepest).toBe(3);
    await target.endAll();
    await writeBack.idle();
  });

  test('leaves two of the four threads for files to the reads of the guest', async () => {
    const { target, writeBack } = scene();
    target.add(1, 10);
    writeBack.kick();
    await turn();
    await target.endAll();
    await writeBack.idle();
    expect(target.deepest).toBe(2);
  });

  test('retries a failed write until it succeeds, with an event; others go on', async () => {
    const { target, clock, events, writeBack } = scene(2);
    target.add(1, 3);
    writeBack.kick();
    await turn();
    await target.end();
    await target.end(new Error('disk full'));
    expect(clock.asleep).toBe(1);
    await target.endAll();
    expect(target.log).not.toContain('1 sync');
    clock.wake();
    await turn();
    await target.end(new Error('still full'));
    clock.wake();
    await turn();
    await target.endAll();
    await writeBack.idle();
    const retries = events.filter(({ kind }) => kind === 'retry');
    expect(retries).toMatchObject([
      { error: { message: 'disk full' }, attempt: 1 },
      { error: { message: 'still full' }, attempt: 2 },
    ]);
    expect(target.log.at(-1)).toBe('1 finish');
  });

  test('a full disk is reported once, and again if it fails in another way', async () => {
    const { target, clock, events, writeBack } = scene(2);
    const failure = (code: string, at: number): Error =>
      new Error(`byte ${at}: ${code}`, { cause: Object.assign(new Error(code), { code }) });
    target.add(1, 4);
    writeBack.kick();
    await turn();
    for (let round = 0; round < 50; round++) {
      await target.end(failure('ENOSPC', round));
      await target.end(failure('ENOSPC', round + 1));
      while (clock.asleep > 0) clock.wake();
      await turn();
    }
    await target.end(failure('EIO', 0));
    await target.end(failure('ENOSPC', 0));
    while (clock.asleep > 0) clock.wake();
    await turn();
    await target.endAll();
    await writeBack.idle();
    target.add(2, 1);
    writeBack.kick();
    await turn();
    await target.end(failure('ENOSPC', 7));
    clock.wake();
    await turn();
    await target.endAll();
    await writeBack.idle();
    expect(events.map((event) => (event.kind === 'retry' ? event.error.message : 'batch'))).toEqual(
      [...['byte 0: ENOSPC', 'byte 0: EIO', 'batch'], ...['byte 7: ENOSPC', 'batch']],
    );
  });

  test('I4 durability: a batch whose sync fails is written again as a whole', async () => {
    const { target, clock, writeBack } = scene(1);
    target.add(1, 2);
    writeBack.kick();
    await turn();
    for (let step = 0; step < 3; step++) await target.end();
    await target.end(new Error('I/O error'));
    expect(target.log.at(-1)).toBe('1 sync');
    clock.wake();
    await turn();
    await target.endAll();
    await writeBack.idle();
    expect(target.log.slice(4)).toEqual([
      '1 ready',
      '1 write 0',
      '1 write 1',
      '1 sync',
      '1 finish',
    ]);
  });

  test('stop waits for the writes under way, then abandons the batch', async () => {
    const { target, writeBack } = scene(2);
    target.add(1, 5);
    writeBack.kick();
    await turn();
    await target.end();
    let isStopped = false;
    const stopped = writeBack.stop().then(() => (isStopped = true));
    await target.end();
    expect(isStopped).toBe(false);
    expect(target.log).not.toContain('1 abandon');
    await target.endAll();
    await stopped;
    expect(target.log).toEqual(['1 ready', '1 write 0', '1 write 1', '1 abandon']);
    writeBack.kick();
    await turn();
    expect(target.waiting).toEqual([]);
  });

  test('stop wakes one that waits to try again', async () => {
    const { target, writeBack } = scene(1);
    target.add(1, 1);
    writeBack.kick();
    await turn();
    await target.end();
    await target.end(new Error('disk full'));
    await writeBack.stop();
    expect(target.log.at(-1)).toBe('1 abandon');
  });

  test('a kick during a run is not lost, and starts nothing twice', async () => {
    const { target, writeBack } = scene(1);
    target.add(1, 1);
    writeBack.kick();
    writeBack.kick();
    await turn();
    await target.end();
    target.add(2, 1);
    writeBack.kick();
    await target.endAll();
    await writeBack.idle();
    expect(target.log.filter((line) => line.endsWith('finish'))).toEqual(['1 finish', '2 finish']);
    target.add(3, 0);
    writeBack.kick();
    await turn();
    await target.endAll();
    await writeBack.idle();
    expect(target.log.at(-1)).toBe('3 finish');
  });

  test('a failure outside of a write is retried, not thrown at the process', async () => {
    const { target, clock, events, writeBack } = scene(1);
    target.add(1, 1);
    writeBack.kick();
    await turn();
    await target.end(new Error('reader gone wrong'));
    expect(events).toMatchObject([{ kind: 'retry', error: { message: 'reader gone wrong' } }]);
    clock.wake();
    await turn();
    await target.endAll();
    await writeBack.idle();
    expect(target.log.at(-1)).toBe('1 finish');
  });

  describe('a listener that throws', () => {
    const throwing = (kind: string): ReturnType<typeof scene> & { uncaught: unknown[] } => {
      const uncaught: unknown[] = [];
      jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
        try {
          task();
        } catch (error) {
          uncaught.push(error);
        }
      });
      const target = new FakeTarget();
      const clock = new FakeClock();
      const events: WriteBackEvent[] = [];
      const onEvent = (event: WriteBackEvent): void => {
        events.push(event);
        if (event.kind === kind) throw new Error('listener');
      };
      const writeBack = new WriteBack({ target, clock, onEvent, depth: 1 });
      return { target, clock, events, writeBack, uncaught };
    };
    afterEach(() => void jest.restoreAllMocks());

    test('about a batch: the batch is not written again, and the next one follows', async () => {
      const { target, clock, writeBack, uncaught } = throwing('batch');
      target.add(1, 1);
      target.add(2, 1);
      writeBack.kick();
      await turn();
      await target.endAll();
      await writeBack.idle();
      expect(target.log).toEqual([
        ...['1 ready', '1 write 0', '1 sync', '1 finish'],
        ...['2 ready', '2 write 0', '2 sync', '2 finish'],
      ]);
      expect(clock.sleeps).toEqual([]);
      expect(uncaught).toMatchObject([{ message: 'listener' }, { message: 'listener' }]);
    });

    test('about a retry: the write is retried all the same', async () => {
      const { target, clock, events, writeBack, uncaught } = throwing('retry');
      target.add(1, 1);
      writeBack.kick();
      await turn();
      await target.end();
      await target.end(new Error('disk full'));
      expect(clock.asleep).toBe(1);
      clock.wake();
      await turn();
      await target.endAll();
      await writeBack.idle();
      expect(target.log.at(-1)).toBe('1 finish');
      expect(events.map(({ kind }) => kind)).toEqual(['retry', 'batch']);
      expect(uncaught).toHaveLength(1);
    });
  });

  test('a batch whose finish() throws is not written again: its memory may be gone', async () => {
    const { target, clock, writeBack } = scene(1);
    target.add(1, 1);
    const [batch] = target.batches;
    if (batch)
      batch.finish = () => {
        throw new Error('a bug');
      };
    writeBack.kick();
    const idle = expect(writeBack.idle()).rejects.toThrow('a bug');
    await turn();
    await target.endAll();
    await idle;
    expect(target.log).toEqual(['1 ready', '1 write 0', '1 sync']);
    expect(clock.sleeps).toEqual([]);
  });
});

async function turn(): Promise<void> {
  for (let count = 0; count < 2; count++) await new Promise((resolve) => setImmediate(resolve));
}
