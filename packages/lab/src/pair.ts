import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { QmpClient } from 'qemu-qmp-client';
import type { DaemonEvent, FailoverReport, Reporter } from '@gannet/contract';
import type { ClientNetwork } from './hosts/client-network.js';
import type { TwoHosts } from './hosts/two-hosts.js';
import { LabDaemon, type LabDaemonOptions } from './lab-daemon.js';
import { LabError } from './errors.js';
import type { LabGuest } from './guest/guest.js';
import { makeImage } from './guest/disk-image.js';
import { compareDigests, type DigestComparison } from './guest/oracle.js';
import {
  diskNames,
  type LabMachine,
  type LabDisk,
  primaryCommand,
  type QemuCommand,
  secondaryCommand,
} from './guest/qemu-command.js';
import { defaultRegions, guestDiskName } from './guest/regions.js';
import { LabVm } from './guest/vm.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const VM = 'lab';
const PEER = { heartbeatMs: 100, lowMs: 1000, highMs: 3000 };

export interface LabPairOptions {
  readonly guest: LabGuest;
  readonly disks?: number;
  readonly diskMb?: number;
  /** Random data at the end of each disk, in MiB, so that there is something to copy. */
  readonly fillMb?: number;
  readonly link?: string;
  /** Default: COLO. */
  readonly engine?: 'vsmr' | undefined;
  /** How the primary's disks begin. Default: raw, under a quorum. */
  readonly local?: Pick<LabDisk, 'format' | 'quorum'> | undefined;
  /** Folder for the primary's disks. Default: that of the pair. */
  readonly localDir?: string | undefined;
  /** Added to the command line of each QEMU, and of each kernel. */
  readonly machine?: Pick<LabMachine, 'type' | 'extraArgs' | 'kernelArgs'> | undefined;
  /** Format of the secondaries' bases. Default: raw. */
  readonly baseFormat?: string | undefined;
  /** Creates the base of a disk and returns its path. Default: the daemon creates it. */
  readonly makeBase?: ((disk: number, sizeBytes: number) => Promise<string>) | undefined;
  readonly iothreads?: boolean | undefined;
  /** The program of both VMs. Default: the system's. */
  readonly qemu?: string | undefined;
  /** Pause of each oracle after each request. Default: 0. */
  readonly thinkUs?: number | undefined;
  readonly periodMs?: number;
  /** The compiled command. Default: this package's. */
  readonly bin?: string | undefined;
  readonly onEvent?: ((event: DaemonEvent) => void) | undefined;
  /** Keys that override those of `secondary` in its configuration. */
  readonly secondary?: Record<string, unknown> | undefined;
  /** Variables that are added to the environment of the daemons. */
  readonly env?: (() => NodeJS.ProcessEnv) | undefined;
  /** A network card whose connections survive failovers. Needs findNetworkGuest(). */
  readonly network?: ClientNetwork | undefined;
  /** Each VM runs on the host of its side; not together with `network`. */
  readonly hosts?: TwoHosts | undefined;
  /** Keys that override those of a daemon's configuration. */
  readonly config?: ((role: 'primary' | 'secondary') => Record<string, unknown>) | undefined;
}

/**
 * A pair of VMs and their daemons on one machine, for the demonstration and the end-to-end tests.
 * All files are in one folder, which dispose() removes.
 */
export class LabPair {
  /** How many secondaries there have been. */
  #generation = 0;
  /** Paths of the bases that the caller created. */
  readonly #bases = new Map<string, string>();
  #primary: LabVm | undefined;
  #secondary: LabVm | undefined;
  #primaryDaemon: LabDaemon | undefined;
  #secondaryDaemon: LabDaemon | undefined;

  private constructor(
    readonly dir: string,
    private readonly options: LabPairOptions,
    private readonly machine: LabMachine,
  ) {}

