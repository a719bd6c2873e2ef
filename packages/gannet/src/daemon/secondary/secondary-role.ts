import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Checkpointer,
  type CheckpointEvent,
  type CheckpointSource,
  ExternalSource,
  WriteBack,
  type WriteBackEvent,
} from '@gannet/checkpointer';
import { NbdServer, type NbdServerTls } from '@gannet/nbd';
import { SecondaryDriver } from '@gannet/qmp-driver';
import type { JournalLock, Replica, ReplicaEvent } from '@gannet/replicator';
import type { QmpClient } from 'qemu-qmp-client';
import { cardsOf } from '../../inspect/disk-links.js';
import { inspectSecondary, type SideReport } from '../../inspect/side-report.js';
import {
  asSecondary,
  type Config,
  GannetError,
  hasTakenOver,
  type PeerStatus,
  type SecondaryConfig,
  type SecondaryStatus,
} from '@gannet/contract';
import { checkpointByCall, snapshotByCall } from './by-call.js';
import { aboutDaemon } from '../peer/about.js';
import { PeerLink } from '../peer/peer-link.js';
import type { LivenessState } from '../peer/peer-liveness.js';
import { openReplica } from './open-replica.js';
import { secondaryNetwork } from '../network-view.js';
import { RequestTally } from './request-tally.js';
import { changedKeys, reloadedSecondary } from '../reload.js';
import { reportTrouble, type Role, type RoleContext } from '../role-context.js';
import type { RoleMethods, TroubleDetails } from '../role-context.js';
import { RejectedConnections } from '../rejected-connections.js';
import { FailoverController } from './failover.js';
import { SecondaryFailoverSteps } from './failover-steps.js';
import { seedAgain } from '../arbitration/may-take-over.js';
import { SecondaryFacts } from './secondary-facts.js';
import {
  diskStatus,
  failoverPolicy,
  pairView,
  secondaryPeerStatus,
  type SecondarySides,
  secondaryStatus,
  whyNotAsked,
} from './secondary-status.js';
import { answerAudit } from '../verify/audit-questions.js';
import { SecondaryStanding } from './secondary-standing.js';
import { type TakeoverEngine, takeoverEngineOf } from './takeover-engine.js';
import { withTimeout } from '../with-timeout.js';
import { VmWatch } from '../vm/vm-watch.js';
import { WaitingCopy } from './waiting-copy.js';

/**
 * The secondary host's side of one VM: replicator, checkpointer and the driver of the secondary VM,
 * wired together in one event loop (the gate depends on it). When it takes over is up to
 * `FailoverController`.
 */
export class SecondaryRole implements Role {
  readonly name = 'secondary';
  readonly methods: RoleMethods<'secondary'> = {
    inspect: () => this.#inspect(),
    failover: ({ force = false, overrulePeer = false }, progress) =>
      this.#failover.failOver(force, progress, overrulePeer).finally(() => this.#link?.beatNow()),
    snapshot: ({ drop }) => snapshotByCall(this.config, this.replica, drop),
    seal: () => this.#byCall((source) => source.seal()),
    commit: () => this.#byCall((source) => source.commit()),
    abort: () => this.#byCall((source) => source.abort()),
  };
  readonly #nbd: NbdServer;
  readonly #rejected: RejectedConnections;
  readonly #requests: RequestTally;
  readonly #writeBack: WriteBack;
  readonly #external = new ExternalSource();
  readonly #failover: FailoverController;
  readonly #waiting: WaitingCopy;
  readonly #vm: VmWatch;
  readonly #standing: SecondaryStanding;
  #link: PeerLink | undefined;
  #driver: SecondaryDriver | undefined;
  #engine: TakeoverEngine | undefined;
  #checkpointer: Checkpointer | undefined;
  readonly #facts = new SecondaryFacts();
  #isReleased = false;
  readonly #subscriptions: (() => void)[] = [];

