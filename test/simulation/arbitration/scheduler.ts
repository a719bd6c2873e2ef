// Virtual time for several processes in this one. Each callback belongs to a simulated process: one
// that was killed never runs again, one that was halted runs late. Timers, clocks and sleeps that
// the code under test uses are replaced, once, by those of the process whose callback runs.

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import timersPromises from 'node:timers/promises';

const realSetImmediate = globalThis.setImmediate;
const realNow = performance.now.bind(performance);
/** What Date.now() is at the beginning of each run. */
const EPOCH_MS = 1_700_000_000_000;
/** How many callbacks run between two polls for I/O. */
const TURNS = 100;

interface Entry {
  atMs: number;
  readonly number: number;
  readonly owner: Process;
  /** Timers that are overdue run before anything else that has come meanwhile (libuv). */
  readonly isTimer: boolean;
  run: (() => void) | undefined;
}

interface DueEntry {
  readonly owner: Process;
  readonly run: () => void;
}

/** A program on one of the simulated hosts. */
export class Process {
  isDead = false;
  /** When it was halted; undefined while it runs. */
  haltedAtMs: number | undefined;
  /** By how much its clock is behind: a host that is suspended stops it. */
  behindMs = 0;
  readonly late: Entry[] = [];
  readonly #onEnd: (() => void)[] = [];

  /** @param enter makes its surroundings the current ones: the host's disk */
  constructor(
    readonly name: string,
    readonly enter: () => void = () => undefined,
  ) {}

  /** What the kernel does for it at its end: its sockets are closed. */
  onEnd(run: () => void): void {
    this.#onEnd.push(run);
  }

  kill(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.late.length = 0;
    for (const run of this.#onEnd.splice(0)) run();
  }

  halt(nowMs: number): void {
    if (!this.isDead) this.haltedAtMs ??= nowMs;
  }
}

let scheduler: Scheduler | undefined;
let running: Process | undefined;

export class Scheduler {
  nowMs = 0;
  callbacks = 0;
  #number = 0;
  readonly #heap: Entry[] = [];
  /** What belongs to nobody: networks, guests, faults, operators. */
  readonly surroundings = new Process('surroundings');

  constructor() {
    use(this);
  }

  after(owner: Process, delayMs: number, run: () => void, isTimer = false): Entry {
    const atMs = this.nowMs + Math.max(0, delayMs);
    const entry = { atMs, number: this.#number++, owner, isTimer, run };
    this.#push(entry);
    return entry;
  }

  /** As after(), of the surroundings. */
  later(delayMs: number, run: () => void): void {
    this.after(this.surroundings, delayMs, run);
  }

  /** A process that was halted goes on: its clock may have stood still. */
  wake(process: Process, hasClockStopped: boolean): void {
    if (process.haltedAtMs === undefined) return;
    const haltedMs = this.nowMs - process.haltedAtMs;
    process.haltedAtMs = undefined;
    if (hasClockStopped) process.behindMs += haltedMs;
    const late = process.late.splice(0);
    const order = (entry: Entry): number => (entry.isTimer ? 0 : 1);
    for (const entry of late.sort((a, b) => order(a) - order(b) || a.number - b.number)) {
      const delayMs = hasClockStopped && entry.isTimer ? haltedMs : 0;
      const atMs = Math.max(this.nowMs, entry.atMs + delayMs);
      this.#push({ ...entry, atMs, number: this.#number++ });
    }
  }

  /** Runs all that is due until `untilMs`; `afterEach` after each callback. */
  async run(untilMs: number, afterEach: () => void): Promise<void> {
    while (await this.#turns(untilMs, afterEach));
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /**
   * Some callbacks, each with all that nextTick and promises make of it: Node runs all of that
   * before the next immediate. They are asked for together, as Node polls for I/O after them.
   *
   * @returns whether there may be more
   */
  #turns(untilMs: number, afterEach: () => void): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let count = 0;
      let isOver = false;
      const turn = (): void => {
        if (isOver) return;
        isOver = true;
        try {
          running = this.surroundings;
          if (count++ > 0) afterEach();
          const entry = count < TURNS ? this.#next(untilMs) : undefined;
          if (!entry) return resolve(count === TURNS);
          this.#enter(entry);
          isOver = false;
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      for (let index = 0; index < TURNS; index++) realSetImmediate(turn);
    });
  }

  /** What is due until `untilMs` and can run. */
  #next(untilMs: number): DueEntry | undefined {
    for (;;) {
      const entry = this.#heap[0];
      if (!entry || entry.atMs > untilMs) return undefined;
      this.#pop();
      const { owner, run } = entry;
      this.nowMs = Math.max(this.nowMs, entry.atMs);
      if (!run || owner.isDead) continue;
      if (owner.haltedAtMs === undefined) return { owner, run };
      owner.late.push(entry);
    }
  }

  #enter({ owner, run }: DueEntry): void {
    this.callbacks++;
    running = owner;
    owner.enter();
    run();
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && isBefore(heap[down + 1] as Entry, heap[down] as Entry)) down++;
      if (!isBefore(heap[down] as Entry, last)) break;
      heap[at] = heap[down] as Entry;
      at = down;
    }
    heap[at] = last;
  }
}

