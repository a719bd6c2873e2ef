// Node's event loop, made by hand: its phases are those of libuv (timers, poll, check), and what
// happens in each is decided by a seed. The code under test keeps calling setImmediate, setTimeout,
// performance.now and node:fs/promises; they are replaced, once for this process, by ones that ask
// the loop which runs at the moment.
//
// Within a callback everything is as ever: process.nextTick and promises are Node's own, and are
// run down to the last before the next callback, as libuv does between two sockets.

import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import type { Random } from '@gannet/test-support/random.js';

/** Something that a poll watches. */
export interface Pollable {
  /** Whether the poll that begins now finds it ready. */
  isReady(): boolean;
  deliver(): void;
}

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

const realSetImmediate = globalThis.setImmediate;
let current: EventLoop | undefined;

/** Lets everything that hangs on nextTick and promises run out. */
function drained(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}

export class EventLoop {
  nowMs = 0;
  turns = 0;
  readonly #pollables = new Set<Pollable>();
  #timers: Timer[] = [];
  #immediates: (() => void)[] = [];

  constructor(private readonly random: Random) {}

  watch(pollable: Pollable): () => void {
    this.#pollables.add(pollable);
    return () => this.#pollables.delete(pollable);
  }

  /** Nothing of the process that ran here ever runs again. */
  kill(): void {
    this.#pollables.clear();
    this.#timers = [];
    this.#immediates = [];
  }

  /**
   * One turn. `surroundings` is what goes on outside of this process; it may happen between any two
   * callbacks.
   */
  async turn(surroundings: () => void): Promise<void> {
    this.turns++;
    this.nowMs += 0.2;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { run } of due.sort((a, b) => a.atMs - b.atMs)) await this.#callback(run);
    surroundings();
    const ready = [...this.#pollables].filter((pollable) => pollable.isReady());
    for (const pollable of this.random.shuffle(ready)) {
      await this.#callback(() => {
        if (this.#pollables.has(pollable)) pollable.deliver();
      });
      surroundings();
    }
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const run of immediates) {
      await this.#callback(run);
      surroundings();
    }
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.nowMs + Math.max(1, delayMs), run };
    this.#timers.push(timer);
    return timer;
  }

  cancel(timer: unknown): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  immediately(run: () => void): void {
    this.#immediates.push(run);
  }

  async #callback(run: () => void): Promise<void> {
    run();
    await drained();
  }
}

/** From here on, timers and immediates are this loop's. */
export function useLoop(loop: EventLoop): void {
  current = loop;
}

function loop(): EventLoop {
  if (!current) throw new Error('no simulated event loop runs');
  return current;
}

/** What timers return is asked for unref() only. */
function handleOf(timer: object): object {
  return Object.assign(timer, { unref: () => timer, ref: () => timer });
}

/** Replaces Node's timers and clock by those of the loop that runs. */
export function installLoop(): void {
  Object.assign(globalThis, {
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      loop().immediately(() => run(...args));
      return {};
    },
    clearImmediate: () => undefined,
    setTimeout: (run: (...args: unknown[]) => void, delayMs = 1, ...args: unknown[]) =>
      handleOf(loop().after(delayMs, () => run(...args))),
    clearTimeout: (timer: unknown) => current?.cancel(timer),
  });
  performance.now = () => loop().nowMs;
  Object.assign(timersPromises, {
    setTimeout: (delayMs: number, value: unknown, options?: { signal?: AbortSignal }) =>
      new Promise((resolve, reject) => {
        const timer = loop().after(delayMs, () => resolve(value));
        options?.signal?.addEventListener('abort', () => {
          current?.cancel(timer);
          reject(new Error('aborted'));
        });
      }),
  });
  syncBuiltinESMExports();
}
