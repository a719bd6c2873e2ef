/**
 * The primary's side: seed, attach, COLO, and away again.
 *
 *   seed ──► attach ──► startColo ──► finishSeed        each step after the one before it
 *     └────────┴────────────┴─────────────┴──► rollback or runAlone, at any time
 *
 * A write must never be on the primary's disk alone, from READY on. What carries it meanwhile:
 *
 *   link         after seed   after attach      in COLO, before finishSeed   after
 *   replication  mirror       mirror (*)        mirror and child             child
 *   nbd          mirror       child             child                        child
 *   mirror       mirror       mirror            mirror                       mirror
 *
 *   (*) the replication filter refuses writes until COLO runs (QEMU block/replication.c,
 *       replication_get_io_status).
 *
 * Each step therefore checks that the mirrors on which it counts have not failed meanwhile. What exists
 * in QEMU is read from the live graph; only mirrors and the list of disks are kept here, and adopt()
 * gives both to a process that comes later.
 */
import type { QmpClient } from 'qemu-qmp-client';
import type { BlockdevContext } from './disk/blockdev.js';
import { Deadline } from './deadline.js';
import { ColoError, GraphError, LinkError, step } from './errors.js';
import type { Finding } from './inspect/finding.js';
import { type FoundDisk, findDisks } from './find-disks.js';
import { findDisk } from './disk/graph.js';
import { checkLinks, type DiskLink, namesOf, nbdNodesOf } from './disk/disk-link.js';
import { cancelCopies, LinkedDisk } from './disk/linked-disk.js';
import {
  checkGuest,
  leaveColo,
  type MigrationContext,
  migrateIntoColo,
  queryMigration,
  setCheckpointDelay,
  setColoCapability,
} from './migration.js';
import { Mirror } from './disk/mirror.js';
import { chardevNames, type ComparedCard } from './network/compared-card.js';
import { inspect } from './inspect/preflight.js';
import {
  connectNetwork,
  joinedNetwork,
  joinNetwork,
  leaveNetwork,
  probeNetwork,
} from './network/primary-network.js';
import type {
  LinkFailure,
  PrimaryOptions,
  SeedOptions,
  StartColoOptions,
} from './primary-options.js';
import { watchQuorums } from './disk/quorum-watch.js';
import { phaseAfter, type PrimaryPhase, type PrimaryStep } from './primary-phase.js';
import type { Reconnection } from './disk/seed-options.js';
import { type PeerConnections, yankAll } from './yank.js';

/**
 * The primary's QEMU: seed(), attach(), startColo(), finishSeed(), each after the one before it; runAlone() or rollback()
 * at any time.
 */
export class PrimaryDriver {
  readonly #qmp: QmpClient;
  readonly #options: Required<PrimaryOptions>;
  #linked: LinkedDisk[] = [];
  #unsubscribe: () => void = () => undefined;
  #phase: PrimaryPhase = 'idle';
  #compared: readonly ComparedCard[] = [];

