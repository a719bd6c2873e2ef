import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import { cardsOf, linksOf } from '../../inspect/disk-links.js';
import { inspectPrimary, type SideReport } from '../../inspect/side-report.js';
import {
  asPrimary,
  type Config,
  describeError,
  hasTakenOver,
  type MethodResult,
  OPERATOR_REASONS,
  type PeerNotice,
  type PeerStatus,
  type PrimaryConfig,
  type PrimaryStatus,
  type Reporter,
  type ProtectStage,
  STATUS_SCHEMA,
} from '@gannet/contract';
import { PeerLink } from '../peer/peer-link.js';
import type { LivenessState } from '../peer/peer-liveness.js';
import { awaitPeer, interrupted, lossOf, troubleOf } from './await-peer.js';
import { CheckpointLog } from './checkpoint-log.js';
import { CheckpointWatch } from './checkpoint-watch.js';
import { notFenced, runFence } from '../fence.js';
import { LinkTls } from '../vm/link-tls.js';
import { isResponding } from '../vm/qemu-liveness.js';
import { expectLinkable } from './preflight.js';
import { primaryNetwork } from '../network-view.js';
import * as refusals from '../refusals.js';
import { changedKeys } from '../reload.js';
import type { Role, RoleContext, RoleMethods } from '../role-context.js';
import { memoryTo, SeedStage } from './seed-stage.js';
import { RejectedConnections } from '../rejected-connections.js';
import { stageFailed } from './stage-failure.js';
import { rollbackLeftovers } from './rollback-leftovers.js';
import { VmWatch } from '../vm/vm-watch.js';
import { withTimeout } from '../with-timeout.js';

const INSPECT_TIMEOUT_MS = 15_000;
/** What taking back a protection that is under way may take when the daemon is asked to end. */
const ROLLBACK_TIMEOUT_MS = 15_000;

/**
 * The primary host's side of one VM: drives its QEMU, and watches the secondary through the peer link. The primary may
 * always run on. When its secondary is lost it lets go of it, so that no write of the guest waits for a dead host, and
 * tells it, as soon as it can, that it is outdated.
 */
