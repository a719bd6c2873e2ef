/**
 * The primary's side: seed, attach, start the engine, and away again.
 *
 *   seed ──► attach ──► start ──► finishSeed        each step after the one before it
 *     └────────┴──────────┴───────────┴──► rollback or runAlone, at any time
 *
 * From READY on, no write may be on the primary's disk alone. What carries it to the replica:
 *
 *   link         after seed   after attach      in COLO, before finishSeed   after
 *   replication  mirror       mirror (*)        mirror and child             child
 *   nbd          mirror       child             child                        child
 *   mirror       mirror       mirror            mirror                       mirror
 *
 *   (*) its filter refuses writes until COLO runs (QEMU block/replication.c).
 *
 * Each step therefore checks that the mirrors it counts on have not failed. What exists in QEMU is
 * read from the live graph. Only the mirrors and the list of disks are kept here, and adopt() finds
 * both again in a new process.
 */
import type { QmpClient } from 'qemu-qmp-client';
import type { BlockdevContext } from './disk/blockdev.js';
import type { CheckpointEngine, GoOnOptions, StartOptions } from './checkpoint-engine.js';
import { Deadline } from './deadline.js';
import { LinkError } from './errors.js';
import type { Finding } from './inspect/finding.js';
import { type FoundDisk, findDisks } from './find-disks.js';
import { checkLinks, type DiskLink, namesOf, nbdNodesOf } from './disk/disk-link.js';
import { cancelCopies, LinkedDisk } from './disk/linked-disk.js';
import { blockJobs } from './disk/leftovers.js';
import { checkDisk, type LinkFailure, watchDisks } from './disk/disk-watch.js';
import { ColoEngine } from './migration/colo-engine.js';
import { Mirror } from './disk/mirror.js';
import { inspect } from './inspect/preflight.js';
import { DEFAULTS, type PrimaryOptions, type SeedOptions } from './primary-options.js';
import { phaseAfter, type PrimaryDriverPhase, type PrimaryStep } from './primary-phase.js';
import type { Reconnection } from './disk/seed-options.js';
import { type PeerConnections, yankAll } from './yank.js';

/**
 * The primary's QEMU: seed(), attach(), start(), finishSeed(), each after the one before it;
 * runAlone() or rollback() at any time. Checkpoints are the engine's business.
 */
export class PrimaryDriver {
  readonly #qmp: QmpClient;
  readonly #options: typeof DEFAULTS;
  readonly #engine: CheckpointEngine;
  #linked: LinkedDisk[] = [];
  #unsubscribe: () => void = () => undefined;
  #phase: PrimaryDriverPhase = 'idle';

  constructor(qmp: QmpClient, options: PrimaryOptions = {}) {
    this.#qmp = qmp;
    this.#options = { ...DEFAULTS, ...options };
    this.#engine = options.engine ?? new ColoEngine(qmp, this.#options);
  }

  /** The disks that were given to seed() or adopt(), until runAlone() or rollback(). */
  get disks(): readonly DiskLink[] {
    return this.#linked.map(({ disk }) => disk);
  }

  /** Network cards (-netdev) whose packets are held until both guests have sent the same. */
  get comparedCards(): readonly string[] {
    return this.#engine.comparedCards;
  }

