import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checkpointer, ExternalSource, WriteBack } from '@gannet/checkpointer';
import { NbdServer } from '@gannet/nbd';
import {
  BufferedOutput,
  ComparedOutput,
  type HeldOutput,
  PrimaryDriver,
  SecondaryDriver,
  SnapshotVm,
  WalledCards,
} from '@gannet/qmp-driver';
import { Replica } from '@gannet/replicator';
import {
  type DisksPort,
  FileRam,
  FrameLink,
  PrimaryEngine,
  SecondaryEngine,
  type SecondaryEngineEvent,
} from '@gannet/vsmr';
import { QmpClient } from 'qemu-qmp-client';
import { findGuest, findNetworkGuest } from '../guest/guest.js';
import { compareDigests, type DigestComparison } from '../guest/oracle.js';
import {
  diskNames,
  type LabMachine,
  primaryCommand,
  type QemuCommand,
  secondaryCommand,
} from '../guest/qemu-command.js';
import { defaultRegions, guestDiskName } from '../guest/regions.js';
import { LabVm } from '../guest/vm.js';
import type { ClientNetwork } from '../hosts/client-network.js';

const MIB = 1024 * 1024;
const MEMORY_MB = 128;
/** The service of a guest with a network has to get a turn beside the oracles. */
const THINK_US = 20_000;
const DISK_MB = 64;
/** Random data on each disk: something to copy. */
const FILL_MB = 8;

/** What a pair is made of. */
export interface VsmrPairOptions {
  readonly disks?: number;
  readonly type?: 'pc' | 'q35';
  /** Default 128. */
  readonly memoryMb?: number;
  /** Pause of each oracle after each request. Default: 0, with a network 20 ms. */
  readonly thinkUs?: number;
  /** Default: the system's. */
  readonly qemu?: string;
  /** A network card, and what becomes of the packets of the primary's guest. */
  readonly network?: { readonly wire: ClientNetwork; readonly way: 'compared' | 'buffered' };
}

/** One host's part: a VM, its RAM and its devices. */
interface Side {
  readonly vm: LabVm;
  readonly qmp: QmpClient;
  readonly guest: SnapshotVm;
  readonly ram: FileRam;
}

/** Two real VMs and a replica, held together by the VSMR engine: no COLO, no shim, no daemons. */
export class VsmrPair {
  readonly events: SecondaryEngineEvent[] = [];
  #primary: Side | undefined;
  #secondary: Side | undefined;
  #engines: { readonly primary: PrimaryEngine; readonly secondary: SecondaryEngine } | undefined;
  #served: Promise<string> | undefined;
  #replica: Replica | undefined;
  #links: readonly Socket[] = [];
  #frames: readonly FrameLink[] = [];
  #output: HeldOutput | undefined;
  #walled: WalledCards | undefined;
  readonly #servers: Server[] = [];
  readonly #source = new ExternalSource();
  readonly #ends: (() => Promise<unknown>)[] = [];
  #diverged: string | undefined;
  #onDiffer: () => void = () => undefined;

  private constructor(
    private readonly folder: string,
    private readonly machine: LabMachine,
    private readonly options: VsmrPairOptions,
  ) {}

  /** Boots the primary, copies its disks and its RAM while it runs. */
  static async create(options: VsmrPairOptions = {}): Promise<VsmrPair> {
    const folder = await mkdtemp('/dev/shm/gannet-vsmr-');
    const guest = await (options.network ? findNetworkGuest() : findGuest());
    const { type = 'pc', memoryMb = MEMORY_MB } = options;
    const { thinkUs = options.network ? THINK_US : 0 } = options;
    const machine = { guest, type, memoryMb, thinkUs };
    const pair = new VsmrPair(folder, machine, options);
    try {
      await pair.#begin();
    } catch (error) {
      await pair.dispose();
      throw error;
    }
    return pair;
  }