export class PrimaryRole implements Role {
  readonly name = 'primary';
  readonly methods: RoleMethods<'primary'> = {
    inspect: ({ peer }) => (peer === true ? this.#link.ask(INSPECT_TIMEOUT_MS) : this.#inspect()),
    protect: ({ bytesPerSec }, progress) => this.protect(progress, bytesPerSec),
    'seed-rate': ({ bytesPerSec }) => this.setSeedRate(bytesPerSec),
    checkpoint: () => this.checkpointNow(),
    detach: ({ force = false }) => this.detach(force),
    failover: ({ force = false }) => this.runOn(force),
  };
  readonly #links: readonly DiskLink[];
  readonly #rejected: RejectedConnections;
  readonly #tls: LinkTls;
  readonly #link: PeerLink;
  readonly #abort = new AbortController();
  readonly #checkpoints = new CheckpointWatch(
    () => this.config.primary.checkpointPeriodMs + 2 * this.config.peer.highMs,
    (limitMs) => this.#lose(`no checkpoint was done in ${limitMs} ms`),
  );
  readonly #checkpointLog = new CheckpointLog(
    (record) => this.context.history.add('checkpoint', record),
    () => (this.config.network.length > 0 ? this.config.primary.checkpointPeriodMs : undefined),
  );
  #driver: PrimaryDriver | undefined;
  #state: PrimaryStatus['state'] = 'unprotected';
  #stageName: PrimaryStatus['stage'] = '';
  #cancel = new AbortController();
  #seed: SeedStage | undefined;
  #protecting: Promise<PrimaryStatus> | undefined;
  #letGo: Promise<void> | undefined;
  /** The replica that protects this VM. */
  #replica: string | undefined;
  #told: Promise<boolean> | undefined;
  /** The secondary's loss is known, and acted upon once. */
  #isLost = false;

  private constructor(
    private config: PrimaryConfig,
    private readonly context: RoleContext,
    private readonly vm: VmWatch,
  ) {
    this.#links = linksOf(config);
    this.#rejected = new RejectedConnections(context.history);
    this.#tls = new LinkTls(vm, context.credentials, this.#links);
    vm.on((state, reason) => {
      this.context.history.add('vm', { state, reason });
      // Most likely on its links to the secondary.
      if (state === 'hung') this.#lose('the primary VM hangs');
      this.#link.beatNow();
    });
    this.#link = PeerLink.dial(config.primary.peer, {
      ...config.peer,
      vm: config.vm,
      role: 'primary',
      status: () => this.#peerStatus(),
      onLiveness: (pulse, silentMs) => this.#onLiveness(pulse, silentMs),
      onStatus: (status, before) => this.#onPeer(status, before),
      onNotice: (notice) => this.#onNotice(notice),
      onAsk: () => this.#inspect(),
      onRefused: (reason, address) => this.#rejected.note('peer', address, reason),
      credentials: context.credentials,
    });
  }

  /** @param vm a QEMU that is connected already, when a secondary becomes a primary */
  static start(config: PrimaryConfig, context: RoleContext, vm?: VmWatch): PrimaryRole {
    const watch = vm ?? new VmWatch(config.qmp, config.peer.highMs, context.credentials);
    const role = new PrimaryRole(config, context, watch);
    watch.attend({
      onConnected: (qmp) => role.#attach(qmp),
      onTrouble: (error) => role.#trouble(error),
    });
    return role;
  }

  status(): PrimaryStatus {
    const { primary, peer } = this.config;
    return {
      ...{ schema: STATUS_SCHEMA, role: 'primary', vm: this.config.vm },
      ...{ host: hostname(), heartbeatMs: peer.heartbeatMs },
      ...{ state: this.#state, stage: this.#stageName },
      ...(this.#seed ? { seed: this.#seed.view } : {}),
      ...{ primaryVm: this.vm.state, primaryVmTrouble: this.vm.trouble ?? null },
      ...{ link: primary.link, checkpointPeriodMs: primary.checkpointPeriodMs },
      ...primaryNetwork(this.config, this.#driver),
      epoch: this.#link.peer?.status.epoch ?? 0,
      strangers: this.#rejected.view,
      lastCheckpoint: this.#checkpointLog.last ?? null,
      peer: { pulse: this.#link.state, ...this.#link.peer },
    };
  }

  async reload(config: Config): Promise<readonly string[]> {
    const { checkpointPeriodMs, onSecondaryLost, seedBytesPerSec } = asPrimary(config).primary;
    if (checkpointPeriodMs !== this.config.primary.checkpointPeriodMs && this.#isProtected) {
      this.#checkpointLog.asked('demand');
      await this.#driver?.setPeriod(checkpointPeriodMs);
    }
    if (seedBytesPerSec !== this.config.primary.seedBytesPerSec) {
      await this.#seed?.setRate(seedBytesPerSec ?? 0);
    }
    const changed = { checkpointPeriodMs, onSecondaryLost, seedBytesPerSec };
    const primary = { ...this.config.primary, ...changed };
    this.config = { ...this.config, fence: config.fence, primary };
    // The other section is read when it is needed.
    return changedKeys(this.config, config).filter((key) => !key.startsWith('secondary'));
  }

  /** A protected VM stays protected without its daemon: the next one finds the protection again. */
  drain(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#abort.abort(interrupted('this daemon is ending'));
    this.#checkpoints.stop();
    if (this.#protecting) {
      const settled = this.#protecting.catch(() => undefined);
      await withTimeout(settled, ROLLBACK_TIMEOUT_MS, 'the rollback').catch(() => undefined);
    }
    this.#rejected.close();
    await this.#link.close();
    await this.vm.close();
  }

  /**
   * Copies the disks, starts COLO and waits for its first commit; on failure takes back what it did.
   *
   * @throws GannetError GANNET_STAGE_FAILED that names the stage, what was said and what to do
   */
  protect(progress: Reporter<'protect'>, bytesPerSec?: number): Promise<PrimaryStatus> {
    if (this.#protecting || this.#isProtected)
      return Promise.reject(refusals.busy(this.config.vm, this.#state));
    this.#protecting = this.#protect(progress, bytesPerSec).finally(
      () => (this.#protecting = undefined),
    );
    return this.#protecting;
  }

  async #protect(
    progress: Reporter<'protect'>,
    bytesPerSec: number | undefined,
  ): Promise<PrimaryStatus> {
    const { primary } = this.config;
    const driver = this.#expectVm();
    const { stageTimeoutMs, seedTimeoutMs, migrate: uri, checkpointPeriodMs: periodMs } = primary;
    const before = this.#state;
    this.#cancel = new AbortController();
    this.#state = 'protecting';
    this.#link.beatNow();
    this.#told = undefined;
    this.#isLost = false;
    try {
      await this.#run('check', stageTimeoutMs, progress, (signal) => this.#check(driver, signal));
      const { links, history } = { links: this.#links, history: this.context.history };
      const colo = { uri, periodMs, timeoutMs: seedTimeoutMs, ...memoryTo(progress) };
      const seed = { driver, config: this.config, links, bytesPerSec, progress, history };
      await this.#run('seed', seedTimeoutMs, progress, async (signal) => {
        await this.#tls.put();
        this.#seed = new SeedStage(seed);
        return this.#seed.run(signal).finally(() => (this.#seed = undefined));
      });
      await this.#run('attach', stageTimeoutMs, progress, () => driver.attach(this.#links));
      await this.#run('colo', seedTimeoutMs, progress, (signal) =>
        driver.startColo({ ...colo, signal }),
      );
      await this.#run('first checkpoint', stageTimeoutMs, progress, (signal) =>
        this.#awaitPeer(signal, 'the first checkpoint', ({ state }) => state === 'protected'),
      );
      await this.#run('finish', stageTimeoutMs, progress, () => driver.finishSeed());
      if (this.config.network.length > 0) {
        // Of the packets before this one the secondary has not seen all.
        await this.#run('network', stageTimeoutMs, progress, (signal) => this.#checkpoint(signal));
      }
    } catch (cause) {
      const stage = this.#stageName;
      this.#trouble(cause, { stage });
      const says = await this.#takeBack(driver, stage);
      this.#state = before;
      this.#stageName = '';
      throw stageFailed(stage, cause, says);
    }
    this.#state = 'protected';
    this.#stageName = '';
    this.#checkpoints.restart();
    this.#link.beatNow();
    this.context.history.add('protected');
    return this.status();
  }

  /** After the check, which changes nothing. @returns what the secondary says was the matter, if it does */
  async #takeBack(driver: PrimaryDriver, stage: string): Promise<string | undefined> {
    if (stage === 'check') return undefined;
    await driver.rollback().catch((error: unknown) => this.#trouble(error, { stage: 'rollback' }));
    await this.#tls.drop();
    const isAsked = this.#abort.signal.aborted || this.#cancel.signal.aborted;
    return isAsked ? undefined : troubleOf(this.#link, this.config.peer.heartbeatMs);
  }

  /** Changes the speed limit of the copy that is under way. */
  async setSeedRate(bytesPerSec: number): Promise<MethodResult<'seed-rate'>> {
    if (!this.#seed) throw refusals.noCopy(this.config.vm);
    await this.#seed.setRate(bytesPerSec);
    return { bytesPerSec };
  }

  /** Returns when the checkpoint is done. */
  async checkpointNow(): Promise<PrimaryStatus> {
    this.#expectProtected('checkpoint');
    await this.#checkpoint(AbortSignal.timeout(this.config.primary.stageTimeoutMs));
    return this.status();
  }

  async #checkpoint(signal: AbortSignal): Promise<void> {
    const before = this.#link.peer?.status.epoch ?? 0;
    this.#checkpointLog.asked('demand');
    await this.#expectVm().checkpointNow();
    await this.#awaitPeer(signal, 'the checkpoint', ({ epoch }) => epoch > before);
  }

  /**
   * Takes the protection away: everything as it was, the guest undisturbed.
   *
   * @throws GannetError GANNET_REFUSED when the secondary can't be told, unless forced: it might take over later
   */
  async detach(force: boolean): Promise<PrimaryStatus> {
    if (this.#protecting) {
      // Not protected yet: what has been done is taken back.
      this.#cancel.abort(interrupted(`${this.config.vm} was detached`));
      await this.#protecting.catch(() => undefined);
      return this.status();
    }
    this.#expectProtected('detach');
    // What the secondary does once it knows is no loss of ours.
    this.#isLost = true;
    if (!(await this.#tellOutdated()) && !force) {
      this.#isLost = false;
      throw refusals.notTold(this.config.vm);
    }
    await this.#release(OPERATOR_REASONS.detach);
    this.#state = 'unprotected';
    return this.status();
  }

  /** The operator says that the secondary is gone: give the protection up and run on. */
  async runOn(force: boolean): Promise<PrimaryStatus> {
    if (this.#protecting) throw refusals.busy(this.config.vm, this.#state);
    if (this.#state === 'alone') return this.status();
    const peer = this.#link.state === 'up' ? this.#link.peer?.status : undefined;
    if (peer?.state === 'protected' && peer.link === 'whole' && peer.vm === 'ready' && !force) {
      throw refusals.stillProtected(this.config.vm);
    }
    await this.#release(OPERATOR_REASONS.failover, force);
    return this.status();
  }

  get #isProtected(): boolean {
    return this.#state === 'protected';
  }

  async #run(
    name: ProtectStage,
    timeoutMs: number,
    progress: Reporter<'protect'>,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    this.#stageName = name;
    progress({ stage: name });
    const asked = AbortSignal.any([this.#abort.signal, this.#cancel.signal]);
    asked.throwIfAborted();
    await work(AbortSignal.any([asked, AbortSignal.timeout(timeoutMs)]));
    this.context.history.add('stage-done', { stage: name });
  }

  async #check(driver: PrimaryDriver, signal: AbortSignal): Promise<void> {
    await expectLinkable(driver, this.#links);
    const isReady = ({ state, vm }: PeerStatus): boolean => state === 'seeding' && vm === 'ready';
    await this.#awaitPeer(signal, 'the secondary daemon and its VM', isReady);
  }

  #awaitPeer(
    signal: AbortSignal,
    what: string,
    isThere: (status: PeerStatus) => boolean,
  ): Promise<void> {
    const { primary, peer } = this.config;
    const asked = AbortSignal.any([this.#abort.signal, this.#cancel.signal]);
    const link = { ...peer, link: this.#link, address: primary.peer };
    return awaitPeer({ ...link, what, isThere, signal, asked });
  }

  /** The secondary is lost: run on without it, if that is what the configuration wants. */
  #lose(reason: string | undefined): void {
    if (reason === undefined || !this.#isProtected || this.#letGo || this.#isLost) return;
    if (this.vm.state === 'lost') return;
    this.#isLost = true;
    this.context.history.add('secondary-lost', { reason });
    if (this.config.primary.onSecondaryLost === 'wait') return;
    this.#release(reason).catch((error: unknown) => {
      // It hangs, or could not fence. What comes next, its waking up or a word of the secondary, is a new chance.
      this.#isLost = false;
      this.#trouble(error);
    });
  }

  /** With a fence, the secondary is made harmless first: it could have been taking over. */
  #release(reason: string, force = false): Promise<void> {
    this.#letGo ??= this.#runAlone(reason, force).finally(() => {
      this.#letGo = undefined;
      this.#link.beatNow();
    });
    return this.#letGo;
  }

  /**
   * The secondary is told first: once the guest runs on, the replica is outdated and must not take over. But who tells
   * must know that its own guest lives; one that has just died looks the same from its links.
   */
  async #runAlone(reason: string, force: boolean): Promise<void> {
    const { fence, vm } = this.config;
    if (!(await this.#isResponding())) return;
    let isTold = await this.#tellOutdated();
    if (!isTold && !(await this.#isResponding())) return;
    if (fence && !isTold) {
      const { succeeded, words } = await runFence(fence, vm, 'secondary');
      this.context.history.add('fence', { target: 'secondary', succeeded, words });
      if (!succeeded && !force) throw notFenced(vm, words);
    }
    await this.#driver?.runAlone();
    await this.#tls.drop();
    this.#state = 'alone';
    this.#link.beatNow();
    isTold ||= await this.#tellOutdated();
    this.context.history.add('alone', { reason, secondaryKnows: isTold });
  }

  #isResponding(): Promise<boolean> {
    const { vm: name, peer } = this.config;
    const cut = async (): Promise<void> => this.#driver?.cutLinks(peer.lowMs);
    return isResponding({ name, qmp: this.vm.qmp, patienceMs: peer.lowMs, cut });
  }

  /** @returns whether it was acknowledged; if not yet, it is told again at the next chance */
  #tellOutdated(): Promise<boolean> {
    this.#told ??= this.#link.tell('outdated', this.#replica).then(() => true);
    const patienceMs = this.#link.state === 'lost' ? 0 : this.config.peer.lowMs;
    return Promise.race([this.#told, sleep(patienceMs).then(() => false)]);
  }

  async #attach(qmp: QmpClient): Promise<void> {
    const isAnother = this.#driver !== undefined;
    // What was being done to the QEMU before this one has failed, and takes itself back.
    await this.#protecting?.catch(() => undefined);
    const driver = new PrimaryDriver(qmp, {
      onLinkFailure: ({ message }) => this.#lose(message),
      network: cardsOf(this.config, 'primary'),
    });
    this.#driver = driver;
    this.#checkpointLog.attend(qmp);
    qmp.onEvent('COLO_EXIT', ({ data }) => {
      if (data.reason === 'error') this.#lose('COLO has ended: its channel to the secondary broke');
    });
    const colo = await qmp.execute('query-colo-status');
    if (colo.mode !== 'primary') {
      await rollbackLeftovers(qmp, driver, this.#links, this.context.history);
      return isAnother ? this.#beginAnew() : undefined;
    }
    await driver.adopt(this.#links);
    this.#state = 'protected';
    this.#checkpoints.restart();
    this.context.history.add('protected', { found: 'running' });
    if (colo.reason === 'error') this.#lose('COLO had ended before this daemon came');
  }

  /**
   * The QEMU of before is gone, and another is here: nothing protects it. It runs with the primary's disk, so the
   * replica of before must not take over any more; if it has done so already, this one is a second copy of the VM.
   */
  #beginAnew(): void {
    const before = this.#state;
    this.#state = 'unprotected';
    if (hasTakenOver(this.#link.peer?.status.state)) {
      this.#trouble(refusals.secondCopy(this.config.vm));
    } else if (before === 'protected') void this.#tellOutdated();
    this.context.history.add('unprotected', { reason: 'another QEMU is at the QMP socket' });
  }

  #inspect(): Promise<SideReport> {
    const { state } = this.vm;
    const qmp = state === 'ready' ? this.vm.qmp : undefined;
    const view = { state: this.#state, hostname: hostname(), qmp, trouble: `it is ${state}` };
    return inspectPrimary(this.config, view);
  }

  #peerStatus(): PeerStatus {
    const epoch = this.#link.peer?.status.epoch ?? 0;
    // Whether it hangs for good shows when its links are cut.
    const vm = this.vm.state === 'hung' && this.#letGo ? 'ready' : this.vm.state;
    const seen = { host: hostname(), checkpoint: this.#checkpointLog.last, seed: this.#seed?.view };
    return { ...seen, role: 'primary', state: this.#state, epoch, vm, link: 'none' };
  }

  #onLiveness(pulse: LivenessState, silentMs: number): void {
    this.context.history.add('peer', { pulse, silentMs: Math.round(silentMs) });
    if (pulse !== 'lost') return;
    this.#seed?.cut().catch((error: unknown) => this.#trouble(error, { stage: 'seed' }));
    this.#lose(`the secondary has been silent for ${Math.round(silentMs)} ms`);
  }

  #onPeer(status: PeerStatus, before: PeerStatus | undefined): void {
    if (status.vm !== before?.vm || status.state !== before.state || status.link !== before.link) {
      this.context.history.add('peer', { vm: status.vm, state: status.state, link: status.link });
    }
    if (status.state === 'protected' && this.#state !== 'alone') this.#replica = status.replica;
    this.#checkpointLog.committed(status.commit);
    if (status.epoch !== before?.epoch && this.#isProtected) {
      this.#checkpoints.restart();
      // That QEMU can't be asked is for others to notice.
      this.#driver?.checkGraph().catch(() => undefined);
    }
    this.#lose(lossOf(status));
  }

  #onNotice(notice: PeerNotice): void {
    this.context.history.add('peer', { notice });
    if (notice === 'leaving') this.#lose('the secondary daemon is ending');
    else if (notice === 'memory-pressure' && this.#isProtected) {
      this.#checkpointLog.asked('memory');
      this.#driver?.checkpointNow().catch((error: unknown) => this.#trouble(error));
    }
  }

  #expectProtected(what: string): void {
    if (!this.#isProtected) throw refusals.notProtected(this.config.vm, this.#state, what);
  }

  #expectVm(): PrimaryDriver {
    if (this.#driver && this.vm.state === 'ready') return this.#driver;
    throw this.vm.refusal(this.config.vm);
  }

  #trouble(error: unknown, details: object = {}): void {
    if (this.#abort.signal.aborted) return;
    const { code, message, remedy } = describeError(error);
    this.context.history.add('trouble', { code, message, remedy, ...details });
  }
}
