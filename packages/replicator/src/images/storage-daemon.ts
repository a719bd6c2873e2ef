import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdersOf } from './image-file.js';
import { BaseImageError, type ReplicatorError } from '../errors.js';
import { missingProgram } from './missing-program.js';

const PROGRAM = 'qemu-storage-daemon';
const STDERR_TAIL_CHARS = 2048;
/** Opening an image that was not closed may include a repair. */
const START_TIMEOUT_MS = 60_000;
/** A storage daemon closes its image before it exits. */
const STOP_TIMEOUT_MS = 30_000;
/** A daemon that has just died may still hold its locks for a moment. */
const LOCK_PATIENCE_MS = 2000;
const LOCK_PAUSE_MS = 100;

/** A qemu-storage-daemon, which ends with the process that started it. */
export class StorageDaemon {
  /** Settles with the reason when it has ended. */
  readonly ended: Promise<string>;
  #stderrTail = '';

  private constructor(private readonly child: ChildProcess) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL_CHARS);
    });
    child.stdin?.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => {
        const words = this.#stderrTail
          .trim()
          .replace(/^(?!setpriv: ).*?qemu-storage-daemon: /s, '');
        resolve(words === '' ? `it ended with ${signal ?? String(code)}` : words);
      });
    });
  }

  /**
   * Starts it, and waits until everything that its arguments ask for is ready. Waits briefly for an
   * image that is locked.
   *
   * @param path the image, for messages
   * @throws BaseImageError REPLICA_BASE_IN_USE, REPLICA_BASE_FORMAT or REPLICA_BASE_NOT_USABLE
   * @throws MissingProgramError REPLICA_PROGRAM_MISSING
   */
  static async start(path: string, args: readonly string[]): Promise<StorageDaemon> {
    const deadline = performance.now() + LOCK_PATIENCE_MS;
    for (;;) {
      const daemon = StorageDaemon.#spawn(args);
      const trouble = await daemon.#becomesReady();
      if (trouble === undefined) return daemon;
      const isLocked = /Failed to get .*lock|Is another process using/s.test(trouble);
      if (!isLocked || performance.now() > deadline) throw await unusable(path, trouble, isLocked);
      await sleep(LOCK_PAUSE_MS);
    }
  }

  static #spawn(args: readonly string[]): StorageDaemon {
    // The monitor greets once all options before it are processed. On SIGTERM it closes its images.
    const monitor = ['--chardev', 'stdio,id=monitor', '--monitor', 'chardev=monitor'];
    const command = ['--pdeathsig', 'TERM', PROGRAM, ...args, ...monitor];
    // Detached: Ctrl-C reaches all of a terminal's foreground, and this one must outlive our last
    // write.
    const options = { stdio: 'pipe', detached: true } as const;
    return new StorageDaemon(spawn('setpriv', command, options));
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Settles when it has closed its images and ended. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** @returns why it does not; undefined if it does */
  async #becomesReady(): Promise<string | undefined> {
    const { stdout } = this.child;
    if (!stdout) return this.ended;
    const greeted = once(stdout, 'data').then(() => undefined);
    greeted.catch(() => undefined);
    const timer = setTimeout(() => this.kill(), START_TIMEOUT_MS);
    try {
      return await Promise.race([greeted, this.ended]);
    } finally {
      clearTimeout(timer);
      stdout.resume();
    }
  }
}

/** The protocol node for QEMU to open `path`, with its own locks. */
export async function protocolNode(path: string): Promise<Record<string, unknown>> {
  const isDevice = await stat(path).then(
    (stats) => stats.isBlockDevice(),
    () => false,
  );
  const driver = isDevice ? 'host_device' : 'file';
  return { driver, filename: path, locking: 'on', discard: 'unmap' };
}

async function unusable(path: string, words: string, isLocked: boolean): Promise<ReplicatorError> {
  const missing = missingProgram(path, words);
  if (missing) return missing;
  if (isLocked) {
    const holders = await holdersOf(path);
    // Who holds it says more than QEMU's words, which are those of a lock.
    const why = holders === '' ? `: ${words.replaceAll('\n', ' ')}` : ` by ${holders}`;
    return new BaseImageError(
      'REPLICA_BASE_IN_USE',
      `${path} is in use${why}`,
      'Stop what uses the image (a VM, another gannet daemon), or name another base.',
    );
  }
  if (/is not in .* format|not in qcow2 format|invalid .*(signature|magic)/i.test(words)) {
    return new BaseImageError(
      'REPLICA_BASE_FORMAT',
      `${path}: ${words}`,
      'Set `format` of the disk as `qemu-img info` says, or remove the image to create it again.',
    );
  }
  return new BaseImageError(
    'REPLICA_BASE_NOT_USABLE',
    `${path} can't be opened with ${PROGRAM}: ${words}`,
    'Check the image and its permissions.',
  );
}