  constructor(qmp: QmpClient, options: PrimaryOptions = {}) {
    this.#qmp = qmp;
    this.#options = {
      commandTimeoutMs: 10_000,
      stepTimeoutMs: 30_000,
      stallTimeoutMs: 60_000,
      pollMs: 100,
      probePeer: true,
      network: [],
      onLinkFailure: () => undefined,
      ...options,
    };
  }

  /** The disks that were given to seed() or adopt(), until runAlone() or rollback(). */
  get disks(): readonly DiskLink[] {
    return this.#linked.map(({ disk }) => disk);
  }

  /** Network cards (-netdev) whose packets are held until both guests have sent the same. */
  get comparedCards(): readonly string[] {
    return this.#compared.map(({ netdev }) => netdev);
  }

  /**
   * What stands in the way of protecting these disks; empty when nothing does.
   * @throws LinkError `DRIVER_BAD_LINK`; ColoError `DRIVER_COMMAND_FAILED`; GraphError `DRIVER_GRAPH_UNSTABLE`; NetworkError
   */
  async preflight(disks: readonly DiskLink[]): Promise<Finding[]> {
    checkLinks(disks);
    await probeNetwork(this.#migration('looking at the network cards'), this.#options.network);
    return inspect(this.#qmp, disks, { timeoutMs: this.#options.commandTimeoutMs });
  }

  /**
   * Copies the disks to their replicas while the guest runs. Resolves when all of them are READY: from
   * then on each write is on both sides before the guest hears of it. After a failure call rollback().
   * @throws SeedError with QEMU's words; LinkError `DRIVER_BAD_LINK`, `DRIVER_PEER_SILENT`, `DRIVER_ADD_FAILED`;
   *   GraphError `DRIVER_DISK_NOT_FOUND`, `DRIVER_NO_QUORUM`, `DRIVER_SIZE_MISMATCH`; WaitError
   */
  async seed(disks: readonly DiskLink[], options: SeedOptions = {}): Promise<void> {
    checkLinks(disks);
    // What a rollback that failed has left would be in the way of this seed, and of every later one.
    if (this.#phase === 'leaving') await this.rollback();
    this.#step('seed');
    const { signal, onProgress, speedBytesPerSec } = options;
    const { commandTimeoutMs, pollMs, stallTimeoutMs } = this.#options;
    const isEnough = (): boolean => this.#linked.every(({ mirror }) => mirror.isComplete);
    const found = await findDisks(this.#qmp, disks, { ...this.#commandOptions(), signal });
    this.#watch();
    for (const one of found) {
      const context = this.#blockdev(`starting the seed of ${one.disk.device}`, signal);
      const linked = this.#link(one);
      await linked.startSeed(context, one.graph.sizeBytes, speedBytesPerSec);
    }
    const failed = new AbortController();
    const either = AbortSignal.any([failed.signal, ...(signal === undefined ? [] : [signal])]);
    const bounds = { pollMs, stallTimeoutMs, commandTimeoutMs, signal: either, onProgress };
    const waits = this.#linked.map((linked) => {
      const reconnection = this.#reconnectionOf(linked, { ...options, signal: either });
      return linked.mirror.ready({ ...bounds, isEnough, reconnection });
    });
    try {
      await Promise.all(waits);
    } finally {
      // A rollback that follows must be the only one to change the graph.
      failed.abort();
      await Promise.allSettled(waits);
    }
    // One may have failed after it was READY, while another was still copying.
    this.#checkMirrors();
    this.#step('seeded');
  }

  /**
   * Makes the replica a child of each disk's quorum; nothing to do for the link `mirror`. A plain NBD
   * child carries the writes at once, so its mirror ends here. After a failure call rollback().
   * @throws LinkError `DRIVER_NOT_SEEDED`, `DRIVER_PEER_SILENT`, `DRIVER_ADD_FAILED`; SeedError; GraphError; WaitError
   */
  async attach(disks: readonly DiskLink[]): Promise<void> {
    this.#step('attach');
    const wanted = new Set(disks.map(({ id }) => id));
    const chosen = this.#linked.filter(({ disk }) => wanted.has(disk.id));
    if (chosen.length < wanted.size || chosen.length < this.#linked.length) {
      const message = `attach() was called with other disks than seed(): ${this.#deviceList()}`;
      throw new LinkError(
        'DRIVER_NOT_SEEDED',
        message,
        'Attach exactly the disks that were seeded.',
      );
    }
    // Before the first link opens: a copy that breaks from here on is not resumed.
    for (const linked of chosen) linked.seal();
    for (const linked of chosen) {
      this.#checkMirrors();
      await linked.attach(this.#blockdev(`attaching ${linked.disk.device}`));
    }
    this.#checkMirrors();
    this.#step('attached');
  }

  /**
   * Changes the speed limit of a copy that is under way, for each disk.
   * @param bytesPerSec 0 for no limit
   * @throws SeedError `DRIVER_SEED_FAILED`
   */
  async setSeedSpeed(bytesPerSec: number): Promise<void> {
    const { commandTimeoutMs: timeoutMs } = this.#options;
    for (const { mirror } of this.#linked) {
      if (mirror.phase !== 'new') await mirror.setSpeed(bytesPerSec, { timeoutMs });
    }
  }

  /**
   * Cuts the links of copies that can be resumed, as when the replicator has gone silent: no write of the guest waits for
   * it any more, and seed() connects anew. Nothing else is touched.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  async cutSeeds(): Promise<void> {
    const nodes = this.#linked
      .filter(({ mirror }) => mirror.isResumable)
      .flatMap(({ disk }) => namesOf(disk).seedLinks);
    const copies = { nodes, chardevs: [], migration: false };
    await yankAll(this.#qmp, copies, this.#options.commandTimeoutMs);
  }

  /**
   * Starts COLO; resolves when the primary's migration status is `colo`. Of the network cards' packets the secondary
   * knows all from the next checkpoint on. On failure the disks stay linked: try again, or call rollback().
   * @throws ColoError `DRIVER_COLO_UNSUPPORTED`, `DRIVER_COLO_REFUSED`, `DRIVER_COLO_NOT_ENTERED` with QEMU's error-desc;
   *   LinkError `DRIVER_NOT_SEEDED`; SeedError `DRIVER_SEED_LOST`; NetworkError; WaitError
   */
  async startColo(options: StartColoOptions): Promise<void> {
    const { uri, periodMs, timeoutMs, signal, onProgress } = options;
    // Without them the secondary would run on stale disks.
    this.#step('startColo');
    this.#checkMirrors();
    const context = this.#migration(`entering COLO at ${uri}`, { timeoutMs, signal });
    await setColoCapability(context, true);
    await setCheckpointDelay(context, periodMs);
    await connectNetwork(context, this.#options.network);
    await migrateIntoColo(context, uri, () => this.#checkMirrors(), onProgress);
    await joinNetwork(context, this.#options.network);
    this.#compared = this.#options.network;
    this.#checkMirrors();
  }

  /**
   * To be called once COLO runs: ends the mirrors that the links replace and deletes their nodes.
   * Harmless when done already.
   * @throws SeedError `DRIVER_SEED_LOST`: writes are missing on the replica; LinkError `DRIVER_REMOVE_FAILED`; WaitError
   */
  async finishSeed(): Promise<void> {
    this.#step('finishSeed');
    for (const linked of this.#linked) {
      await linked.endSeed(this.#blockdev(`ending the seed of ${linked.disk.device}`));
    }
  }

  /**
   * Starts a checkpoint at once; resolves when QEMU has been told so, not when it is done.
   * @throws ColoError `DRIVER_NOT_IN_COLO`, `DRIVER_COMMAND_FAILED`
   */
  async checkpointNow(): Promise<void> {
    const context = this.#migration('asking for a checkpoint');
    const parameters = await step(
      () => this.#qmp.execute('query-migrate-parameters', {}, this.#commandOptions()),
      (words, cause) => {
        const message = `the checkpoint period cannot be read: ${words}`;
        return new ColoError('DRIVER_COMMAND_FAILED', message, 'See whether QEMU still answers.', {
          cause,
        });
      },
    );
    await this.#setPeriodInColo(context, parameters['x-checkpoint-delay'] ?? 20_000);
  }

  /**
   * Sets the time between checkpoints. In COLO, QEMU takes this as a wish for one at once, too.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  async setPeriod(periodMs: number): Promise<void> {
    await setCheckpointDelay(this.#migration('setting the period'), periodMs);
  }

  /**
   * Takes over disks that an earlier process linked, as after a restart of the daemon: so that
   * runAlone(), finishSeed() and checkpointNow() work on them. Changes nothing in QEMU.
   * @throws LinkError `DRIVER_BAD_LINK`; GraphError; NetworkError
   */
  async adopt(disks: readonly DiskLink[]): Promise<void> {
    checkLinks(disks);
    const found = await findDisks(this.#qmp, disks, this.#commandOptions());
    const jobs = await step(
      () => this.#qmp.execute('query-block-jobs', {}, this.#commandOptions()),
      (words, cause) => {
        const message = `the block jobs cannot be read: ${words}`;
        return new GraphError('DRIVER_GRAPH_UNSTABLE', message, 'See whether QEMU still answers.', {
          cause,
        });
      },
    );
    const context = this.#migration('looking at the network cards');
    const compared = await joinedNetwork(context, this.#options.network);
    this.#step('adopt');
    this.#compared = compared;
    this.#watch();
    for (const one of found) {
      const { mirror } = this.#link(one);
      const job = jobs.find(({ device }) => device === namesOf(one.disk).seedJob);
      if (job !== undefined) mirror.adopt(job.ready);
    }
  }

  /**
   * The secondary is dead or hangs: cuts the connections first, so that no write of the guest waits for
   * it, takes the replicas out of the graph, and ends COLO. The guest runs on. Harmless when repeated.
   * Does as much as can be done before it throws the first error.
   * @throws LinkError `DRIVER_REMOVE_FAILED`; NetworkError; ColoError `DRIVER_COMMAND_FAILED`, `DRIVER_GUEST_STOPPED`; WaitError
   */
  async runAlone(): Promise<void> {
    await this.#letGo('letting the secondary go');
  }

  /**
   * Looks whether each replica is still where attach() put it. Somebody may have changed the graph, of which QEMU says
   * nothing; `onLinkFailure` hears of it.
   * @throws GraphError: QEMU could not be asked
   */
  async checkGraph(): Promise<void> {
    for (const { disk } of this.#linked.filter(({ disk: { link } }) => link !== 'mirror')) {
      const { device } = disk;
      const { linkNode: node } = namesOf(disk);
      const { quorum } = await findDisk(this.#qmp, device, this.#commandOptions());
      if (quorum?.children.some((child) => child.node === node) === true) continue;
      const message = `${device} has lost its replica: ${node} is no child of its quorum any more`;
      this.#reportFailure({ device, node, message });
    }
  }

  /**
   * Cuts the connections to the secondary out-of-band, and nothing more: frees a QEMU that hangs on them. To be followed
   * by runAlone(). Should it come to nothing, link failures are news as before.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  async cutLinks(timeoutMs: number): Promise<void> {
    await yankAll(this.#qmp, this.#connections(), timeoutMs);
  }

  /**
   * Undoes seed() and attach(), and COLO if it got that far: back to the graph that was there.
   * Errors as of runAlone().
   */
  async rollback(): Promise<void> {
    this.#step('leave');
    await cancelCopies(this.#linked, this.#options.commandTimeoutMs);
    await this.#letGo('rolling back');
  }

  async #letGo(what: string): Promise<void> {
    const errors: unknown[] = [];
    this.#step('leave');
    const attempt = async (run: () => Promise<unknown>): Promise<void> => {
      await run().catch((error: unknown) => errors.push(error));
    };
    const connections = this.#connections();
    await attempt(() => yankAll(this.#qmp, connections, this.#options.commandTimeoutMs));
    for (const linked of this.#linked) {
      await attempt(() => linked.detach(this.#blockdev(`${what}: ${linked.disk.device}`)));
    }
    const context = this.#migration(what);
    await attempt(async () => {
      await leaveNetwork(context, this.#options.network);
      this.#compared = [];
    });
    await attempt(() => leaveColo(context));
    await attempt(() => setColoCapability(context, false));
    await attempt(() => checkGuest(context));
    if (errors.length > 0) throw errors[0];
    this.#forget();
  }

  #link({ disk, graph, isThreaded }: FoundDisk): LinkedDisk {
    const { seedJob: job, seedNode: target } = namesOf(disk);
    const { device } = disk;
    const isResumable = disk.seedExports !== undefined;
    const source = { device, job, node: graph.topNode, target, isResumable, isThreaded };
    const mirror = new Mirror(this.#qmp, source, ({ message }) => {
      this.#reportFailure({ device, node: job, message });
    });
    const linked = new LinkedDisk(disk, mirror, this.#options.probePeer);
    this.#linked.push(linked);
    return linked;
  }

  #watch(): void {
    this.#unsubscribe();
    this.#unsubscribe = watchQuorums(
      this.#qmp,
      () => this.disks,
      (failure) => this.#reportFailure(failure),
    );
  }

  #reconnectionOf(linked: LinkedDisk, options: SeedOptions): Reconnection | undefined {
    const { linkTimeoutMs: limitMs = 60_000, linkStallMs: stallMs = 10_000, signal } = options;
    if (!linked.target.isResumable) return undefined;
    const { device } = linked.disk;
    const { commandTimeoutMs } = this.#options;
    const reconnect = (onWait: () => void): Promise<void> => {
      const what = `reaching the replicator again for ${device}`;
      const deadline = new Deadline(what, { timeoutMs: limitMs, signal });
      return linked.target.reconnect({ qmp: this.#qmp, deadline, commandTimeoutMs }, onWait);
    };
    return { limitMs, stallMs, reconnect, cut: () => this.cutSeeds() };
  }

  #connections(): PeerConnections {
    const chardevs = chardevNames(this.#options.network);
    return { nodes: this.disks.flatMap(nbdNodesOf), chardevs, migration: true };
  }

  #reportFailure(failure: LinkFailure): void {
    // A link that we cut ourselves has not failed.
    if (this.#phase !== 'leaving') this.#options.onLinkFailure(failure);
  }

  #checkMirrors(): void {
    for (const { mirror } of this.#linked) mirror.check();
  }

  #forget(): void {
    for (const { mirror } of this.#linked) mirror.dispose();
    this.#unsubscribe();
    this.#linked = [];
    this.#step('left');
  }

  async #setPeriodInColo(context: MigrationContext, periodMs: number): Promise<void> {
    const { status } = await queryMigration(context);
    if (status !== 'colo') {
      const message = `no checkpoint can be taken: the migration's status is ${status ?? 'none'}`;
      throw new ColoError('DRIVER_NOT_IN_COLO', message, 'Protect the VM first.');
    }
    await setCheckpointDelay(context, periodMs);
  }

  #blockdev(what: string, signal?: AbortSignal): BlockdevContext {
    const { stepTimeoutMs: timeoutMs, commandTimeoutMs } = this.#options;
    const deadline = new Deadline(what, { timeoutMs, signal });
    return { qmp: this.#qmp, deadline, commandTimeoutMs };
  }

  #migration(
    what: string,
    wait: { timeoutMs: number; signal?: AbortSignal | undefined } = {
      timeoutMs: this.#options.stepTimeoutMs,
    },
  ): MigrationContext {
    const { commandTimeoutMs, pollMs } = this.#options;
    return { qmp: this.#qmp, deadline: new Deadline(what, wait), commandTimeoutMs, pollMs };
  }

  #commandOptions(): { timeoutMs: number } {
    return { timeoutMs: this.#options.commandTimeoutMs };
  }

  #step(next: PrimaryStep): void {
    this.#phase = phaseAfter(this.#phase, next, this.#deviceList());
  }

  #deviceList(): string {
    const devices = this.disks.map(({ device }) => device);
    return devices.length === 0 ? 'none' : devices.join(', ');
  }
}
