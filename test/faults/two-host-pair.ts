import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findGuest, LabPair, type LabPairOptions, type LabVm, TwoHosts } from '@gannet/lab';
import { executes } from './processes.js';

/** Short enough for a test, long enough for a busy machine. */
export const PEER = { heartbeatMs: 100, lowMs: 800, highMs: 2000 };

/** Power off, by the number that `protect` has put there; done when it is off. */
export const FENCE =
  'read pid <"$LAB/$GANNET_FENCE.pid" && { kill -9 "$pid" 2>/dev/null; ' +
  'while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; true; }';

export interface TwoHostPairOptions extends Pick<
  LabPairOptions,
  'link' | 'baseFormat' | 'fillMb' | 'thinkUs'
> {
  readonly periodMs: number;
  /** Commands; undefined for a side that has none. */
  readonly fences?: {
    readonly primary: string | undefined;
    readonly secondary: string | undefined;
  };
  /** Keys to put over those of `primary`, and of `secondary`. */
  readonly primary?: Record<string, unknown>;
  readonly secondary?: Record<string, unknown>;
}

/**
 * A pair on two hosts with a cable between them, each side with a fence, the secondary with
 * automatic failover. It looks all the time for what must never be: two guests on their own.
 */
export class TwoHostPair {
  /** When both were seen to run. */
  bothRan: string | undefined;
  #guard: NodeJS.Timeout | undefined;

  private constructor(
    readonly pair: LabPair,
    readonly network: TwoHosts,
  ) {}

  static async create(options: TwoHostPairOptions): Promise<TwoHostPair> {
    const { periodMs, fences = { primary: FENCE, secondary: FENCE } } = options;
    const { primary, secondary, ...rest } = options;
    const dirOf = (): string => pair.dir;
    const socket = (name: string): string => path.join(dirOf(), name);
    const pair: LabPair = await LabPair.create({
      ...rest,
      guest: await findGuest(),
      periodMs,
      secondary: { failover: 'automatic', ...secondary },
      env: () => ({ LAB: dirOf() }),
      config: (role) => ({
        peer: PEER,
        ...(fences[role] !== undefined && { fence: { command: ['sh', '-c', fences[role]] } }),
        ...(role === 'primary' && {
          primary: {
            link: options.link ?? 'replication',
            nbd: `unix:${socket('near.nbd')}`,
            migrate: `unix:${socket('near.migration')}`,
            peer: `unix:${socket('near.peer')}`,
            checkpointPeriodMs: periodMs,
            ...primary,
          },
        }),
      }),
    });
    try {
      const network = await TwoHosts.create([
        { name: 'nbd', near: socket('near.nbd'), far: socket('replica0.nbd') },
        { name: 'migration', near: socket('near.migration'), far: socket('incoming0.sock') },
        { name: 'peer', near: socket('near.peer'), far: socket('peer0.sock') },
      ]);
      return new TwoHostPair(pair, network);
    } catch (error) {
      await pair.dispose();
      throw error;
    }
  }

  /** Everything that there is, and nothing protected yet. */
  async start(): Promise<void> {
    const { pair } = this;
    await pair.bootPrimary();
    await pair.startSecondary();
    await this.#tellFences();
    await pair.startPrimaryDaemon();
    this.#guardAgainstBoth();
  }

  async protect(commits = 3): Promise<void> {
    await this.pair.protect();
    await this.pair.waitForCommits(commits);
  }

  /** After the loss of a secondary. */
  async replaceSecondary(): Promise<void> {
    await this.pair.replaceSecondary();
    await this.#tellFences();
  }

  async dispose(): Promise<void> {
    clearInterval(this.#guard);
    await this.pair.dispose();
    await this.network.dispose();
  }

  /** Whom to kill. */
  async #tellFences(): Promise<void> {
    const { dir, primary, secondary } = this.pair;
    for (const [role, { pid }] of Object.entries({ primary, secondary })) {
      await writeFile(path.join(dir, `${role}.pid`), `${pid}\n`);
    }
  }

  #guardAgainstBoth(): void {
    const { primary, secondary, secondaryDaemon } = this.pair;
    const runs = (vm: LabVm): boolean => vm.running && executes(vm.pid);
    this.#guard = setInterval(() => {
      const tookOver = secondaryDaemon.eventsOf('failover').length > 0;
      if (tookOver && runs(secondary) && runs(primary)) this.bothRan ??= new Date().toISOString();
    }, 10);
  }
}
