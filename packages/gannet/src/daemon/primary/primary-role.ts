import type { DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import type { QmpClient } from 'qemu-qmp-client';
import { linksOf, usesTls } from '../../inspect/disk-links.js';
import {
  asPrimary,
  type Config,
  type MethodResult,
  OPERATOR_REASONS,
  type PeerStatus,
  type PrimaryConfig,
  type PrimaryStatus,
  type Reporter,
} from '@gannet/contract';
import { primaryNetwork } from '../network-view.js';
import { aboutDaemon } from '../peer/about.js';
import { PeerLink } from '../peer/peer-link.js';
import type { LivenessState } from '../peer/peer-liveness.js';
import * as refusals from '../refusals.js';
import { RejectedConnections } from '../rejected-connections.js';
import { changedKeys, reloadedPrimary } from '../reload.js';
import { reportTrouble, type Role, type RoleContext, type RoleMethods } from '../role-context.js';
import { LinkTls } from '../vm/link-tls.js';
import { Resync } from '../resync/resync.js';
import { livenessOf } from '../vm/qemu-liveness.js';
import { VmWatch } from '../vm/vm-watch.js';
import { Verifier } from '../verify/verifier.js';
import { withTimeout } from '../with-timeout.js';
import { mayRun } from '../arbitration/may-run.js';
import { adoptOrRollBack, driverOn, goOn } from './attach.js';
import { interrupted, isProtectedBy, lossOf } from './await-peer.js';
import { GuestFate } from './guest-fate.js';
import { PrimaryCheckpoints } from './primary-checkpoints.js';
import { nextPrimaryState, type PrimaryRoleEvent, type PrimaryRoleState } from './primary-state.js';
import {
  inspectOwn,
  notePeer,
  primaryPeerStatus,
  type PrimarySides,
  primaryStatus,
  shownState,
} from './primary-status.js';
import { ProtectRun } from './protect.js';
import { PrimaryStanding } from './primary-standing.js';
import { SecondaryLoss } from './secondary-loss.js';

/** For the rollback of a protection that is under way when the daemon is asked to end. */
const ROLLBACK_TIMEOUT_MS = 15_000;
const ANOTHER = 'another QEMU is at the QMP socket';

/**
 * The primary host's side of one VM: drives its QEMU, and watches the secondary through the peer
 * link. When its secondary is lost it lets go of it, so that no write of the guest waits for a dead
 * host. When its secondary has the newer copy, it stops its guest. primary-state.ts has its states.
 */
export class PrimaryRole implements Role {
  readonly name = 'primary';
  readonly methods: RoleMethods<'primary'> = {
    inspect: ({ peer }) =>
      peer === true ? this.#link.ask() : inspectOwn(this.config, this.#shown, this.vm),
    protect: ({ bytesPerSec }, progress) => this.protect(progress, bytesPerSec),
    'seed-rate': ({ bytesPerSec }) => this.setSeedRate(bytesPerSec),
    checkpoint: () => this.checkpointNow(),
    verify: (params, progress) => this.#verifier.verify(params, progress),
    detach: ({ force = false }) => this.detach(force),
    failover: ({ force = false, overrulePeer = false }) => this.runOn(force, overrulePeer),
  };
  readonly #links: readonly DiskLink[];
  readonly #rejected: RejectedConnections;
  readonly #tls: LinkTls;
  readonly #link: PeerLink;
  readonly #standing: PrimaryStanding;
  readonly #checkpoints: PrimaryCheckpoints;
  readonly #fate: GuestFate;
  readonly #loss: SecondaryLoss;
  readonly #resync: Resync;
  readonly #verifier: Verifier;
  #state: PrimaryRoleState = { phase: 'unattached' };
  #driver: PrimaryDriver | undefined;
  #qmp: QmpClient | undefined;
  #attaching: Promise<void> | undefined;
  #protecting: { readonly run: ProtectRun; readonly ended: Promise<void> } | undefined;
  readonly #off: () => void;
  /** COLO or links are, were or are about to be in this QEMU. */
  #wasLinked = false;
  #isClosing = false;

  private constructor(
    private config: PrimaryConfig,
    private readonly context: RoleContext,
    private readonly vm: VmWatch,
  ) {
    this.#links = linksOf(config);
    this.#rejected = new RejectedConnections(context.history);
    this.#tls = new LinkTls(vm, context.credentials, usesTls(config));
    vm.on((state, reason) => {
      this.context.history.add('vm', { state, reason });
      if (state === 'hung') this.#lose('the primary VM hangs'); // Most likely on its links.
      if (state === 'lost') this.#fate.hasEnded();
      this.#link.beatNow();
    });
    this.#link = PeerLink.dial(config.primary.peer, {
      ...{ ...config.peer, vm: config.vm, role: 'primary', credentials: context.credentials },
      status: () => primaryPeerStatus(this.config, this.#state, this.#sides),
      onLiveness: (liveness, silentMs) => this.#onLiveness(liveness, silentMs),
      onStatus: (status, before) => this.#onPeer(status, before),
      onAsk: () => inspectOwn(this.config, this.#shown, this.vm),
      onRefused: (reason, address) => this.#rejected.note('peer', address, reason),
    });
    this.#off = context.terms.on(() => this.#link.beatNow());
    this.#checkpoints = new PrimaryCheckpoints({
      ...{ history: context.history, config: () => this.config },
      ...{ link: () => this.#link, driver: () => this.#driver },
      isProtected: () => this.#is('protected'),
      onStall: (limitMs) => this.#lose(`no checkpoint was completed in ${limitMs} ms`),
      onTrouble: (error) => this.#trouble(error),
    });
    const copies = {
      ...{ config: () => this.config, links: this.#links, history: context.history },
      ...{ link: () => this.#link, onTrouble: (error: unknown) => this.#trouble(error) },
    };
    this.#resync = new Resync({ ...copies, ...context, qmp: () => vm.qmp });
    this.#verifier = new Verifier({
      ...{ ...copies, qmp: () => (this.#is('protected') ? vm.qmp : undefined) },
      checkpoint: (signal) => this.#checkpoints.make(this.#expectVm(), signal),
    });
    this.#standing = new PrimaryStanding({
      ...{ history: context.history, terms: context.terms, vm, link: this.#link },
      ...{ config: () => this.config, cut: () => this.#freeing.cut() },
      liveness: () => livenessOf({ qmp: this.vm.qmp, ...this.#freeing }),
      unlink: () => this.#unlink(),
      is: (...phases) => this.#is(...phases),
      step: (event) => void this.#step(event),
      lose: (reason) => this.#lose(reason),
      cancel: (reason) => this.#protecting?.run.cancel(reason),
      onTrouble: (error) => this.#trouble(error),
    });
    this.#fate = new GuestFate({
      ...{ history: context.history, terms: context.terms, config: () => this.config },
      ...{ driver: () => this.#driver, process: () => vm.process() },
      ...{ state: () => this.#state, step: (event) => void this.#step(event) },
      cancelProtect: (error) => this.#protecting?.run.cancel(error),
      idle: () => this.#idle(),
      outdate: () => this.#standing.outdate(),
      onTrouble: (error) => this.#trouble(error),
    });
    this.#loss = new SecondaryLoss({
      ...{ history: context.history, vm, state: () => this.#state },
      step: (event) => this.#step(event),
      mayWait: () => this.config.primary.onSecondaryLost === 'wait',
      goAlone: (reason, isLost) => this.#standing.goAlone(reason, isLost),
    });
  }

  /** @param vm a QEMU that is connected already, when a secondary becomes a primary */
  static start(config: PrimaryConfig, context: RoleContext, vm?: VmWatch): PrimaryRole {
    const watch = vm ?? new VmWatch(config.qmp, config.peer.highMs, context.credentials);
    const role = new PrimaryRole(config, context, watch);
    watch.attend({
      onConnected: (qmp) => (role.#attaching = role.#attach(qmp)),
      onTrouble: (error) => role.#trouble(error),
    });
    return role;
  }

  status(): PrimaryStatus {
    return this.context.health.judge({
      ...primaryStatus(this.config, this.#state, this.#sides),
      ...primaryNetwork(this.config, this.#driver),
      ...{ ...this.#verifier.view, ...this.#resync.view },
      strangers: this.#rejected.view,
    });
  }

  async reload(config: Config): Promise<readonly string[]> {
    const before = this.config.primary;
    this.config = reloadedPrimary(this.config, asPrimary(config));
    const { checkpointPeriodMs, seedBytesPerSec } = this.config.primary;
    if (checkpointPeriodMs !== before.checkpointPeriodMs && this.#is('protected')) {
      await this.#checkpoints.setPeriod(checkpointPeriodMs);
    }
    if (seedBytesPerSec !== before.seedBytesPerSec) {
      await this.#protecting?.run.setRate(seedBytesPerSec ?? 0);
    }
    this.#standing.promise();
    return changedKeys(this.config, config).filter((key) => !key.startsWith('secondary'));
  }

  /** A protected VM stays protected without its daemon: the next one finds the protection again. */
  drain(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#checkpoints.stop();
    if (this.#protecting) {
      const { run, ended } = this.#protecting;
      run.cancel(interrupted(this.config.vm, 'this daemon is ending'));
      await withTimeout(ended, ROLLBACK_TIMEOUT_MS, 'the rollback').catch(() => undefined);
    }
    await this.#verifier.close();
    this.#off();
    this.#standing.close();
    this.#rejected.close();
    await this.#link.close();
    await this.vm.close();
  }

  /**
   * Copies the disks, starts checkpoints, waits for the first commit; on failure rolls back.
   *
   * @throws GannetError GANNET_STAGE_FAILED that names the stage, the cause and what to do
   */
  async protect(progress: Reporter<'protect'>, bytesPerSec?: number): Promise<PrimaryStatus> {
    // A survivor of a failover is protected again as soon as its role begins.
    await this.#attaching?.catch(() => undefined);
    await this.#standing.noteDetached(false);
    const refusal = refusals.whyNotProtect(this.config.vm, this.#state, this.#shown);
    if (refusal) throw refusal;
    this.#fate.expectSound();
    const driver = this.#expectVm();
    this.#step({ kind: 'protect' });
    this.#wasLinked = true;
    this.#loss.isBroken = false;
    const run = new ProtectRun({
      ...{ driver, links: this.#links, link: this.#link, tls: this.#tls, resync: this.#resync },
      ...{ history: this.context.history, terms: this.context.terms, progress, bytesPerSec },
      config: () => this.config,
      askBoth: () => Promise.all([inspectOwn(this.config, this.#shown, this.vm), this.#link.ask()]),
      onStage: (stage) => this.#step({ kind: 'stage', stage }),
      checkpoint: (signal) => this.#checkpoints.make(driver, signal),
    });
    const running = this.#carryOut(run);
    this.#protecting = { run, ended: running.catch(() => undefined) };
    await running;
    return this.status();
  }

  async #carryOut(run: ProtectRun): Promise<void> {
    try {
      await run.run();
    } catch (error) {
      this.#step({ kind: 'protect-failed' });
      throw error;
    } finally {
      this.#protecting = undefined;
    }
    this.#step({ kind: 'protect-done' });
    // Superseded meanwhile, it is not.
    if (!this.#is('protected')) throw refusals.secondCopy(this.config.vm);
    this.context.history.add('protected');
  }

  /** Changes the speed limit of the copy that is under way. */
  async setSeedRate(bytesPerSec: number): Promise<MethodResult<'seed-rate'>> {
    const isSet = await this.#protecting?.run.setRate(bytesPerSec);
    if (isSet !== true) throw refusals.noCopy(this.config.vm, bytesPerSec);
    return { bytesPerSec };
  }

  async checkpointNow(): Promise<PrimaryStatus> {
    this.#expectProtected('checkpoint');
    const { stageTimeoutMs } = this.config.primary;
    await this.#checkpoints.make(this.#expectVm(), AbortSignal.timeout(stageTimeoutMs));
    return this.status();
  }

  /**
   * Ends the protection: everything as it was, the guest undisturbed.
   *
   * @throws GannetError GANNET_REFUSED when the secondary can't be told, unless forced: it might
   *   take over later
   */
  async detach(force: boolean): Promise<PrimaryStatus> {
    const { vm, protection } = this.config;
    if (this.#protecting) {
      const { run, ended } = this.#protecting;
      run.cancel(interrupted(vm, `${vm} was detached`));
      await this.#standing.noteDetached(true);
      await ended;
    } else {
      this.#fate.expectForce(force);
      this.#expectProtected('detach');
      const by = { reason: OPERATOR_REASONS.detach, isDetached: protection === 'automatic' };
      const how = { ...by, force, mustTell: true };
      await this.#fate.accepting(force, () => this.#standing.letGo({ to: 'unprotected', ...how }));
    }
    await this.#standing.noteDetached(true);
    return this.status();
  }

  /** The secondary is gone: end the protection and run on. */
  async runOn(force: boolean, overrulePeer = false): Promise<PrimaryStatus> {
    const { vm } = this.config;
    if (this.#is('protecting')) throw refusals.busy(vm, this.#shown);
    if (this.#is('alone')) return this.status();
    if (this.#is('unattached')) throw this.vm.refusal(vm);
    this.#fate.expectForce(force);
    if (this.#is('superseded')) {
      if (force) this.#expectVm();
      await this.#fate.accepting(force, () => this.#standing.overrule(force, overrulePeer));
      return this.status();
    }
    const isHeld = this.#is('held');
    if (!isHeld) this.#expectProtected('let go of');
    if (!force && isProtectedBy(this.#link)) throw refusals.stillProtected(vm);
    const how = { reason: OPERATOR_REASONS.failover, force, mustTell: false, isHeld };
    await this.#fate.accepting(force, () => this.#standing.letGo({ to: 'alone', ...how }));
    return this.status();
  }

  async #unlink(): Promise<void> {
    await this.#fate.halted();
    if (this.#wasLinked) await this.#driver?.runAlone();
    await this.#fate.release();
    await this.#tls.drop();
  }

  #is(...phases: readonly PrimaryRoleState['phase'][]): boolean {
    return phases.includes(this.#state.phase);
  }

  get #shown(): PrimaryStatus['state'] {
    return shownState(this.#state, this.vm);
  }

  get #sides(): PrimarySides {
    const seed = this.#protecting?.run.seedView;
    const { terms, history, page } = this.context;
    const about = aboutDaemon(this.config, this.vm.qmp, page());
    const own = { about, vm: this.vm, link: this.#link, checkpoints: this.#checkpoints };
    const { record, trouble: termTrouble = null } = terms;
    const guest = { standstill: this.#fate.standstill, isStill: this.#standing.isStill };
    return { ...own, record, termTrouble, ...guest, seed, operation: history.operations.own?.id };
  }

  /** @returns whether it was not refused */
  #step(event: PrimaryRoleEvent): boolean {
    const before = this.#state;
    const next = nextPrimaryState(before, event);
    if (next === 'refused') return false;
    this.#state = next;
    if (next !== before) this.#link.beatNow();
    if (next.phase === before.phase) return true;
    if (next.phase === 'protected') this.#checkpoints.expectNext();
    else this.#checkpoints.stop();
    this.#verifier.protects(next.phase === 'protected');
    return true;
  }

  #break(reason: string): void {
    this.#loss.isBroken = true;
    this.#lose(reason);
  }

  /** The secondary is lost: roll back, or run on without it. */
  #lose(reason: string | undefined): void {
    if (reason === undefined) return;
    this.#protecting?.run.lose(reason).catch((error: unknown) => this.#trouble(error));
    this.#loss.note(reason);
  }

  /** How a QEMU is freed that hangs on its links to the secondary. */
  get #freeing(): { patienceMs: number; cut: () => Promise<void> } {
    const { lowMs } = this.config.peer;
    return { patienceMs: lowMs, cut: async () => this.#driver?.cutLinks(lowMs) };
  }

  async #idle(): Promise<void> {
    await Promise.all([this.#protecting?.ended, this.#standing.idle()]);
  }

  async #attach(qmp: QmpClient): Promise<void> {
    const { history, terms } = this.context;
    const isAnother = this.#driver !== undefined && this.#qmp !== qmp;
    // What was done to the QEMU before this one has failed, and rolls itself back.
    await this.#idle();
    const driver = driverOn(qmp, this.config, {
      credentials: this.context.credentials,
      onLost: (reason) => this.#break(reason),
      onTrouble: (error) => this.#trouble(error),
      onLinkFailure: ({ message }) => this.#lose(message),
      onDiskFailure: (failure) => this.#fate.diskFailed(failure),
      mayRun: () => mayRun(this.#shown, terms.record.word, this.#fate.standstill),
    });
    const known = { word: terms.record.word, engine: this.config.engine };
    const { found, step } = await adoptOrRollBack(qmp, driver, this.#links, history, known);
    const failure = await this.#fate.failureIn(qmp, found);
    // Something has begun meanwhile, and what was found may not be so any more.
    if (this.#protecting || !this.#standing.isIdle) return this.#attach(qmp);
    this.#driver = driver;
    this.#listen(qmp);
    const isInColo = found === 'protected' || found === 'broken';
    this.#wasLinked = found !== 'idle';
    this.#loss.isBroken = found === 'broken';
    const isYielding = failure !== undefined && this.#fate.yieldsAs(found, failure);
    if (!isYielding) this.#standing.begin(step, isInColo);
    this.#standing.proceed(isYielding ? 'adopt' : step, found);
    if (this.#is('protected')) this.#checkpoints.expectNext();
    const onFailed = (reason: string): void => this.#break(reason);
    if (step === 'adopt' && !isYielding) goOn(driver, this.config, onFailed);
    if (isAnother && step === 'run') history.add('unprotected', { reason: ANOTHER });
  }

  /** Once for each connection, however often an attach has to be tried. */
  #listen(qmp: QmpClient): void {
    if (this.#qmp === qmp) return;
    this.#qmp = qmp;
    this.#checkpoints.attend(qmp);
    this.#fate.attend(qmp);
    qmp.onEvent('COLO_EXIT', ({ data }) => {
      if (data.reason === 'error') this.#break('COLO has ended: its channel broke');
    });
  }

  #onLiveness(pulse: LivenessState, silentMs: number): void {
    const ms = Math.round(silentMs);
    this.context.history.add('peer', { pulse, silentMs: ms });
    if (pulse === 'lost') this.#lose(`the secondary has been silent for ${ms} ms`);
  }

  #onPeer(status: PeerStatus, before: PeerStatus | undefined): void {
    notePeer(this.context.history, status, before);
    this.context.history.operations.hear(status.operation);
    this.#standing.hear(status);
    this.#checkpoints.hear(status, before);
    if (this.#is('protected')) this.#resync.hear(status);
    const loss = lossOf(status);
    const isWell = loss === undefined && status.state === 'protected' && !this.#loss.isBroken;
    if (isWell) this.#step({ kind: 'recovered' });
    this.#lose(loss);
  }

  #expectProtected(what: string): void {
    if (this.#is('protected', 'letting-go', 'yielding')) return;
    throw refusals.notProtected(this.config.vm, this.#state, this.#shown, what);
  }

  #expectVm(): PrimaryDriver {
    if (this.#driver && this.vm.state === 'ready') return this.#driver;
    throw this.vm.refusal(this.config.vm);
  }

  #trouble(error: unknown): void {
    // What is asked of a QEMU that is ending fails; that it has ended is an event of its own.
    const { code } = Object(error) as { readonly code?: unknown };
    const isNews = this.vm.qmp !== undefined || code !== 'GANNET_NOT_READY';
    if (!this.#isClosing && isNews) reportTrouble(this.context.history, error);
  }
}