  /**
   * What keeps these disks from being protected; empty if nothing does.
   * @throws LinkError `DRIVER_BAD_LINK`
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   * @throws GraphError `DRIVER_GRAPH_UNSTABLE`
   * @throws NetworkError
   */
  async preflight(disks: readonly DiskLink[]): Promise<Finding[]> {
    checkLinks(disks);
    const findings = await this.#engine.preflight();
    const { commandTimeoutMs: timeoutMs } = this.#options;
    return [...findings, ...(await inspect(this.#qmp, disks, { timeoutMs }, this.#engine.kind))];
  }

  /**
   * Copies the disks to their replicas while the guest runs. Resolves when all of them are READY:
   * from then on each write is on both sides before the guest sees it complete. After a failure
   * call rollback().
   * @throws SeedError with QEMU's words
   * @throws LinkError `DRIVER_BAD_LINK`
   * @throws LinkError `DRIVER_PEER_SILENT`
   * @throws LinkError `DRIVER_ADD_FAILED`
   * @throws GraphError `DRIVER_DISK_NOT_FOUND`
   * @throws GraphError `DRIVER_NO_QUORUM`
   * @throws GraphError `DRIVER_SIZE_MISMATCH`
   * @throws WaitError
   */
  async seed(disks: readonly DiskLink[], options: SeedOptions = {}): Promise<void> {
    checkLinks(disks);
    // What a rollback that failed has left would be in the way of this seed, and of every later
    // one.
    if (this.#phase === 'leaving') await this.rollback();
    this.#step('seed');
    const { signal, onProgress, speedBytesPerSec, alongside } = options;
    const { commandTimeoutMs, pollMs, stallTimeoutMs } = this.#options;
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
    let isAlongsideDone = alongside === undefined;
    const isEnough = (): boolean =>
      isAlongsideDone && this.#linked.every(({ mirror }) => mirror.isComplete);
    const beside = alongside?.(either).then(() => {
      isAlongsideDone = true;
    });
    const waits = this.#linked.map((linked) => {
      const reconnection = this.#reconnectionOf(linked, { ...options, signal: either });
      return linked.mirror.ready({ ...bounds, isEnough, reconnection });
    });
    try {
      await Promise.all([...waits, beside]);
    } finally {
      // A rollback that follows must be the only one to change the graph.
      failed.abort();
      await Promise.allSettled([...waits, beside]);
    }
    // One may have failed after it was READY, while another was still copying.
    this.#checkMirrors();
    this.#step('seeded');
  }

  /**
   * Makes the replica a child of each disk's quorum. Does nothing for the link `mirror`. A plain
   * NBD child carries the writes at once, so its mirror ends here. After a failure call rollback().
   * @throws LinkError `DRIVER_NOT_SEEDED`
   * @throws LinkError `DRIVER_PEER_SILENT`
   * @throws LinkError `DRIVER_ADD_FAILED`
   * @throws SeedError
   * @throws GraphError
   * @throws WaitError
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
    // Of the links, and of the filters that the mirrors have put on top.
    await this.checkGraph();
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
   * Cuts the connections of copies that can be resumed, for example when the replicator is silent.
   * The guest's writes stop waiting for it, and seed() connects again. Nothing else is touched.
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
   * Sends the guest's memory and starts checkpoints, with COLO as long as no other engine is given.
   * The secondary has seen all packets of the network cards from the next checkpoint on. On failure
   * the disks stay linked: try again, or call rollback().
   * @throws ColoError `DRIVER_COLO_UNSUPPORTED` with QEMU's error-desc
   * @throws ColoError `DRIVER_COLO_REFUSED` with QEMU's error-desc
   * @throws ColoError `DRIVER_COLO_NOT_ENTERED` with QEMU's error-desc
   * @throws LinkError `DRIVER_NOT_SEEDED`
   * @throws SeedError `DRIVER_SEED_LOST`
   * @throws NetworkError
   * @throws WaitError
   */
  async start(options: StartOptions): Promise<void> {
    // Without them the secondary would run on stale disks.
    this.#step('start');
    this.#checkMirrors();
    await this.#engine.start(options, () => this.#checkMirrors());
    this.#checkMirrors();
  }

  /**
   * Call it once checkpoints are made: ends the mirrors that the links replace and deletes their
   * nodes. Calling it again is harmless.
   * @throws SeedError `DRIVER_SEED_LOST`: writes are missing on the replica
   * @throws LinkError `DRIVER_REMOVE_FAILED`
   * @throws WaitError
   */
  async finishSeed(): Promise<void> {
    this.#step('finishSeed');
    for (const linked of this.#linked) {
      await linked.endSeed(this.#blockdev(`ending the seed of ${linked.disk.device}`));
    }
  }

  /**
   * Starts a checkpoint at once. Resolves when it has been ordered, not when it is done.
   * @throws ColoError `DRIVER_NOT_IN_COLO`
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  checkpointNow(): Promise<void> {
    return this.#engine.checkpointNow();
  }

  /**
   * Sets the time between checkpoints. This may also start a checkpoint.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  setPeriod(periodMs: number): Promise<void> {
    return this.#engine.setPeriod(periodMs);
  }

  /**
   * Takes over disks that an earlier process has linked. Then runAlone(), finishSeed() and
   * checkpointNow() work on them. Changes nothing in QEMU.
   * @throws LinkError `DRIVER_BAD_LINK`
   * @throws GraphError
   * @throws NetworkError
   */
  async adopt(disks: readonly DiskLink[]): Promise<void> {
    checkLinks(disks);
    const found = await findDisks(this.#qmp, disks, this.#commandOptions());
    const jobs = await blockJobs(this.#qmp, this.#commandOptions());
    await this.#engine.adopt();
    this.#step('adopt');
    this.#watch();
    for (const one of found) {
      const { mirror } = this.#link(one);
      const job = jobs.find(({ device }) => device === namesOf(one.disk).seedJob);
      if (job !== undefined) mirror.adopt(job.ready);
    }
  }

  /**
   * After adopt(): goes on with checkpoints, unless QEMU has done so all the time. Links that are
   * missing or have failed are passed to `onLinkFailure` first.
   * @throws what the engine throws: the secondary can't go on. Then call runAlone().
   * @throws GraphError
   */
  async goOn(options: GoOnOptions): Promise<void> {
    await this.checkGraph();
    await this.#engine.goOn(options);
  }

  /**
   * For a secondary that is dead or hangs: cuts the connections, so that no write of the guest
   * waits for it, takes the replicas out of the graph, and ends checkpoints. The guest runs on.
   * Calling it again is harmless. Does as much as it can before it throws the first error.
   * @throws LinkError `DRIVER_REMOVE_FAILED`
   * @throws NetworkError
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   * @throws ColoError `DRIVER_GUEST_STOPPED`
   * @throws WaitError
   */
  async runAlone(): Promise<void> {
    await this.#letGo('letting the secondary go');
  }

  /**
   * Checks that each replica is still where attach() put it. QEMU has no event for a change of the
   * graph; what is missing is passed to `onLinkFailure`.
   * @throws GraphError: QEMU could not be asked
   */
  async checkGraph(): Promise<void> {
    for (const linked of this.#linked) {
      const report = (failure: LinkFailure): void => this.#reportFailure(failure);
      linked.nodes = await checkDisk(this.#qmp, linked.disk, this.#commandOptions(), report);
    }
  }

  /**
   * Cuts the connections to the secondary out-of-band, and does nothing else: this frees a QEMU
   * that hangs on them. Call runAlone() next. Link failures are still reported.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  async cutLinks(timeoutMs: number): Promise<void> {
    this.#engine.cut();
    await yankAll(this.#qmp, this.#connections(), timeoutMs);
  }

  /**
   * Stops the guest for good, and checkpoints, for the secondary to take over; sends at once.
   * @throws ColoError `DRIVER_COMMAND_FAILED`
   */
  halt(): Promise<void> {
    return this.#engine.halt();
  }

  /**
   * Undoes seed() and attach(), and start() if it was reached: the graph is as it was before.
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
    await attempt(() => this.cutLinks(this.#options.commandTimeoutMs));
    for (const linked of this.#linked) {
      await attempt(() => linked.detach(this.#blockdev(`${what}: ${linked.disk.device}`)));
    }
    await attempt(() => this.#engine.leave(what));
    if (errors.length > 0) throw errors[0];
    this.#forget();
  }

  #link({ disk, graph, isThreaded }: FoundDisk): LinkedDisk {
    const { seedJob: job, seedNode: target } = namesOf(disk);
    const { device } = disk;
    const isResumable = disk.seedExports !== undefined;
    const how = { isResumable, isThreaded, isUpdate: disk.isUpdate === true };
    const source = { device, job, node: graph.topNode, target, ...how };
    const mirror = new Mirror(this.#qmp, source, ({ message }) => {
      const failure = { device, node: job, message };
      if (mirror.mayHavePivoted) void this.#reportEnd(linked, failure);
      else this.#reportFailure(failure);
    });
    const linked = new LinkedDisk(disk, mirror, graph.nodes, this.#options.probePeer);
    this.#linked.push(linked);
    return linked;
  }

  #watch(): void {
    this.#unsubscribe();
    this.#unsubscribe = watchDisks(this.#qmp, () => this.#linked, {
      onLink: (failure) => this.#reportFailure(failure),
      onDisk: (failure) => this.#options.onDiskFailure(failure),
    });
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
    return { nodes: this.disks.flatMap(nbdNodesOf), ...this.#engine.connections };
  }

  #reportFailure(failure: LinkFailure): void {
    // A link that we cut ourselves has not failed.
    if (this.#phase === 'leaving') return;
    this.#engine.linkFailed(failure.message);
    this.#options.onLinkFailure(failure);
  }

  /** A guest whose disk is its replica now lacks nothing there: its own disk does. */
  async #reportEnd(linked: LinkedDisk, failure: LinkFailure): Promise<void> {
    const { device, node: job } = failure;
    const context = this.#blockdev(`looking for the end of ${job}`);
    if (await linked.hasPivoted(context).catch(() => false)) {
      const { node } = linked.mirror.source;
      const message =
        `somebody completed the mirror of ${device} (job ${job}): ` +
        `its own disk (node ${node}) gets no more writes`;
      this.#options.onDiskFailure({ device, node, effect: 'lacks-write', message });
    } else {
      this.#reportFailure(failure);
    }
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

  #blockdev(what: string, signal?: AbortSignal): BlockdevContext {
    const { stepTimeoutMs: timeoutMs, commandTimeoutMs } = this.#options;
    const deadline = new Deadline(what, { timeoutMs, signal });
    return { qmp: this.#qmp, deadline, commandTimeoutMs };
  }

  #commandOptions(): { timeoutMs: number } {
    return { timeoutMs: this.#options.commandTimeoutMs };
  }

  #step(next: PrimaryStep): void {
    this.#phase = phaseAfter(this.#phase, next, this.#deviceList());
  }

  #deviceList(): string {
    return this.disks.map(({ device }) => device).join(', ') || 'none';
  }
}