  /** Creates the primary's disks; starts nothing. */
  static async create(options: LabPairOptions): Promise<LabPair> {
    const root = options.engine === 'vsmr' ? '/dev/shm' : tmpdir();
    const dir = await mkdtemp(path.join(root, 'gannet-pair-'));
    const names = Array.from({ length: options.disks ?? 1 }, (_, disk) => guestDiskName(disk));
    const { guest, iothreads = false, thinkUs = 0 } = options;
    const regions = defaultRegions(names);
    const machine = { guest, iothreads, thinkUs, regions, ...options.machine };
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

  /** The `commit` events of the secondary. */
  get commits(): DaemonEvent<'commit'>[] {
    return this.secondaryDaemon.eventsOf('commit');
  }

  /** Boots the primary VM unprotected, and waits until its oracles write. */
  async bootPrimary(): Promise<void> {
    const disks = this.#disks().map(({ local }) => ({ ...this.options.local, path: local }));
    this.#primary = await LabVm.start({
      name: 'pvm',
      dir: this.dir,
      ...this.#wired(0, (machine) => primaryCommand(machine, disks)),
    });
    await this.#primary.oracle.waitForStart(this.regionCount, { signal: this.#primary.gone });
    await this.#primary.oracle.waitForWrites(100, { signal: this.#primary.gone });
  }

  /** After a power cut of its host: the same VM again, from the disk that it had. */
  async rebootPrimary(): Promise<void> {
    await this.#primary?.dispose();
    await this.bootPrimary();
  }

  /** Starts a secondary: its daemon, then its VM, which waits for the migration. */
  async startSecondary(): Promise<void> {
    await this.makeBases();
    this.#secondaryDaemon = await this.startDaemon('secondary');
    await this.startSecondaryVm();
  }

  /** Starts the QEMU of a secondary whose daemon runs. */
  async startSecondaryVm(): Promise<void> {
    const { nbd, incoming, svm } = this.#paths();
    // By its daemon.
    const isTold = this.options.secondary?.['migrate'] !== undefined;
    const disks = this.#disks();
    const exports = disks.map(({ name }) => ({
      socketPath: nbd,
      exportName: disks.length === 1 ? 'svm' : `${name}-svm`,
    }));
    this.#secondary = await LabVm.start({
      name: svm,
      dir: this.dir,
      ...this.#wired(this.#generation + 1, (machine) =>
        secondaryCommand(machine, exports, isTold ? 'defer' : `unix:${incoming}`),
      ),
    });
  }

  /** Creates the bases, unless the daemon does. */
  async makeBases(): Promise<void> {
    const { makeBase } = this.options;
    if (!makeBase) return;
    for (const [disk, { sizeBytes }] of this.#disks().entries()) {
      this.#bases.set(this.#baseKey(disk), await makeBase(disk, sizeBytes));
    }
  }

  /** Starts the daemon of the running primary. */
  async startPrimaryDaemon(): Promise<void> {
    this.#primaryDaemon = await this.startDaemon('primary');
    const deadline = Date.now() + 10_000;
    while (!this.#primaryDaemon.eventsOf('vm').some(({ state }) => state === 'ready')) {
      if (Date.now() > deadline) throw new LabError('the primary daemon found no VM');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** As `systemctl restart` does it. */
  async restartSecondaryDaemon(): Promise<void> {
    await this.secondaryDaemon.kill('SIGTERM');
    this.#secondaryDaemon = await this.startDaemon('secondary');
  }

  /** A daemon of the current generation. */
  startDaemon(role: 'primary' | 'secondary'): Promise<LabDaemon> {
    return LabDaemon.start({
      role,
      // The survivor's stays, whatever its new secondary has.
      name: `${role}${this.#generation || ''}`,
      dir: this.dir,
      config: this.configOf(role),
      bin: this.options.bin,
      onEvent: this.options.onEvent,
      env: this.options.env?.(),
    });
  }

  /**
   * The configuration of a daemon. A secondary's also says how it is protected after a failover.
   */
  configOf(role: 'primary' | 'secondary'): LabDaemonOptions['config'] {
    const { control, nbd, peer, incoming, svm } = this.#paths();
    const next = this.#paths(this.#generation + 1);
    const own = role === 'primary' ? { name: this.primary.name, at: this.#paths() } : undefined;
    const towards = own?.at ?? next;
    const { engine } = this.options;
    return {
      ...{ vm: VM, engine },
      control: own ? this.#path(`primary${this.#generation}.ctl`) : control,
      // Of the host, whichever role it has: after a failover, the secondary's is the primary's.
      termFile: this.#path(`host${this.#generation + (own ? 0 : 1)}.term.json`),
      qmp: `unix:${this.#path(`${own?.name ?? svm}/qmp1.sock`)}`,
      disks: this.#disks().map(({ name, device, base, sizeBytes }) => {
        if (own) return { name, device };
        return { name, device, base, format: this.#baseFormat, size: sizeBytes };
      }),
      peer: PEER,
      primary: {
        link: this.options.link ?? (engine === 'vsmr' ? 'nbd' : 'replication'),
        nbd: `unix:${towards.nbd}`,
        migrate: `unix:${towards.incoming}`,
        peer: `unix:${towards.peer}`,
        checkpointPeriodMs: this.options.periodMs ?? 1000,
      },
      ...(this.options.network ? { network: [this.#card(towards)] } : {}),
      ...(own
        ? {}
        : {
            secondary: {
              ...{ nbd: `unix:${nbd}`, peer: `unix:${peer}` },
              ...(engine === 'vsmr' && { migrate: `unix:${incoming}` }),
              // Each host has its own; the survivor before has locked that of the first.
              ...(this.#generation > 0 && {
                journal: this.#path(`lab${this.#generation}.journal`),
              }),
              ...this.options.secondary,
            },
          }),
      ...this.options.config?.(role),
    };
  }

  /**
   * After a failover: makes the secondary the primary and removes the dead one. The next
   * startSecondary() starts a new secondary for it.
   */
  async advance(): Promise<void> {
    await this.#primaryDaemon?.kill();
    await this.#primary?.dispose();
    [this.#primary, this.#secondary] = [this.#secondary, undefined];
    [this.#primaryDaemon, this.#secondaryDaemon] = [this.#secondaryDaemon, undefined];
    this.#generation++;
  }

  /** After the loss of a secondary: removes it and starts a new one. */
  async replaceSecondary(): Promise<void> {
    await this.#secondary?.dispose();
    await this.#secondaryDaemon?.kill('SIGKILL');
    await this.startSecondary();
  }

  /** Starts all of the pair, protects it, and waits until there have been `commits` commits. */
  async startProtected(commits: number): Promise<void> {
    await this.bootPrimary();
    await this.startSecondary();
    await this.startPrimaryDaemon();
    await this.protect();
    await this.waitForCommits(commits);
  }

  /** `gannet reprotect`. */
  async reprotect(progress?: Reporter<'protect'>): Promise<void> {
    await this.primaryDaemon.client.call('reprotect', {}, progress);
  }

  /** `gannet protect`. */
  async protect(progress?: Reporter<'protect'>): Promise<void> {
    await this.primaryDaemon.client.call('protect', {}, progress);
  }

  /**
   * Waits until there have been `count` commits in all.
   *
   * @throws LabError if the replica diverges, a VM ends, or time is up
   */
  async waitForCommits(count: number, timeoutMs = 120_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.commits.length < count) {
      const diverged = this.secondaryDaemon.eventsOf('diverged')[0];
      if (diverged) throw new LabError(`the replica diverged: ${diverged.reason}`);
      for (const vm of [this.primary, this.secondary]) {
        if (!vm.running) throw new LabError(`${vm.name} has ended\n${vm.stderrTail}`);
      }
      if (Date.now() > deadline) {
        throw new LabError(`only ${this.commits.length} of ${count} commits in ${timeoutMs} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /**
   * `gannet failover` on the secondary, as soon as the primary's daemon reports that its QEMU
   * ended.
   */
  async failOver(force = false): Promise<FailoverReport> {
    const { secondaryDaemon } = this;
    const deadline = Date.now() + 10_000;
    const hasNoticed = (): boolean =>
      secondaryDaemon.eventsOf('peer').some(({ vm }) => vm === 'lost');
    while (!force && !hasNoticed() && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const report = await secondaryDaemon.client.call('failover', { force });
    if (report.evidence === undefined) throw new LabError('a primary was asked to fail over');
    return report;
  }

  /**
   * Stops the oracles of the surviving guest, compares the base images with its memory, and lets it
   * read everything again.
   */
  async compare(): Promise<{ digests: DigestComparison[]; isClean: boolean }> {
    const { oracle, gone: signal } = this.secondary;
    await this.secondary.command('stop');
    const digests = await oracle.waitForDigests(this.regionCount, { signal });
    const comparisons = await this.#quiesced(async () =>
      compareDigests(digests, await this.baseImages()),
    );
    await this.secondary.command('scan');
    await oracle.waitForScans(this.regionCount, { signal });
    return { digests: comparisons, isClean: oracle.clean };
  }

  /** The files of the secondary's bases, in the order of the disks. */
  get bases(): string[] {
    return this.#disks().map(({ base }) => base);
  }

  /** The secondary's bases as raw images, by the guest's names of its disks. */
  async baseImages(): Promise<Record<string, string>> {
    const images = await Promise.all(this.#disks().map(({ base }) => this.#asRaw(base)));
    return Object.fromEntries(images.map((image, disk) => [guestDiskName(disk), image]));
  }

  /** Ends everything, in an order that causes no errors. May be called again. */
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

  /** While the guest is stopped, QEMU has written all metadata into the image. */
  async #quiesced<T>(work: () => Promise<T>): Promise<T> {
    if (this.#baseFormat === 'raw') return work();
    const target = { kind: 'unix', path: this.secondary.qmpPaths[0] } as const;
    const qmp = await QmpClient.connect({ target });
    try {
      await qmp.execute('stop');
      const result = await work();
      await qmp.execute('cont');
      return result;
    } finally {
      await qmp.close();
    }
  }

  async #asRaw(image: string): Promise<string> {
    if (this.#baseFormat === 'raw') return image;
    const raw = `${image}.raw`;
    await run('qemu-img', ['convert', '-U', '-f', this.#baseFormat, '-O', 'raw', image, raw]);
    return raw;
  }

  /** Number `index` of the VMs that there have been, in the network if there is one. */
  #wired(index: number, command: (machine: LabMachine) => QemuCommand) {
    const { network, hosts, qemu = 'qemu-system-x86_64' } = this.options;
    const inside = hosts?.inside(index % 2 === 0 ? 0 : 1, qemu);
    const ram = this.options.engine === 'vsmr' ? this.#path(`vm${index}.ram`) : undefined;
    const machine = { ...this.machine, ram };
    if (!network) return { ...command(machine), qemu: inside ?? [qemu] };
    const card = { tap: network.tap(index), address: network.guestAddress };
    return { ...command({ ...machine, card }), qemu: network.inside(qemu) };
  }

  #card(towards: { readonly packets: string }): Record<string, unknown> {
    const sockets = ({ packets }: { readonly packets: string }) => ({
      mirror: `unix:${packets}.mirror`,
      compare: `unix:${packets}.compare`,
    });
    return { netdev: 'net0', primary: sockets(towards), secondary: sockets(this.#paths()) };
  }

  get #baseFormat(): string {
    return this.options.baseFormat ?? 'raw';
  }

  #baseKey(disk: number): string {
    return `base${this.#generation}-${disk}.${this.#baseFormat}`;
  }

  #paths(generation = this.#generation) {
    return {
      control: this.#path(`secondary${generation}.ctl`),
      nbd: this.#path(`replica${generation}.nbd`),
      incoming: this.#path(`incoming${generation}.sock`),
      peer: this.#path(`peer${generation}.sock`),
      packets: this.#path(`net${generation}`),
      svm: `svm${generation}`,
    };
  }

  #disks() {
    return Array.from({ length: this.options.disks ?? 1 }, (_, disk) => ({
      name: `disk${disk}`,
      device: diskNames(disk).device,
      local: path.join(this.options.localDir ?? this.dir, `primary${disk}.img`),
      base: this.#bases.get(this.#baseKey(disk)) ?? this.#path(this.#baseKey(disk)),
      sizeBytes: (this.options.diskMb ?? 64) * MIB,
    }));
  }

  #path(name: string): string {
    return path.join(this.dir, name);
  }
}

function expectStarted<T>(part: T | undefined, what: string): T {
  if (part === undefined) throw new LabError(`${what} has not been started`);
  return part;
}
