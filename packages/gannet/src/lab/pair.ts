import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DaemonEvent } from '../daemon/history.js';
import type { FailoverReport } from '../daemon/secondary.js';
import { LabDaemon } from './daemon.js';
import { LabError } from './errors.js';
import type { LabGuest } from './guest.js';
import { compareDigests, type DigestComparison } from './oracle.js';
import { diskNames, primaryCommand, secondaryCommand, type LabMachine } from './qemu-command.js';
import { defaultRegions, guestDiskName } from './regions.js';
import { LabVm } from './vm.js';

const MIB = 1024 * 1024;
const VM = 'lab';

export interface LabPairOptions {
  readonly guest: LabGuest;
  readonly disks?: number;
  readonly diskMb?: number;
  /** Fills this much of each disk, from its end, with random data, so that there is something to copy. */
  readonly fillMb?: number;
  readonly link?: string;
  readonly periodMs?: number;
  /** The compiled command. Default: this package's. */
  readonly bin?: string | undefined;
  readonly onEvent?: ((event: DaemonEvent) => void) | undefined;
}

/**
 * A VM, the twin that protects it, and both daemons, on one machine: what the demonstration and the end-to-end tests
 * are made of. Everything lives in one folder, and is gone after dispose().
 */
export class LabPair {
  #primary: LabVm | undefined;
  #secondary: LabVm | undefined;
  #primaryDaemon: LabDaemon | undefined;
  #secondaryDaemon: LabDaemon | undefined;

  private constructor(
    readonly dir: string,
    private readonly options: LabPairOptions,
    private readonly machine: LabMachine,
  ) {}