function use(next: Scheduler): void {
  scheduler = next;
  running = next.surroundings;
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}

/** The process whose callback runs. */
export function currentProcess(): Process {
  if (!running) throw new Error('no simulation runs');
  return running;
}

export function currentScheduler(): Scheduler {
  if (!scheduler) throw new Error('no simulation runs');
  return scheduler;
}

/** Whose code asks for time: never that of a process that has ended. */
function daemonProcess(): Process {
  const process = currentProcess();
  if (process === scheduler?.surroundings) throw new Error('code runs outside of its process');
  return process;
}

/** What a timer returns. */
class Timer {
  entry: Entry | undefined;

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

type Callback = (...args: unknown[]) => void;

function startTimer(run: Callback, delayMs = 1, ...args: unknown[]): Timer {
  const timer = new Timer();
  const owner = daemonProcess();
  const callback = (): void => run(...args);
  timer.entry = currentScheduler().after(owner, Math.max(1, delayMs), callback, true);
  return timer;
}

function startInterval(run: Callback, delayMs = 1, ...args: unknown[]): Timer {
  const timer = new Timer();
  const owner = daemonProcess();
  const again = (): void => {
    timer.entry = currentScheduler().after(owner, Math.max(1, delayMs), turn, true);
  };
  const turn = (): void => {
    again();
    run(...args);
  };
  again();
  return timer;
}

function stopTimer(timer: unknown): void {
  if (timer instanceof Timer && timer.entry) timer.entry.run = undefined;
}

interface SleepOptions {
  readonly signal?: AbortSignal;
}

function sleep(delayMs: number, value?: unknown, { signal }: SleepOptions = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      stopTimer(timer);
      reject(Object.assign(new Error('The operation was aborted'), { name: 'AbortError' }));
    };
    const timer = startTimer(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve(value);
    }, delayMs);
    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Replaces Node's timers and clocks. Before a run begins they are Node's own. */
export function installTime(): void {
  const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval };
  const dateNow = Date.now;
  Object.assign(globalThis, {
    setTimeout: scheduled(startTimer, real.setTimeout),
    setInterval: scheduled(startInterval, real.setInterval),
    setImmediate: scheduled(
      (run: Callback, ...args: unknown[]) => startTimer(run, 0, ...args),
      real.setImmediate,
    ),
    clearTimeout: stopTimer,
    clearInterval: stopTimer,
    clearImmediate: stopTimer,
  });
  performance.now = () => (scheduler && running ? scheduler.nowMs - running.behindMs : realNow());
  const { uptime } = os;
  // Unlike the clock before, it counts while a host is suspended.
  Object.assign(os, { uptime: () => (scheduler ? scheduler.nowMs / 1000 : uptime()) });
  Date.now = () => (scheduler ? EPOCH_MS + Math.floor(scheduler.nowMs) : dateNow());
  AbortSignal.timeout = (ms: number) => {
    const controller = new AbortController();
    startTimer(() => controller.abort(new DOMException('timed out', 'TimeoutError')), ms);
    return controller.signal;
  };
  Object.assign(timersPromises, { setTimeout: sleep });
  syncBuiltinESMExports();
}

function scheduled(simulated: unknown, real: unknown): (...args: unknown[]) => unknown {
  return (...args) => ((scheduler ? simulated : real) as (...all: unknown[]) => unknown)(...args);
}
