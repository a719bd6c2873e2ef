import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { ControlClient, type DaemonEvent, type EventKind } from '@gannet/contract';
import { LabError } from './errors.js';
import { GANNET_BIN } from './gannet-bin.js';

const LOG_TAIL_CHARS = 8192;
const START_TIMEOUT_MS = 15_000;

export interface LabDaemonOptions {
  readonly role: 'primary' | 'secondary';
  /** Of the configuration, which the daemon may read again; that of the role if it is not given. */
  readonly name?: string;
  /** Where its configuration goes; the caller removes it. */
  readonly dir: string;
  /** The configuration, as in a file. */
  readonly config: { readonly control: string; readonly [key: string]: unknown };
  /** The compiled command. Default: this package's. */
  readonly bin?: string | undefined;
  readonly onEvent?: ((event: DaemonEvent) => void) | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/**
 * `gannet secondary` or `gannet primary` as a process, which the kernel kills when its parent ends.
 */
export class LabDaemon {
  /** All events of the daemon so far. */
  readonly events: DaemonEvent[] = [];
  readonly exited: Promise<number | null>;
  #logTail = '';
  #client: ControlClient | undefined;
  #isStopped = false;

  private constructor(
    readonly role: string,
    readonly configPath: string,
    private readonly child: ChildProcess,
    private readonly onEvent: ((event: DaemonEvent) => void) | undefined,
  ) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#logTail = (this.#logTail + text).slice(-LOG_TAIL_CHARS);
    });
    this.exited = new Promise((resolve) => {
      child.once('error', () => resolve(null));
      child.once('close', (code) => resolve(code));
    });
  }

  /** @throws LabError with the end of its log if it does not start */
  static async start(options: LabDaemonOptions): Promise<LabDaemon> {
    const configPath = path.join(options.dir, `${options.name ?? options.role}.yaml`);
    await writeFile(configPath, stringify(options.config), { mode: 0o600 });
    const bin = options.bin ?? GANNET_BIN;
    const command = [process.execPath, bin, options.role, '--config', configPath];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
      env: {
        ...process.env,
        // Paths that its configuration leaves out are in this folder too, never in the system's.
        ...{ GANNET_RUN_DIR: options.dir, GANNET_STATE_DIR: options.dir },
        ...options.env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const daemon = new LabDaemon(options.role, configPath, child, options.onEvent);
    const failed = daemon.exited.then((code) => {
      throw new LabError(`gannet ${options.role} ended with ${code}\n${daemon.#logTail}`);
    });
    failed.catch(() => undefined);
    daemon.#client = await Promise.race([
      ControlClient.connectWithin(options.config.control, START_TIMEOUT_MS),
      failed,
    ]);
    await daemon.#client.watch((event) => daemon.#hear(event));
    const earlier = await daemon.client.call('events');
    daemon.events.unshift(...earlier.filter((event) => !daemon.#knows(event)));
    return daemon;
  }

  get client(): ControlClient {
    if (!this.#client) throw new LabError(`gannet ${this.role} is not connected`);
    return this.#client;
  }

  get logTail(): string {
    return this.#logTail;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  eventsOf<K extends EventKind>(kind: K): DaemonEvent<K>[] {
    return this.events.filter((event): event is DaemonEvent<K> => event.kind === kind);
  }

  /**
   * Stops the process with SIGSTOP, like a hung host: its sockets stay open, but nothing answers.
   * kill() still ends it.
   */
  stop(): void {
    this.child.kill('SIGSTOP');
    this.#isStopped = true;
  }

  /** Continues a stopped process. */
  goOn(): void {
    this.child.kill('SIGCONT');
    this.#isStopped = false;
  }

  /** Sends a signal and waits until the process has ended. */
  async kill(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    this.#client?.close();
    this.child.kill(this.#isStopped ? 'SIGKILL' : signal);
    return this.exited;
  }

  #hear(event: DaemonEvent): void {
    this.events.push(event);
    this.onEvent?.(event);
  }

  #knows({ at, kind }: DaemonEvent): boolean {
    return this.events.some((event) => event.at === at && event.kind === kind);
  }
}
