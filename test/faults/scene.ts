import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventKind, ProtectProgress } from '@gannet/contract';
import { LabError, type LabPair, type OracleDigest, type SlowHost } from '@gannet/lab';
import type { Cell } from './cells.js';
import { chance } from './chance.js';
import { BIN } from './places.js';
import { childrenOf, signal } from './processes.js';
import { TwoHostPair } from './two-host-pair.js';

const PERIOD_MS = 500;
const PATIENCE_MS = 45_000;
/** What lies here is as fast as ever while a disk crawls. */
const MEMORY = '/dev/shm/gannet-cell-';

export interface Recovery {
  readonly code: number;
  readonly output: string;
}

/**
 * One cell of the matrix while it is run: the pair, what is under way, what is known of its disk.
 */
export class Scene {
  readonly periodMs = PERIOD_MS;
  slowHost: SlowHost | undefined;
  /** What the guest says its disk holds, flushed. */
  digests: readonly OracleDigest[] = [];
  /** How `protect` ended, once it has. */
  protection: 'done' | { readonly message: string } | undefined;
  #recovering: ChildProcess | undefined;
  #recovery: Promise<Recovery> | undefined;
  #oldBase: string | undefined;

  private constructor(
    readonly cell: Cell,
    readonly hosts: TwoHostPair,
    private readonly seed: number,
    /** Where the journal is, if not beside the base. */
    private readonly memory: string | undefined,
  ) {}

  static async open(cell: Cell, seed: number): Promise<Scene> {
    const isJournalApart = cell.phase === 'move' || cell.phase === 'replay';
    const memory = isJournalApart ? await mkdtemp(MEMORY) : undefined;
    // A side that can't be reached, and lives.
    const isUnfenced = cell.phase === 'alone' || cell.phase === 'heal';
    const hosts = await TwoHostPair.create({
      ...(isUnfenced && { fences: { primary: undefined, secondary: undefined } }),
      periodMs: PERIOD_MS,
      fillMb: 24,
      // Under load, but not so much that nobody else gets a turn.
      thinkUs: 1500,
      baseFormat: cell.target === 'storage-daemon' ? 'qcow2' : 'raw',
      primary: { stageTimeoutMs: 15_000, seedLinkTimeoutMs: 12_000 },
      ...(memory !== undefined && { secondary: { journal: path.join(memory, 'journal') } }),
    });
    return new Scene(cell, hosts, seed, memory);
  }

  get pair(): LabPair {
    return this.hosts.pair;
  }

  chance(name: string): number {
    return chance(this.seed, `${this.cell.id} ${name}`);
  }

  /** Of the secondary's daemon. */
  hasHappened(kind: EventKind): boolean {
    return this.pair.secondaryDaemon.eventsOf(kind).length > 0;
  }

  /** Its primary. */
  get isAlone(): boolean {
    return this.pair.primaryDaemon.eventsOf('alone').length > 0;
  }

  async protect(): Promise<void> {
    await this.hosts.protect(2);
    this.protection = 'done';
  }

  /** Resolves when a report says that it has come so far. */
  async beginToProtect(
    bytesPerSec: number,
    isThere: (report: ProtectProgress) => boolean,
  ): Promise<void> {
    let isReached = false;
    void this.pair.primaryDaemon.client
      .call('protect', { bytesPerSec }, (report) => {
        if (isThere(report)) isReached = true;
      })
      .then(
        () => (this.protection = 'done'),
        (error: unknown) => (this.protection = { message: String(error) }),
      );
    await this.until('the stage', () => isReached || this.protection !== undefined);
  }

  async isBehind(): Promise<boolean> {
    const status = await this.pair.secondaryDaemon.client.call('status');
    const { disks } = status as { disks: { epochsToWriteBack: number }[] };
    return disks.some(({ epochsToWriteBack }) => epochsToWriteBack > 0);
  }

  /** Remembers the base as it is at one moment. */
  async keepBase(): Promise<void> {
    const { pid } = this.pair.secondaryDaemon;
    const pids = [pid, ...(await childrenOf(pid, 'qemu-storage-daemon'))];
    const copy = `${this.#base}.old`;
    for (const each of pids) signal(each, 'SIGSTOP');
    await copyFile(this.#base, copy);
    for (const each of pids) signal(each, 'SIGCONT');
    this.#oldBase = copy;
  }

  /**
   * Takes from the base what was written since, and never synced: kill -9 leaves that in the
   * kernel's memory, where it would make up for a journal that lacks it.
   */
  async loseUnsynced(): Promise<void> {
    if (this.#oldBase !== undefined) await copyFile(this.#oldBase, this.#base);
  }

  /** `gannet recover`, as slow as its disk. */
  async beginToRecover(): Promise<void> {
    const enter = this.slowHost?.enter() ?? [];
    const gannet = [process.execPath, BIN, 'recover', '-c', this.#config, '--json'];
    const [program = '', ...args] = [...enter, 'setpriv', '--pdeathsig', 'KILL', ...gannet];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#recovering = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    this.#recovery = once(child, 'close').then(([code]) => ({ code: Number(code ?? -1), output }));
    await once(child, 'spawn');
    // Node.js takes its time; only then is there something to disturb.
    await this.until('the replay to begin', async () => {
      return !this.isRecovering || (await childrenOf(child.pid, 'qemu-storage-daemon')).length > 0;
    });
  }

  get isRecovering(): boolean {
    const { exitCode = 0, signalCode = null } = this.#recovering ?? {};
    return exitCode === null && signalCode === null;
  }

  get recoveryPid(): number | undefined {
    return this.#recovering?.pid;
  }

  /** How the replay that was disturbed has ended. */
  get recovery(): Promise<Recovery> | undefined {
    return this.#recovery;
  }

  /** `gannet recover`, to its end. */
  recover(): Promise<Recovery> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [BIN, 'recover', '-c', this.#config, '--json'],
        (error, stdout, stderr) => {
          const code = error === null ? 0 : Number(error.code ?? -1);
          resolve({ code, output: stdout + stderr });
        },
      );
    });
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const startMs = performance.now(); !(await isSo());) {
      if (performance.now() - startMs > PATIENCE_MS) {
        throw new LabError(`timed out waiting for ${what}\n${this.logs}`);
      }
      await sleep(5);
    }
  }

  get logs(): string {
    const { primaryDaemon, secondaryDaemon } = this.pair;
    const tail = (text: string): string => text.slice(-3000);
    const [primary, secondary] = [primaryDaemon, secondaryDaemon].map((one) => tail(one.logTail));
    return `primary daemon:\n${primary}\nsecondary daemon:\n${secondary}`;
  }

  async close(): Promise<void> {
    await this.slowHost?.limit(undefined);
    if (this.isRecovering) this.#recovering?.kill('SIGKILL');
    await this.hosts.dispose();
    await this.slowHost?.dispose();
    if (this.memory !== undefined) await rm(this.memory, { recursive: true, force: true });
  }

  get #base(): string {
    return this.pair.bases[0] ?? '';
  }

  get #config(): string {
    return this.pair.secondaryDaemon.configPath;
  }
}