  get primary(): Side {
    return started(this.#primary);
  }

  get secondary(): Side {
    return started(this.#secondary);
  }

  get engines(): { readonly primary: PrimaryEngine; readonly secondary: SecondaryEngine } {
    return started(this.#engines);
  }

  /**
   * The first two checkpoints: from the second on the secondary has all packets that matter.
   * Without a network, one.
   */
  async protect(): Promise<void> {
    await this.engines.primary.checkpoint();
    if (this.#output === undefined) return;
    await this.#output.join();
    await this.engines.primary.checkpoint();
  }

  /** Of both directions of the engines' connection so far. */
  get sentBytes(): number {
    return this.#frames.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  }

  /** Resolves when no checkpoint is under way. */
  async idle(): Promise<void> {
    while (this.engines.primary.phase !== 'running') await sleep(1);
  }

  /** Resolves when the guests' packets differ next. */
  async differ(): Promise<void> {
    await new Promise<void>((resolve) => (this.#onDiffer = resolve));
  }

  /** Kills the primary, as the end of its host would. */
  async killPrimary(): Promise<void> {
    await this.primary.vm.kill('SIGKILL');
    for (const link of this.#links) link.destroy();
  }

  /** Resolves when the replica has noticed that the primary is gone. */
  async linkLost(): Promise<void> {
    while (started(this.#replica).link.loss === undefined) await sleep(1);
  }

  /** The guest goes on at the secondary, first from memory, then from its local files. */
  async takeOver(): Promise<void> {
    await this.engines.secondary.takeOver();
    await this.#walled?.open();
    const replica = started(this.#replica);
    const files = this.#disks().map(({ device, base }, at) => {
      return { device, id: `local${at}`, file: { driver: 'file', filename: base } } as const;
    });
    await new SecondaryDriver(this.secondary.qmp).moveToLocal(files, () => replica.settle());
  }

  /** What the survivor remembers, against what its disks hold, and then all of it read again. */
  async compare(): Promise<{ digests: DigestComparison[]; isClean: boolean }> {
    const { vm } = this.secondary;
    const { oracle, gone: signal } = vm;
    await vm.command('stop');
    const digests = await oracle.waitForDigests(this.regions, { signal });
    const images = this.#disks().map(({ base }, at) => [guestDiskName(at), base] as const);
    const comparisons = await compareDigests(digests, Object.fromEntries(images));
    await vm.command('scan');
    await oracle.waitForScans(this.regions, { signal });
    return { digests: comparisons, isClean: oracle.clean };
  }

  get regions(): number {
    return defaultRegions(this.#disks().map((_, at) => guestDiskName(at))).length;
  }

  async dispose(): Promise<void> {
    for (const link of this.#links) link.destroy();
    await this.#served;
    for (const side of [this.#primary, this.#secondary]) {
      await side?.qmp.close();
      await side?.ram.close();
      await side?.vm.dispose();
    }
    for (const end of this.#ends.reverse()) await end();
    for (const server of this.#servers) server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async #begin(): Promise<void> {
    const disks = this.#disks();
    for (const { local } of disks) await makeImage(local);
    const primary = primaryCommand(
      this.#machine(0),
      disks.map(({ local }) => ({ path: local })),
    );
    this.#primary = await this.#start('primary', primary);
    await this.#primary.vm.oracle.waitForStart(this.regions);

    const replica = await this.#openReplica();
    const exportsOf = (name: string): string => (disks.length > 1 ? `${name}-svm` : 'svm');
    const views = disks.map(({ name }) => {
      return { socketPath: this.#path('nbd'), exportName: exportsOf(name) };
    });
    const secondary = secondaryCommand(this.#machine(1), views, 'unused');
    this.#secondary = await this.#start('secondary', withoutIncoming(secondary));

    // The same steps as with COLO; a plain NBD child of the quorum needs none.
    const failures: string[] = [];
    const driver = new PrimaryDriver(this.#primary.qmp, {
      onLinkFailure: ({ message }) => failures.push(message),
    });
    const { guest } = this.#primary;
    const pause = guest.pause.bind(guest);
    guest.pause = async () => {
      await pause();
      if (failures.length > 0) throw new Error(failures.join());
    };
    const links = disks.map(({ name, device }) => {
      const server = { type: 'unix', path: this.#path('nbd') } as const;
      const pvm = disks.length > 1 ? `${name}-pvm` : 'pvm';
      return { device, link: 'nbd', id: device, export: pvm, server } as const;
    });
    await driver.seed(links);
    await driver.attach(links);
    await this.#connect(replica);
    await this.engines.primary.copyRam();
  }

  async #openReplica(): Promise<Replica> {
    const disks = this.#disks().map(({ name, base }) => {
      return { name, base, sizeBytes: DISK_MB * MIB };
    });
    const replica = await Replica.open({ vm: 'vsmr', disks });
    const now = (): number => performance.now();
    new Checkpointer({
      ...{ source: this.#source, replica, now },
      onEvent: (event) => {
        if (event.kind === 'diverged') this.#diverged = event.reason;
      },
    }).start();
    const writeBack = new WriteBack({ target: replica, clock: { now, sleep: (ms) => sleep(ms) } });
    replica.on(({ kind }) => {
      if (kind === 'backlog') writeBack.kick();
    });
    const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
    await server.listen({ path: this.#path('nbd') });
    this.#ends.push(
      () => replica.close(),
      () => server.close(),
      () => writeBack.stop(),
    );
    this.#replica = replica;
    return replica;
  }

  async #connect(replica: Replica): Promise<void> {
    const server = createServer().listen(this.#path('link'));
    this.#servers.push(server);
    const client = connect(this.#path('link'));
    const [accepted] = (await once(server, 'connection')) as [Socket];
    this.#links = [client, accepted];
    const { primary, secondary } = this;
    await this.#holdOutput();
    const [link, there] = [
      new FrameLink(client, primary.ram),
      new FrameLink(accepted, secondary.ram),
    ];
    this.#frames = [link, there];
    const engine = new SecondaryEngine({
      ...{ guest: secondary.guest, ram: secondary.ram, disks: this.#disksPort(replica) },
      link: there,
      onEvent: (event) => this.events.push(event),
    });
    this.#served = engine.serve();
    const output = this.#output;
    const ports = {
      ...{ guest: primary.guest, ram: primary.ram, link, clock: performance },
      ...(output && { output }),
    };
    this.#engines = { primary: await PrimaryEngine.start(ports), secondary: engine };
  }

  async #holdOutput(): Promise<void> {
    const { network } = this.options;
    if (!network) return;
    const { way } = network;
    const card = {
      netdev: 'net0',
      mirror: { type: 'unix', path: this.#path('mirror') },
      compare: { type: 'unix', path: this.#path('compare') },
      noticesPath: this.#path('notices'),
    } as const;
    const cards = [card];
    const onDiffer = (): void => this.#onDiffer();
    this.#walled = new WalledCards(this.secondary.qmp, way, { cards });
    this.#output =
      way === 'compared'
        ? new ComparedOutput(this.primary.qmp, { cards, onDiffer })
        : new BufferedOutput(this.primary.qmp, { cards });
    await this.#walled.prepare();
    await this.#output.connect();
  }

  #disksPort(replica: Replica): DisksPort {
    const check = (): void => {
      if (this.#diverged !== undefined) throw new Error(this.#diverged);
    };
    return {
      commit: async () => {
        await this.#walled?.committed();
        this.#source.seal();
        // Its pause() fails if a link of its disks has.
        this.#source.commit({ primaryStoodWhole: true });
        check();
      },
      failOver: async () => {
        this.#source.failOver();
        check();
        await replica.failoverDurable();
      },
    };
  }

  async #start(name: 'primary' | 'secondary', { args }: QemuCommand): Promise<Side> {
    const { qemu = 'qemu-system-x86_64' } = this.options;
    const file = this.#path(`${name}.ram`);
    const backend = `memory-backend-file,id=ram0,size=${this.#memoryMb}M,mem-path=${file},share=on`;
    const vm = await LabVm.start({
      ...{ name, dir: this.folder, qemu: this.options.network?.wire.inside(qemu) ?? [qemu] },
      args: [...args, '-object', backend, '-machine', 'memory-backend=ram0'],
    });
    const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[1] } });
    const guest = new SnapshotVm(qmp, { folder: this.folder, id: `${name}-devices` });
    const ram = await FileRam.open(await guest.prepare());
    return { vm, qmp, guest, ram };
  }

  #disks() {
    return Array.from({ length: this.options.disks ?? 1 }, (_, at) => ({
      name: `disk${at}`,
      device: diskNames(at).device,
      local: this.#path(`primary${at}.raw`),
      base: this.#path(`base${at}.raw`),
    }));
  }

  get #memoryMb(): number {
    return this.machine.memoryMb ?? MEMORY_MB;
  }

  /** With its network card, if there is a network. */
  #machine(index: number): LabMachine {
    const wire = this.options.network?.wire;
    if (!wire) return this.machine;
    return { ...this.machine, card: { tap: wire.tap(index), address: wire.guestAddress } };
  }

  #path(name: string): string {
    return path.join(this.folder, name);
  }
}

/** It waits for no migration: its devices are loaded as a snapshot. */
function withoutIncoming({ args }: QemuCommand): QemuCommand {
  const at = args.indexOf('-incoming');
  return { args: [...args.slice(0, at), ...args.slice(at + 2), '-S'] };
}

/** What is not zero is at its end, where no oracle works. */
async function makeImage(file: string): Promise<void> {
  const image = await open(file, 'wx');
  const fill = randomFillSync(Buffer.alloc(FILL_MB * MIB));
  await image.write(fill, 0, fill.length, (DISK_MB - FILL_MB) * MIB);
  await image.close();
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the pair has not been started');
  return part;
}