  /** Makes the primary's disks; nothing runs yet. */
  static async create(options: LabPairOptions): Promise<LabPair> {
    const dir = await mkdtemp(path.join(tmpdir(), 'gannet-pair-'));
    const names = Array.from({ length: options.disks ?? 1 }, (_, disk) => guestDiskName(disk));
    const machine = { guest: options.guest, regions: defaultRegions(names) };
    const pair = new LabPair(dir, options, machine);
    for (const disk of pair.#disks()) await makeImage(disk.local, options);
    return pair;
  }

  get primary(): LabVm {
    return expectStarted(this.#primary, 'the primary VM');
  }

  get secondary(): LabVm {
    return expectStarted(this.#secondary, 'the secondary VM');
  }

  get primaryDaemon(): LabDaemon {
    return expectStarted(this.#primaryDaemon, 'the primary daemon');
  }

  get secondaryDaemon(): LabDaemon {
    return expectStarted(this.#secondaryDaemon, 'the secondary daemon');
  }

  get regionCount(): number {
    return this.machine.regions?.length ?? 0;
  }

  /** What the replicator has said of each commit. */
  get commits(): DaemonEvent[] {
    return this.secondaryDaemon.eventsOf('commit');
  }

  /** Boots the primary on its own, as any VM would run, until its oracles are at work. */
  async bootPrimary(): Promise<void> {
    const disks = this.#disks().map(({ local }) => ({ path: local }));
    this.#primary = await LabVm.start({
      name: 'pvm',
      dir: this.dir,
      ...primaryCommand(this.machine, disks),
    });
    await this.#primary.oracle.waitForStart(this.regionCount, { signal: this.#primary.gone });
    await this.#primary.oracle.waitForWrites(100, { signal: this.#primary.gone });
  }

  /** Starts the secondary host: daemon first, then its VM, which waits for the primary's state. */
  async startSecondary(): Promise<void> {
    this.#secondaryDaemon = await LabDaemon.start({
      role: 'secondary',
      dir: this.dir,
      config: {
        vm: VM,
        control: this.#path('secondary.ctl'),
        qmp: `unix:${this.#path('svm/qmp1.sock')}`,
        disks: this.#disks().map(({ name, device, base, sizeBytes }) => {
          return { name, device, base, size: sizeBytes };
        }),
        secondary: { nbd: `unix:${this.#path('replica.nbd')}` },
      },
      bin: this.options.bin,
      onEvent: this.options.onEvent,
    });
    const disks = this.#disks();
    const exports = disks.map(({ name }) => ({
      socketPath: this.#path('replica.nbd'),
      exportName: disks.length === 1 ? 'svm' : `${name}-svm`,
    }));
    this.#secondary = await LabVm.start({
      name: 'svm',
      dir: this.dir,
      ...secondaryCommand(this.machine, exports, this.#path('incoming.sock')),
    });
  }

  /** Starts the daemon that stands beside the running primary. */
  async startPrimaryDaemon(): Promise<void> {
    this.#primaryDaemon = await LabDaemon.start({
      role: 'primary',
      dir: this.dir,
      config: {
        vm: VM,
        control: this.#path('primary.ctl'),
        qmp: `unix:${this.#path('pvm/qmp1.sock')}`,
        disks: this.#disks().map(({ name, device }) => ({ name, device })),
        primary: {
          link: this.options.link ?? 'replication',
          nbd: `unix:${this.#path('replica.nbd')}`,
          migrate: `unix:${this.#path('incoming.sock')}`,
          peer: this.#path('secondary.ctl'),
          checkpointPeriodMs: this.options.periodMs ?? 1000,
        },
      },
      bin: this.options.bin,
      onEvent: this.options.onEvent,
    });
    const deadline = Date.now() + 10_000;
    while (this.#primaryDaemon.eventsOf('primary-vm-ready').length === 0) {
      if (Date.now() > deadline) throw new LabError('the primary daemon found no VM');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** `gannet protect`. */
  async protect(progress?: (value: unknown) => void): Promise<void> {
    await this.primaryDaemon.client.call('protect', {}, progress);
  }

  /** Waits until `count` commits have been made in all; a divergence or the end of a VM ends the wait. */
  async waitForCommits(count: number, timeoutMs = 120_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.commits.length < count) {
      const diverged = this.secondaryDaemon.eventsOf('diverged')[0];
      if (diverged) throw new LabError(`the replica diverged: ${String(diverged['reason'])}`);
      for (const vm of [this.primary, this.secondary]) {
        if (!vm.running) throw new LabError(`${vm.name} has ended\n${vm.stderrTail}`);
      }
      if (Date.now() > deadline) {
        throw new LabError(`only ${this.commits.length} of ${count} commits in ${timeoutMs} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** `gannet failover` on the secondary host, as soon as it has noticed that the primary is gone. */
  async failOver(force = false): Promise<FailoverReport> {
    const { secondaryDaemon } = this;
    const deadline = Date.now() + 10_000;
    const hasNoticed = (): boolean =>
      secondaryDaemon.eventsOf('link-lost').length + secondaryDaemon.eventsOf('colo-exit').length >
      0;
    while (!force && !hasNoticed() && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return (await secondaryDaemon.client.call('failover', { force })) as FailoverReport;
  }

  /**
   * Stops the oracles of the surviving guest, compares the base images with what its memory says, and has it read
   * everything again.
   */
  async compare(): Promise<{ digests: DigestComparison[]; isClean: boolean }> {
    const { oracle } = this.secondary;
    const options = { signal: this.secondary.gone };
    await this.secondary.command('stop');
    const digests = await oracle.waitForDigests(this.regionCount, options);
    const images = Object.fromEntries(
      this.#disks().map(({ base }, disk) => [guestDiskName(disk), base]),
    );
    const comparisons = await compareDigests(digests, images);
    await this.secondary.command('scan');
    await oracle.waitForScans(this.regionCount, options);
    return { digests: comparisons, isClean: oracle.clean };
  }

  /** Ends everything, in the order in which nobody misses anybody. May be called again. */
  async dispose(): Promise<void> {
    await this.#primaryDaemon?.kill();
    await this.#primary?.dispose();
    await this.#secondary?.dispose();
    await this.#secondaryDaemon?.kill();
    await rm(this.dir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #disks() {
    return Array.from({ length: this.options.disks ?? 1 }, (_, disk) => ({
      name: `disk${disk}`,
      device: diskNames(disk).device,
      local: this.#path(`primary${disk}.raw`),
      base: this.#path(`base${disk}.raw`),
      sizeBytes: (this.options.diskMb ?? 64) * MIB,
    }));
  }

  #path(name: string): string {
    return path.join(this.dir, name);
  }
}

async function makeImage(file: string, { diskMb = 64, fillMb = 0 }: LabPairOptions): Promise<void> {
  const image = await open(file, 'wx', 0o600);
  try {
    await image.truncate(diskMb * MIB);
    const chunk = Buffer.allocUnsafe(MIB);
    for (let mb = 0; mb < fillMb; mb++) {
      await image.write(randomFillSync(chunk), 0, MIB, (diskMb - fillMb + mb) * MIB);
    }
  } finally {
    await image.close();
  }
}

function expectStarted<T>(part: T | undefined, what: string): T {
  if (part === undefined) throw new LabError(`${what} has not been started`);
  return part;
}