  private constructor(
    private config: SecondaryConfig,
    private readonly context: RoleContext,
    private readonly replica: Replica,
    private readonly journalLock: JournalLock,
  ) {
    this.#vm = new VmWatch(config.qmp, config.peer.highMs, context.credentials);
    this.#failover = new FailoverController({
      history: context.history,
      steps: new SecondaryFailoverSteps({
        history: context.history,
        terms: context.terms,
        ...{ replica, vm: this.#vm, takeoverEpoch: () => this.#facts.takeoverEpoch },
        source: this.#external,
        config: () => this.config,
        driver: () => this.#driver,
        engine: () => this.#engine,
      }),
      policy: () => failoverPolicy(this.config, this.#link),
      look: () => pairView(this.config, this.#facts, this.#sides),
    });
    this.#standing = new SecondaryStanding({
      ...{ terms: context.terms, history: context.history, replica, vm: this.#vm },
      patienceMs: config.peer.lowMs,
      cut: async () => this.#engine?.cutLinks(config.peer.lowMs),
      look: () => pairView(this.config, this.#facts, this.#sides),
      onTrouble: (error) => this.#trouble(error),
    });
    replica.on((event) => this.#onReplica(event));
    const { history } = context;
    this.#waiting = new WaitingCopy({ replica, history, qmp: () => this.#vm.qmp });
    this.#rejected = new RejectedConnections(context.history);
    const { exports, gate: admission } = replica;
    this.#nbd = new NbdServer({
      exports,
      admission,
      busyPollMs: config.secondary.pollUs / 1000,
      onEvent: (event) => {
        this.#requests.note(event);
        this.#rejected.onNbd(event);
      },
    });
    this.#requests = new RequestTally(config.disks, () => this.#nbd.connections);
    this.#writeBack = new WriteBack({
      target: replica,
      clock: {
        now: () => performance.now(),
        sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
      },
      onEvent: (event) => this.#onWriteBack(event),
    });
    const onVm = this.#vm.on((state, reason) => {
      history.add('vm', { state, reason });
      this.#changed();
    });
    this.#subscriptions.push(onVm, context.terms.on(this.#changed));
  }

  /** Opens the bases, then listens: a QEMU started from now on finds its disks. */
  static async start(config: SecondaryConfig, context: RoleContext): Promise<SecondaryRole> {
    const { replica, lock } = await openReplica(config, context.terms.record);
    const role = new SecondaryRole(config, context, replica, lock);
    try {
      await role.#standing.begin(config.secondary.overwrite);
      await role.#listen();
    } catch (error) {
      await role.close();
      throw error;
    }
    return role;
  }

  status(): SecondaryStatus {
    return this.context.health.judge({
      ...secondaryStatus(this.config, this.#facts, this.#sides),
      disks: diskStatus(this.replica, this.#requests),
      ...secondaryNetwork(this.config, this.#driver),
      waiting: this.#waiting.view,
      strangers: this.#rejected.view,
    });
  }

  reload(config: Config): Promise<readonly string[]> {
    this.config = reloadedSecondary(this.config, asSecondary(config));
    // The other section is read when this becomes a primary.
    const keys = changedKeys(this.config, config).filter((key) => !key.startsWith('primary'));
    return Promise.resolve(keys);
  }

  /** The primary must know before its replica goes: it runs on without. */
  async drain(): Promise<void> {
    await this.#waiting.leave();
    const { highMs } = this.config.peer;
    if (this.replica.state === 'failed-over') {
      await this.replica.flush().catch((error: unknown) => this.#trouble(error));
    }
    if (this.replica.state !== 'protected' || this.#link?.state !== 'up') return;
    this.context.history.add('leaving');
    this.#facts.isLeaving = true;
    this.#link.beatNow();
    const deadlineMs = performance.now() + highMs;
    while (this.#link.peer?.status.state === 'protected' && performance.now() < deadlineMs) {
      await sleep(this.config.peer.heartbeatMs / 10);
    }
  }

  async close(): Promise<void> {
    for (const off of this.#subscriptions.splice(0)) off();
    this.#checkpointer?.stop();
    await this.#engine?.close();
    for (const part of [this.#waiting, this.#failover, this.#rejected]) part.close();
    await this.#link?.close();
    await this.#writeBack.stop();
    await this.#nbd.close();
    if (!this.#isReleased) await this.#vm.close();
    await this.replica.close();
    await this.journalLock.release();
  }

  /**
   * Gives the QEMU that has taken over to who will be its primary role. What does not close in
   * `highMs` is left: it touches neither that QEMU nor its disks any more.
   *
   * @throws GannetError GANNET_REFUSED while this is still a secondary
   */
  async release(): Promise<VmWatch> {
    const { state } = this.replica;
    const vmState = this.#facts.vmState(this.#vm);
    if (state !== 'retired' || vmState !== 'ready') {
      throw new GannetError(
        'GANNET_REFUSED',
        `${this.config.vm} can't be a primary: the replica is ${state}, its VM ${vmState}`,
        `Fail over first: \`gannet failover ${this.config.vm}\`.`,
        'refused',
      );
    }
    this.#isReleased = true;
    const end = withTimeout(this.close(), this.config.peer.highMs, 'the secondary to close');
    await end.catch((error: unknown) => this.#trouble(error));
    return this.#vm;
  }

  get #sides(): SecondarySides {
    const { terms, history, page } = this.context;
    const operation = history.operations.own?.id;
    const { failover: mode } = this.config.secondary;
    const about = { ...aboutDaemon(this.config, this.#vm.qmp, page()), failover: mode };
    const { progress: failover, fenceFailure, isDurable } = this.#failover;
    return {
      ...{ record: terms.record, termTrouble: terms.trouble ?? null, replica: this.replica },
      ...{ vm: this.#vm, link: this.#link, operation, about, failover, fenceFailure, isDurable },
    };
  }

  async #listen(): Promise<void> {
    const { nbd, svm, source, peer } = this.config.secondary;
    await this.#nbd.listen({ path: svm, mode: 0o600 });
    if (nbd.type === 'unix' && nbd.path !== svm) {
      await this.#nbd.listen({ path: nbd.path, mode: 0o600 });
    } else if (nbd.type === 'inet') {
      const { host, port, tls } = nbd;
      await this.#nbd.listen({ host, port, ...(tls ? { tls: this.#tls } : {}) });
    }
    if (peer) {
      this.#link = await PeerLink.listen(peer, {
        ...{ ...this.config.peer, vm: this.config.vm, role: 'secondary' },
        status: () => secondaryPeerStatus(this.config, this.#facts, this.#sides),
        onLiveness: (pulse, silentMs) => this.#onLiveness(pulse, silentMs),
        onStatus: (status, before) => this.#onPeer(status, before),
        onAsk: (question) => (question ? answerAudit(this.replica, question) : this.#inspect()),
        onRefused: (reason, address) => this.#rejected.note('peer', address, reason),
        credentials: this.context.credentials,
      });
    }
    const exports = this.replica.exports.map(({ name }) => name);
    this.context.history.add('listening', { exports });
    if (source === 'external') {
      this.#checkpointer = this.#checkpointerOn(this.#external);
      return;
    }
    // Not awaited: the secondary's QEMU needs our exports to start.
    this.#vm.attend({
      onConnected: (qmp) => this.#attach(qmp),
      onTrouble: (error) => this.#trouble(error),
    });
  }

  get #tls(): NbdServerTls {
    const { credentials } = this.context;
    if (!credentials) throw new Error('an address with TLS and no credentials');
    return { options: () => credentials.server(), identify: credentials.identify };
  }

  async #attach(qmp: QmpClient): Promise<void> {
    const before = this.#engine;
    const network = cardsOf(this.config, 'secondary');
    this.#driver = new SecondaryDriver(qmp, { network, onRanWithoutColo: this.#unusable });
    this.#facts.readiness = 'awaited';
    try {
      if (this.replica.state === 'seeding') {
        this.#checkpointer?.stop();
        this.#facts.forgetColo();
        // Before the source hears of the end: a QEMU that has not begun yet takes nothing with it.
        qmp.onEnd(() => {
          if (this.#isUntouched) this.#checkpointer?.stop();
        });
      }
      const engine = this.#engineOn(qmp, this.#driver);
      this.#engine = engine;
      if (this.replica.state === 'seeding') {
        this.#checkpointer = this.#checkpointerOn(engine.source);
        await before?.close();
        await engine.prepare();
      } else if (!hasTakenOver(this.replica.state)) throw this.#spent();
      this.#facts.readiness = 'ready';
      this.#link?.beatNow();
    } catch (error) {
      this.#unusable(error);
    }
  }

  readonly #unusable = (error: unknown): void => {
    this.#facts.readiness = error instanceof Error ? error : new Error(String(error));
    this.#trouble(error);
    this.#link?.beatNow();
  };

  /** No primary has been here yet. */
  get #isUntouched(): boolean {
    const { state, link, gate } = this.replica;
    return state === 'seeding' && !link.isConnected && link.loss === undefined && !gate.isClosed;
  }

  #spent(): GannetError {
    const message = `the replica is ${this.replica.state}: ${this.replica.reason}`;
    return new GannetError('GANNET_NOT_READY', message, seedAgain(this.config.vm));
  }

  #engineOn(qmp: QmpClient, driver: SecondaryDriver): TakeoverEngine {
    const { credentials, history } = this.context;
    return takeoverEngineOf(qmp, driver, {
      ...{ config: this.config, credentials, replica: this.replica },
      onBegin: () => (this.#facts.coloExit = undefined),
      onEnd: (reason) => {
        this.#facts.coloExit = reason;
        if (this.config.engine === 'colo') history.add('colo-exit', { reason });
        this.#failover.consider();
      },
      onTrouble: (error) => this.#trouble(error),
      onRefused: (reason, address) => this.#rejected.note('peer', address, reason),
    });
  }

  #checkpointerOn(source: CheckpointSource): Checkpointer {
    const checkpointer = new Checkpointer({
      source,
      replica: this.replica,
      now: () => performance.now(),
      onEvent: (event) => this.#onCheckpoint(event),
    });
    checkpointer.start();
    return checkpointer;
  }

  /** A protected VM is left alone: its QMP socket decides when commits happen. */
  #inspect(): Promise<SideReport> {
    const { state } = this.replica;
    const qmp = this.#vm.state === 'lost' || state === 'protected' ? undefined : this.#vm.qmp;
    const trouble = whyNotAsked(state, this.#facts.vmState(this.#vm));
    const own = { state, hostname: hostname(), qmp, trouble };
    return inspectSecondary(this.config, { ...own, peerAddress: this.#link?.peerAddress });
  }

  #onLiveness(pulse: LivenessState, silentMs: number): void {
    this.context.history.add('peer', { pulse, silentMs: Math.round(silentMs) });
    this.#failover.consider();
  }

  #onPeer(status: PeerStatus, before: PeerStatus | undefined): void {
    const { checkpoint } = status;
    this.context.history.operations.hear(status.operation);
    if (checkpoint && checkpoint.epoch !== before?.checkpoint?.epoch) {
      this.context.history.add('checkpoint', checkpoint);
    }
    this.#standing.hear(status);
    if (status.state === 'ended' && before?.state !== 'ended') this.#end();
    if (status.vm !== before?.vm || status.state !== before.state) {
      this.context.history.add('peer', { vm: status.vm, state: status.state });
      // A new copy: what became of the one before is no word about it.
      if (status.state === 'protecting') this.#facts.baseTrouble = undefined;
    }
    // Also its record is evidence, and that its guest is known to stand still.
    this.#failover.consider();
  }

  readonly #changed = (): void => {
    this.#link?.beatNow();
    this.#failover.consider();
  };

  /** The VM was ended on purpose: its twin here must not go on. */
  #end(): void {
    if (hasTakenOver(this.replica.state)) return;
    this.replica.outdate('the VM was ended on purpose, on the primary host');
    this.#vm.qmp?.execute('stop').catch((error: unknown) => this.#trouble(error));
  }

  #byCall(step: (source: ExternalSource) => void): SecondaryStatus {
    checkpointByCall(this.config, this.#external, this.replica, step);
    return this.status();
  }

  #onReplica(event: ReplicaEvent): void {
    if (event.kind === 'backlog') {
      this.#writeBack.kick();
    } else if (event.kind === 'trouble') {
      this.#trouble(event.error);
      if (event.error.code === 'REPLICA_BASE_IO') this.#noteBase(event.error.message);
    } else {
      if (event.kind === 'spill') this.#facts.spillTrouble = event.trouble;
      if (event.kind === 'flush') this.#facts.flushTrouble = event.trouble;
      this.context.history.record(event);
      if (event.kind === 'memory-pressure') this.#facts.hasMemoryPressure = true;
      this.#changed();
    }
  }

  #onCheckpoint(event: CheckpointEvent): void {
    this.context.history.record(event);
    if (event.kind === 'commit') {
      const { epoch, committedPages, droppedPages, gateClosedMs, checkpointMs } = event;
      this.#facts.committed({ epoch, committedPages, droppedPages, gateClosedMs, checkpointMs });
      this.#link?.beatNow();
    } else if (event.kind === 'failover') {
      this.#facts.takeoverEpoch = event.epoch;
    } else if (event.kind === 'doubt') {
      this.#facts.doubt = event.reason;
    }
  }

  #onWriteBack(event: WriteBackEvent): void {
    if (event.kind === 'retry') {
      this.#trouble(event.error, { attempt: event.attempt });
      this.#noteBase(event.error.message);
    } else {
      const { epochs, writes, bytes, ms } = event;
      this.context.history.add('write-back', { epochs, writes, bytes, ms });
      if (this.#facts.baseTrouble !== undefined) this.#noteBase(undefined);
    }
  }

  /** The primary hears of it too: of its own it only knows that something failed. */
  #noteBase(trouble: string | undefined): void {
    this.#facts.baseTrouble = trouble;
    this.#link?.beatNow();
  }

  #trouble(error: unknown, details?: TroubleDetails): void {
    reportTrouble(this.context.history, error, details);
  }
}
