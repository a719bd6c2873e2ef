import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Checkpointer,
  CheckpointerError,
  type CheckpointEvent,
  ColoSource,
  ExternalSource,
  WriteBack,
  type WriteBackEvent,
} from '@gannet/checkpointer';
import { NbdServer } from '@gannet/nbd';
import { QmpColoMonitor, SecondaryDriver } from '@gannet/qmp-driver';
import { Replica, type ReplicaEvent } from '@gannet/replicator';
import type { QmpClient } from 'qemu-qmp-client';
import { inspectSecondary, type SideReport } from '../check/side.js';
import { asSecondary, type Config, type SecondaryConfig } from '../config.js';
import { describeError, GannetError } from '../errors.js';
import { PeerLink } from '../peer/link.js';
import type { PeerNotice, PeerStatus } from '../peer/protocol.js';
import { runFence } from './fence.js';
import type { Role, Stage } from './role.js';
import { VmWatch } from './vm-watch.js';
import { withinTime } from './within.js';

const FAILOVER_TIMEOUT_MS = 60_000;

/** How a failover went, in milliseconds from the call. */
export interface FailoverReport {
  readonly epoch: number;
  readonly evidence: string;
  readonly takenOverMs: number;
  readonly durableMs: number;
  readonly movedMs: number;
}

/**
 * The secondary host's side of one VM: replicator, checkpointer and the driver of the secondary VM, wired together in
 * one event loop (the gate depends on it).
 *
 * It takes over only when the primary is known to be dead: by the word of the primary's own daemon that its QEMU has
 * ended, by a fence command that exited with 0, or by an operator's --force. Silence proves nothing.
 */
export class SecondaryRole implements Role {
  readonly name = 'secondary';
  readonly methods = {
    inspect: () => this.#inspect(),
    failover: ({ force }: Record<string, unknown>) => this.failOver(force === true),
    seal: () => this.#byCall((source) => source.seal()),
    commit: () => this.#byCall((source) => source.commit()),
    abort: () => this.#byCall((source) => source.abort()),
  };
  readonly #nbd: NbdServer;
  readonly #writeBack: WriteBack;
  readonly #external = new ExternalSource();
  readonly #vm: VmWatch;
  #link: PeerLink | undefined;
  #driver: SecondaryDriver | undefined;
  #checkpointer: Checkpointer | undefined;
  /** Its QEMU is there, and either waits for its primary or can't be used, for this reason. */
  #readiness: 'awaited' | 'ready' | Error = 'awaited';
  #coloExit: string | undefined;
  #lastCommit: CheckpointEvent | undefined;
  #commits = 0;
  #failover: Promise<FailoverReport> | undefined;
  #isFencing = false;
  #tookOver: (() => void) | undefined;
  #isReleased = false;
  readonly #subscriptions: (() => void)[] = [];

