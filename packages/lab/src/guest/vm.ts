import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../errors.js';
import { OracleLog } from './oracle.js';
import type { QemuCommand } from './qemu-command.js';
import { describeStandstill } from './hang-report.js';

const STDERR_TAIL_CHARS = 4096;
const POLL_MS = 10;

export interface LabVmOptions extends QemuCommand {
  readonly name: string;
  /**
   * Folder for the VM's sockets and console, in a folder with the VM's name. Default: a new folder
   * in /tmp.
   */
  readonly dir?: string;
  /** Program and leading arguments. Default: the system's qemu-system-x86_64. */
  readonly qemu?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** How long QEMU may take to create its sockets, in ms. Default: 10000. */
  readonly startTimeoutMs?: number;
}

export interface LabVmExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Commands of the oracle on the console: see guest/oracle.c. */
export type OracleCommand = 'stop' | 'go' | 'scan';

/** A QEMU process, which the kernel kills when its parent ends. */
export class LabVm {
  readonly name: string;
  /** Holds everything of this VM; `dispose` removes it. */
  readonly dir: string;
  /** Two QMP sockets: each serves one client at a time. */
  readonly qmpPaths: readonly [string, string];
  /** The guest's console, as a file. */
  readonly consoleLogPath: string;
  readonly consoleSocketPath: string;
  /** What the oracles say on the console. */
  readonly oracle: OracleLog;
  readonly exited: Promise<LabVmExit>;

  readonly #child: ChildProcess;
  readonly #ownDir: string;
  readonly #gone = new AbortController();
  #stderrTail = '';

  private constructor(options: LabVmOptions, dir: string, ownDir: string) {
    this.name = options.name;
    this.dir = dir;
    this.#ownDir = ownDir;
    this.qmpPaths = [path.join(dir, 'qmp0.sock'), path.join(dir, 'qmp1.sock')];
    this.consoleLogPath = path.join(dir, 'console.log');
    this.consoleSocketPath = path.join(dir, 'console.sock');
    const [program = 'qemu-system-x86_64', ...leading] = options.qemu ?? [];
    const env = { ...process.env, ...options.env };
    if (options.preload !== undefined) env['LD_PRELOAD'] = options.preload;
    // setpriv becomes QEMU, so that the pid is QEMU's; the kernel kills it when this process dies.
    const args = ['--pdeathsig', 'KILL', program, ...leading, ...this.#ownArgs(), ...options.args];
    this.#child = spawn('setpriv', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL_CHARS);
    });
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#stderrTail += error.message;
        resolve({ code: null, signal: null });
      });
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    void this.exited.then(() => this.#gone.abort());
    this.oracle = OracleLog.follow(this.consoleLogPath, () =>
      describeStandstill(this.pid, this.qmpPaths[1]),
    );
  }

  /**
   * Starts QEMU and waits until it serves QMP.
   *
   * @throws LabError with the end of QEMU's stderr if it does not start
   */
  static async start(options: LabVmOptions): Promise<LabVm> {
    const base = options.dir ?? (await mkdtemp(path.join(tmpdir(), 'gannet-lab-')));
    const dir = path.join(base, options.name);
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const vm = new LabVm(options, dir, options.dir === undefined ? base : dir);
    try {
      await vm.#waitForSockets(options.startTimeoutMs ?? 10_000);
    } catch (error) {
      await vm.dispose();
      throw error;
    }
    return vm;
  }

  /** @throws LabError if QEMU could not be executed */
  get pid(): number {
    if (this.#child.pid === undefined) throw new LabError(`${this.name} has no process`);
    return this.#child.pid;
  }

  get running(): boolean {
    return !this.#gone.signal.aborted;
  }

  /** Aborted when the process has ended; ends the waits of OracleLog. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The end of QEMU's stderr. */
  get stderrTail(): string {
    return this.#stderrTail;
  }

  /** Sends a signal. If it ends QEMU, waits until the process has ended. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<LabVmExit> {
    this.#signal(signal);
    return this.exited;
  }

  /** Stops the process with SIGSTOP, like a hung host: sockets stay open, nothing answers. */
  sigstop(): void {
    this.#signal('SIGSTOP');
  }

  sigcont(): void {
    this.#signal('SIGCONT');
  }

  /** Sends a command to the guest's oracles; the answer comes on the console. */
  async command(command: OracleCommand): Promise<void> {
    const socket = connect(this.consoleSocketPath);
    socket.resume(); // QEMU would stall the guest's console if nobody took its output
    try {
      await once(socket, 'connect');
      socket.end(`${command}\n`);
      // Wait before closing, so that the guest can take the bytes from its 16-byte FIFO.
      await delay(100);
    } catch (cause) {
      throw new LabError(`${this.name}: cannot send ${command} to the console`, { cause });
    } finally {
      socket.destroy();
    }
  }

  /** Ends QEMU and removes everything of this VM. May be called again. */
  async dispose(): Promise<void> {
    if (this.running) await this.kill();
    await this.oracle.close();
    await rm(this.#ownDir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #ownArgs(): string[] {
    const files = `path=${this.consoleSocketPath},logfile=${this.consoleLogPath}`;
    return [
      ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
      ...['-name', this.name],
      ...[
        '-chardev',
        `socket,id=console,${files},server=on,wait=off`,
        '-serial',
        'chardev:console',
      ],
      ...this.qmpPaths.flatMap((socket) => ['-qmp', `unix:${socket},server=on,wait=off`]),
    ];
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  async #waitForSockets(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await this.#greets())) {
      const late = performance.now() > deadline;
      if (this.running && !late) {
        await delay(POLL_MS);
        continue;
      }
      const why = late ? `no QMP within ${timeoutMs} ms` : 'QEMU ended';
      throw new LabError(`${this.name} did not start: ${why}\n${this.#stderrTail}`);
    }
  }

  /** The first QMP socket greets when QEMU's main loop runs; the others are there before. */
  async #greets(): Promise<boolean> {
    const socket = connect(this.qmpPaths[0]);
    try {
      await once(socket, 'data', { signal: this.#gone.signal });
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
