/**
 * What a benchmark starts, and how it is cleaned up. Each thing made here puts its undo step on a
 * stack; close() runs them in reverse, also after a failure or a signal. Child processes end with
 * this one in any case.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PREFIX = 'gannet-bench-';
const STDERR_TAIL_CHARS = 4096;
const STOP_MS = 3000;

/** A program is missing, did not start, failed or stalled. */
export class BenchError extends Error {
  readonly code = 'GANNET_BENCH';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BenchError';
  }
}

export interface RunOptions {
  readonly timeoutMs?: number;
}

export class Scope {
  readonly #undo: (() => Promise<void> | void)[] = [];
  readonly #programs = new Set<ChildProcess>();
  #lastFolder = 0;
  #isClosed = false;

  /** Removes folders of earlier runs that were killed before they could clean up. */
  static async sweep(): Promise<void> {
    for (const base of [tmpdir(), '/dev/shm']) {
      for (const name of await readdir(base).catch(() => [])) {
        const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
        if (owner === undefined || isAlive(Number(owner))) continue;
        await rm(path.join(base, name), { recursive: true, force: true });
      }
    }
  }

  /** Calls `undo` at the end, in reverse order. */
  defer(undo: () => Promise<void> | void): void {
    this.#undo.push(undo);
  }

  /** A new folder: on the disk, or in memory. */
  async folder(where: 'disk' | 'memory' = 'disk'): Promise<string> {
    const base = where === 'disk' ? tmpdir() : '/dev/shm';
    const folder = path.join(base, `${PREFIX}${process.pid}-${++this.#lastFolder}${random()}`);
    await mkdir(folder, { mode: 0o700 });
    this.defer(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  /** A server: runs until the scope is closed, or this process ends. */
  start(command: readonly string[], options: { readonly env?: NodeJS.ProcessEnv } = {}): Running {
    this.expectOpen();
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const running = new Running(command[0] ?? '', child);
    this.defer(() => running.stop());
    return running;
  }

  /** Runs a program to its end, and returns its standard output. Kills it after `timeoutMs`. */
  async run(command: readonly string[], options: RunOptions = {}): Promise<string> {
    this.expectOpen();
    const { timeoutMs = 60_000 } = options;
    return new Promise((resolve, reject) => {
      const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
      });
      this.#programs.add(child);
      let output = '';
      let errors = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        errors = (errors + text).slice(-STDERR_TAIL_CHARS);
      });
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#programs.delete(child);
        if (code === 0) return resolve(output);
        const how = signal === null ? `exited with ${code}` : 'stalled and was killed';
        reject(new BenchError(`${command[0]} ${how}: ${errors.trim() || output.slice(-400)}`));
      });
    });
  }

  /** Ends and removes everything. May be called again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const child of this.#programs) child.kill('SIGKILL');
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        console.error(`while cleaning up: ${String(error)}`);
      }
    }
  }

  /** @throws BenchError after close() has begun */
  expectOpen(): void {
    if (this.#isClosed) throw new BenchError('the benchmark is ending');
  }
}

/** A process of ours. */
export class Running {
  readonly exited: Promise<number | null>;
  #stderrTail = '';
  #isOver = false;

  constructor(
    readonly name: string,
    readonly child: ChildProcess,
  ) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL_CHARS);
    });
    this.exited = new Promise((resolve) => {
      const end = (code: number | null): void => {
        this.#isOver = true;
        resolve(code);
      };
      // Also called if a message cannot be sent to a process that has ended.
      child.on('error', () => {
        if (child.pid === undefined) end(null);
      });
      child.once('close', end);
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new BenchError(`${this.name} could not be started`);
    return this.child.pid;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get stderrTail(): string {
    return this.#stderrTail;
  }

  /** Waits until `probe` succeeds. */
  async ready(probe: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!(await probe())) {
      if (!this.#isOver && performance.now() < deadlineMs) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      throw new BenchError(`${this.name} did not come up: ${this.#stderrTail}`);
    }
  }

  async stop(): Promise<void> {
    if (this.#isOver) return;
    this.child.kill('SIGTERM');
    const impatient = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    await this.exited;
    clearTimeout(impatient);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function random(): string {
  return `-${Math.random().toString(36).slice(2, 8)}`;
}