  private constructor(
    private config: SecondaryConfig,
    private readonly stage: Stage,
    private readonly replica: Replica,
  ) {
    replica.on((event) => this.#onReplica(event));
    this.#nbd = new NbdServer({ exports: replica.exports, admission: replica.gate });
    this.#writeBack = new WriteBack({
      target: replica,
      clock: {
        now: () => performance.now(),
        sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
      },
      onEvent: (event) => this.#onWriteBack(event),
    });
    this.#vm = new VmWatch(config.qmp, config.peer.highMs);
    const off = this.#vm.on((state, reason) => {
      this.stage.history.add('vm', { state, reason });
      this.#link?.beatNow();
    });
    this.#subscriptions.push(off);
  }

  /** Opens the bases, then listens: a QEMU started from now on finds its disks. */
  static async start(config: SecondaryConfig, stage: Stage): Promise<SecondaryRole> {
    const { memory, journal, overwrite } = config.secondary;
    const replica = await Replica.open({
      vm: config.vm,
      disks: config.disks.map(({ name, base, size }) => {
        return { name, base: base ?? '', sizeBytes: size };
      }),
      journalPath: journal,
      overwrite,
      memory: {
        ...(memory?.soft === undefined ? {} : { softBytes: memory.soft }),
        ...(memory?.hard === undefined ? {} : { hardBytes: memory.hard }),
      },
    });
    const role = new SecondaryRole(config, stage, replica);
    try {
      await role.#listen();
    } catch (error) {
      await role.close();
      throw error;
    }
    return role;
  }

  status(): Record<string, unknown> {
    const { replica } = this;
    return {
      role: 'secondary',
      vm: this.config.vm,
      state: replica.state,
      reason: replica.reason,
      mayFailOver: replica.mayFailOver,
      epoch: replica.epoch,
      secondaryVm: this.#vmState,
      secondaryVmTrouble: this.#readiness instanceof Error ? this.#readiness.message : null,
      link: replica.link.loss ?? (replica.link.isConnected ? 'connected' : 'none'),
      coloExit: this.#coloExit ?? null,
      checkpoints: this.#commits,
      lastCheckpoint: this.#lastCommit ?? null,
      buffers: { ...replica.bufferBytes, ...replica.memory },
      disks: replica.disks.map(({ name, sizeBytes, committed }) => ({
        name,
        sizeBytes,
        epochsToWriteBack: committed.length,
      })),
      exports: replica.exports.map(({ name }) => name),
      peer: { pulse: this.#link?.state ?? 'none', ...this.#link?.peer },
      uuid: replica.uuid,
    };
  }

  reload(config: Config): Promise<readonly string[]> {
    const { failover } = asSecondary(config).secondary;
    const { fence } = config;
    this.config = { ...this.config, fence, secondary: { ...this.config.secondary, failover } };
    return Promise.resolve(
      JSON.stringify(this.config) === JSON.stringify(config) ? [] : ['all but fence, failover'],
    );
  }

  /** The primary must know before its replica goes: it runs on without. */
  async drain(): Promise<void> {
    const { highMs } = this.config.peer;
    if (this.replica.state === 'failed-over') {
      await this.replica.flush().catch((error: unknown) => this.#trouble(error));
    }
    if (this.replica.state !== 'protected' || this.#link?.state !== 'up') return;
    this.stage.history.add('leaving');
    void this.#link.tell('leaving');
    const deadlineMs = performance.now() + highMs;
    while (this.#link.peer?.status.state === 'protected' && performance.now() < deadlineMs) {
      await sleep(this.config.peer.heartbeatMs / 10);
    }
  }

  async close(): Promise<void> {
    for (const off of this.#subscriptions.splice(0)) off();
    this.#checkpointer?.stop();
    await this.#link?.close();
    await this.#writeBack.stop();
    await this.#nbd.close();
    if (!this.#isReleased) await this.#vm.close();
    await this.replica.close();
  }

  /**
   * Gives the QEMU that has taken over to who will be its primary role.
   *
   * @throws GannetError REFUSED while this is still a secondary
   */
  async release(): Promise<VmWatch> {
    if (this.replica.state !== 'retired' || this.#vmState !== 'ready') {
      throw new GannetError(
        'REFUSED',
        `${this.config.vm} can't be a primary: the replica is ${this.replica.state}, its VM ${this.#vmState}`,
        'Fail over first: `gannet failover`.',
        'refused',
      );
    }
    this.#isReleased = true;
    await this.close();
    return this.#vm;
  }

  /**
   * The secondary takes over, and moves to its local files. Asking again gives the same answer.
   *
   * @throws GannetError REFUSED without proof that the primary is dead, unless forced
   */
  failOver(force: boolean): Promise<FailoverReport> {
    this.#failover ??= this.#prove(force)
      .then((evidence) => this.#failOver(evidence))
      .catch((error: unknown) => {
        this.#failover = undefined;
        throw error;
      });
    return this.#failover;
  }

  get #vmState(): PeerStatus['vm'] {
    const { state } = this.#vm;
    if (state !== 'ready') return state;
    return this.#readiness instanceof Error ? 'unusable' : this.#readiness;
  }

  /** @returns the proof that the primary is dead, in words */
  async #prove(force: boolean): Promise<string> {
    const { replica, config } = this;
    if (replica.state === 'failed-over' || replica.state === 'retired') return 'it has taken over';
    if (!replica.mayFailOver) {
      throw new GannetError(
        'REFUSED',
        `${config.vm} can't fail over: the replica is ${replica.state} (${replica.reason})`,
        replica.state === 'diverged' ? 'Seed it again.' : 'It can once it is protected.',
        'refused',
      );
    }
    if (force) return 'an operator says so';
    const peer = this.#link?.state === 'up' ? this.#link.peer?.status : undefined;
    if (peer?.vm === 'lost' && peer.state === 'protected') {
      return "the primary's daemon says that its QEMU has ended";
    }
    if (config.fence && (replica.link.loss !== undefined || this.#coloExit !== undefined)) {
      const { succeeded, words } = await runFence(config.fence, config.vm, 'primary');
      this.stage.history.add('fence', { target: 'primary', succeeded, words });
      if (succeeded) return 'the primary is fenced';
    }
    throw new GannetError(
      'REFUSED',
      `nothing proves that the primary of ${config.vm} is dead`,
      'Two running copies destroy each other: make sure that its QEMU has ended, then say --force.',
      'refused',
    );
  }

  /** A failover that failed half way goes on where it stood when it is asked for again. */
  async #failOver(evidence: string): Promise<FailoverReport> {
    const { replica, stage } = this;
    const startMs = performance.now();
    const since = (): number => Math.round(performance.now() - startMs);
    stage.history.add('failover-begins', { evidence });
    if (replica.state === 'protected') await this.#takeOver();
    const takenOverMs = since();
    if (replica.state === 'failed-over') await replica.failoverDurable();
    const durableMs = since();
    stage.history.add('failover-durable');
    await this.#moveToLocal();
    const report = { epoch: replica.epoch, evidence, takenOverMs, durableMs, movedMs: since() };
    stage.history.add('failover-done', report);
    this.#link?.beatNow();
    return report;
  }

  async #takeOver(): Promise<void> {
    const takenOver = new Promise<void>((resolve) => (this.#tookOver = resolve));
    if (this.config.secondary.source === 'external') this.#external.failOver();
    else await this.#driver?.failOver({ timeoutMs: FAILOVER_TIMEOUT_MS });
    await withinTime(takenOver, FAILOVER_TIMEOUT_MS, 'the secondary VM to resume');
    const { state, reason } = this.replica;
    if (state === 'failed-over') return;
    throw new GannetError('STAGE_FAILED', `failover failed: ${reason}`, 'Seed again.');
  }

  async #listen(): Promise<void> {
    const { nbd, source, peer } = this.config.secondary;
    await this.#nbd.listen(nbd.type === 'unix' ? { path: nbd.path, mode: 0o600 } : nbd);
    if (peer) {
      this.#link = await PeerLink.listen(peer, {
        ...this.config.peer,
        vm: this.config.vm,
        role: 'secondary',
        status: () => this.#peerStatus(),
        onPulse: (pulse, silentMs) => this.#onPulse(pulse, silentMs),
        onStatus: (status, before) => this.#onPeer(status, before),
        onNotice: (notice, replica) => this.#onNotice(notice, replica),
        onAsk: () => this.#inspect(),
        onRefused: (reason) => this.stage.history.add('peer', { refused: reason }),
      });
    }
    this.stage.history.add('listening', { exports: this.replica.exports.map(({ name }) => name) });
    if (source === 'external') {
      this.#checkpointer = this.#checkpointerOn(this.#external);
      return;
    }
    // Not awaited: the secondary's QEMU needs our exports to start.
    void this.#vm
      .connect((qmp) => this.#attach(qmp))
      .catch((error: unknown) => this.#trouble(error));
  }

  async #attach(qmp: QmpClient): Promise<void> {
    const monitor = new QmpColoMonitor(qmp);
    const off = monitor.subscribe((event) => {
      if (event.kind !== 'colo-exit') return;
      this.#coloExit = event.reason;
      this.stage.history.add('colo-exit', { reason: event.reason });
      this.#considerFailover();
    });
    this.#subscriptions.push(off);
    this.#checkpointer = this.#checkpointerOn(new ColoSource(monitor));
    this.#driver = new SecondaryDriver(qmp);
    try {
      await this.#driver.prepare();
      this.#readiness = 'ready';
    } catch (error) {
      this.#readiness = error instanceof Error ? error : new Error(String(error));
      this.#trouble(error);
    }
    this.#link?.beatNow();
  }

  #checkpointerOn(source: ColoSource | ExternalSource): Checkpointer {
    const checkpointer = new Checkpointer({
      source,
      replica: this.replica,
      now: () => performance.now(),
      onEvent: (event) => this.#onCheckpoint(event),
    });
    checkpointer.start();
    return checkpointer;
  }

  /** With an external source there is no VM of ours to move: the exports go on serving. */
  async #moveToLocal(): Promise<void> {
    if (!this.#driver) return;
    const disks = this.config.disks.map(({ name, device, base }) => ({
      id: name,
      device,
      file: { driver: 'file' as const, filename: base ?? '' },
    }));
    const { replica } = this;
    await this.#driver.moveToLocal(disks, async () => {
      if (replica.state !== 'retired') await replica.settle();
    });
    this.stage.history.add('moved-to-local');
  }

  /** Automatic failover: when everything says that the primary is gone, and the fence makes sure of it. */
  #considerFailover(): void {
    const { fence, vm, secondary } = this.config;
    if (secondary.failover !== 'automatic' || !fence || this.#isFencing || this.#failover) return;
    const peer = this.#link?.peer?.status;
    const { loss } = this.replica.link;
    const isGone =
      this.#link?.state === 'lost' ||
      peer?.vm === 'lost' ||
      peer?.vm === 'hung' ||
      (loss !== undefined && this.#coloExit !== undefined);
    if (!isGone || !this.replica.mayFailOver) return;
    this.#isFencing = true;
    void runFence(fence, vm, 'primary')
      .then(async ({ succeeded, words }) => {
        this.stage.history.add('fence', { target: 'primary', succeeded, words });
        if (succeeded) await this.failOver(true);
      })
      .catch((error: unknown) => this.#trouble(error))
      .finally(() => (this.#isFencing = false));
  }

  /** A protected VM is left alone: its QMP socket decides when commits happen. */
  #inspect(): Promise<SideReport> {
    const { state } = this.replica;
    const isBusy = this.#vm.state === 'lost' || state === 'protected';
    const qmp = isBusy ? undefined : this.#vm.qmp;
    const trouble = state === 'protected' ? 'it is protected' : `it is ${this.#vmState}`;
    return inspectSecondary(this.config, { state, hostname: hostname(), qmp, trouble });
  }

  #peerStatus(): PeerStatus {
    const { state, epoch, link } = this.replica;
    const whole = link.isConnected ? 'whole' : 'none';
    return {
      role: 'secondary',
      state,
      epoch,
      vm: this.#vmState,
      ...(this.#readiness instanceof Error ? { trouble: this.#readiness.message } : {}),
      link: link.loss === undefined ? whole : 'lost',
      replica: this.replica.uuid,
    };
  }

  #onPulse(pulse: string, silentMs: number): void {
    this.stage.history.add('peer', { pulse, silentMs: Math.round(silentMs) });
    this.#considerFailover();
  }

  #onPeer(status: PeerStatus, before: PeerStatus | undefined): void {
    if (status.vm !== before?.vm || status.state !== before.state) {
      this.stage.history.add('peer', { vm: status.vm, state: status.state });
      this.#considerFailover();
    }
  }

  #onNotice(notice: PeerNotice, replica: string | undefined): void {
    const isOurs = replica === this.replica.uuid;
    this.stage.history.add('peer', { notice, isOurs });
    if (notice === 'outdated' && isOurs) {
      this.replica.diverge('the primary runs on without this replica');
    }
  }

  #byCall(step: (source: ExternalSource) => void): Record<string, unknown> {
    if (this.config.secondary.source !== 'external') {
      throw new GannetError(
        'REFUSED',
        'checkpoints of this VM come from COLO',
        'Set `secondary.source: external` to drive them by call.',
        'refused',
      );
    }
    try {
      step(this.#external);
    } catch (cause) {
      if (!(cause instanceof CheckpointerError)) throw cause;
      const remedy = 'The order is seal, then commit or abort; nothing follows a failover.';
      throw new GannetError('REFUSED', cause.message, remedy, 'refused', { cause });
    }
    if (this.replica.state === 'diverged') {
      const message = `the replica of ${this.config.vm} has diverged: ${this.replica.reason}`;
      throw new GannetError('STAGE_FAILED', message, 'Seed it again.');
    }
    return this.status();
  }

  #onReplica(event: ReplicaEvent): void {
    const { kind, ...details } = event;
    if (event.kind === 'backlog') {
      this.#writeBack.kick();
    } else if (event.kind === 'trouble') {
      this.#trouble(event.error);
    } else {
      this.stage.history.add(kind, details);
      if (kind === 'memory-pressure') void this.#link?.tell('memory-pressure');
      this.#link?.beatNow();
      if (kind === 'link-lost') this.#considerFailover();
    }
  }

  #onCheckpoint(event: CheckpointEvent): void {
    const { kind, ...details } = event;
    this.stage.history.add(kind, details);
    if (event.kind === 'commit') {
      this.#lastCommit = event;
      this.#commits++;
      this.#link?.beatNow();
    } else if (event.kind === 'failover' || event.kind === 'diverged') {
      this.#tookOver?.();
    }
  }

  #onWriteBack(event: WriteBackEvent): void {
    if (event.kind === 'retry') this.#trouble(event.error, { attempt: event.attempt });
    else this.stage.history.add('write-back', { ...event });
  }

  #trouble(error: unknown, details: object = {}): void {
    const { code, message, remedy } = describeError(error);
    this.stage.history.add('trouble', { code, message, remedy, ...details });
  }
}
