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
import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';
import { inspectSecondary, type SideReport } from '../check/side.js';
import { qmpTargetOf, type SecondaryConfig } from '../config.js';
import { ControlServer } from '../control/server.js';
import { describeError, GannetError } from '../errors.js';
import type { Logger } from '../log.js';
import { History } from './history.js';

const FAILOVER_TIMEOUT_MS = 60_000;

/** How a failover went, in milliseconds from the call. */
export interface FailoverReport {
  readonly epoch: number;
  readonly takenOverMs: number;
  readonly durableMs: number;
  readonly movedMs: number;
}

/**
 * The secondary host's side of one VM: replicator, checkpointer and the driver of the secondary VM, wired together in
 * one event loop (the gate depends on it).
 */
export class SecondaryDaemon {
  readonly #history: History;
  readonly #nbd: NbdServer;
  readonly #writeBack: WriteBack;
  readonly #external = new ExternalSource();
  readonly #abort = new AbortController();
  #qmp: QmpClient | undefined;
  #driver: SecondaryDriver | undefined;
  #checkpointer: Checkpointer | undefined;
  #vmState: 'awaited' | 'ready' | 'unusable' | 'lost' = 'awaited';
  /** Why it is unusable. */
  #vmTrouble: string | undefined;
  #coloExit: string | undefined;
  #lastCommit: CheckpointEvent | undefined;
  #commits = 0;
  #failover: Promise<FailoverReport> | undefined;
  #tookOver: (() => void) | undefined;

  private constructor(
    private readonly config: SecondaryConfig,
    private readonly log: Logger,
    private readonly replica: Replica,
    private readonly control: ControlServer,
  ) {
    this.#history = new History('secondary', (event) => {
      this.log.log(levelOf(event.kind), event.kind, History.detailsOf(event));
      control.publish(event);
    });
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
  }

  /**
   * Opens the bases, then serves them: a QEMU started from now on finds its disks. The control socket comes first: who
   * has it is the only daemon of this configuration, and callers wait for the bases.
   */
  static async start(config: SecondaryConfig, log: Logger): Promise<SecondaryDaemon> {
    let opened: (daemon: SecondaryDaemon) => void = () => undefined;
    let failed: (error: unknown) => void = () => undefined;
    const opening = new Promise<SecondaryDaemon>((resolve, reject) => {
      [opened, failed] = [resolve, reject];
    });
    opening.catch(() => undefined);
    const control = await ControlServer.listen(config.control, {
      status: async () => (await opening).status(),
      events: async () => (await opening).#history.events,
      inspect: async () => (await opening).#inspect(),
      failover: async ({ force }) => (await opening).failOver(force === true),
      seal: async () => (await opening).#byCall((source) => source.seal()),
      commit: async () => (await opening).#byCall((source) => source.commit()),
      abort: async () => (await opening).#byCall((source) => source.abort()),
    });
    let replica: Replica | undefined;
    let daemon: SecondaryDaemon | undefined;
    try {
      replica = await SecondaryDaemon.#openReplica(config);
      daemon = new SecondaryDaemon(config, log, replica, control);
      await daemon.#listen();
      opened(daemon);
      return daemon;
    } catch (error) {
      failed(error);
      await (daemon ?? control).close();
      throw error;
    }
  }

  static #openReplica(config: SecondaryConfig): Promise<Replica> {
    const { memory, journal, overwrite } = config.secondary;
    return Replica.open({
      vm: config.vm,
      disks: config.disks.map(({ name, base, size }) => ({
        name,
        base: base ?? '',
        sizeBytes: size,
      })),
      journalPath: journal,
      overwrite,
      memory: {
        ...(memory?.soft === undefined ? {} : { softBytes: memory.soft }),
        ...(memory?.hard === undefined ? {} : { hardBytes: memory.hard }),
      },
    });
  }

  /** Ends listening and lets go of everything. What is only in memory is gone; state files say so. */
  async close(): Promise<void> {
    this.#abort.abort();
    this.#checkpointer?.stop();
    await this.#writeBack.stop();
    await this.#nbd.close();
    await this.#qmp?.close();
    await this.control.close();
    await this.replica.close();
  }

  /** A protected VM is left alone: its QMP socket decides when commits happen. */
  #inspect(): Promise<SideReport> {
    const { state } = this.replica;
    const qmp = this.#vmState === 'lost' || state === 'protected' ? undefined : this.#qmp;
    const trouble = state === 'protected' ? 'it is protected' : `it is ${this.#vmState}`;
    return inspectSecondary(this.config, { state, hostname: hostname(), qmp, trouble });
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
      secondaryVmTrouble: this.#vmTrouble ?? null,
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
      uuid: replica.uuid,
    };
  }

  async #listen(): Promise<void> {
    const { nbd, source } = this.config.secondary;
    await this.#nbd.listen(nbd.type === 'unix' ? { path: nbd.path, mode: 0o600 } : nbd);
    this.#history.add({ kind: 'listening', exports: this.replica.exports.map(({ name }) => name) });
    if (source === 'external') {
      this.#checkpointer = this.#checkpointerOn(this.#external);
      return;
    }
    void this.#attachVm().catch((error: unknown) => {
      if (this.#abort.signal.aborted) return;
      this.#vmState = 'unusable';
      this.#vmTrouble = describeError(error).message;
      this.#history.add({ kind: 'trouble', ...describeError(error) });
    });
  }

  /** Waits for the secondary's QEMU, which needs our exports to start. */
  async #attachVm(): Promise<void> {
    const { signal } = this.#abort;
    const qmp = await connectWithRetry({
      target: qmpTargetOf(this.config.qmp),
      deadlineMs: 0,
      signal,
    });
    this.#qmp = qmp;
    const monitor = new QmpColoMonitor(qmp);
    monitor.subscribe((event) => {
      if (event.kind === 'colo-exit') {
        this.#coloExit = event.reason;
        this.#history.add({ kind: 'colo-exit', reason: event.reason });
      } else if (event.kind === 'end') {
        this.#vmState = 'lost';
        this.#history.add({ kind: 'secondary-vm-lost', reason: event.error?.message ?? 'closed' });
      }
    });
    this.#checkpointer = this.#checkpointerOn(new ColoSource(monitor));
    this.#driver = new SecondaryDriver(qmp);
    await this.#driver.prepare();
    this.#vmState = 'ready';
    this.#history.add({ kind: 'secondary-vm-ready' });
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

  /**
   * The secondary takes over, and moves to its local files.
   *
   * @throws GannetError REFUSED without proof that the primary is gone, unless forced
   */
  failOver(force: boolean): Promise<FailoverReport> {
    this.#failover ??= this.#failOver(force).catch((error: unknown) => {
      this.#failover = undefined;
      throw error;
    });
    return this.#failover;
  }

  /** A failover that failed half way goes on where it stood when it is asked for again. */
  async #failOver(force: boolean): Promise<FailoverReport> {
    const { replica } = this;
    const startMs = performance.now();
    const since = (): number => Math.round(performance.now() - startMs);
    if (replica.state !== 'failed-over' && replica.state !== 'retired') await this.#takeOver(force);
    const takenOverMs = since();
    if (replica.state !== 'retired') await replica.failoverDurable();
    const durableMs = since();
    this.#history.add({ kind: 'failover-durable' });
    await this.#moveToLocal();
    const report = { epoch: replica.epoch, takenOverMs, durableMs, movedMs: since() };
    this.#history.add({ kind: 'failover-done', ...report });
    return report;
  }

  async #takeOver(force: boolean): Promise<void> {
    const { replica } = this;
    if (!replica.mayFailOver) {
      throw new GannetError(
        'REFUSED',
        `${this.config.vm} can't fail over: the replica is ${replica.state} (${replica.reason})`,
        replica.state === 'diverged' ? 'Seed it again.' : 'It can once it is protected.',
        'refused',
      );
    }
    const evidence = replica.link.loss ?? this.#coloExit;
    if (evidence === undefined && !force) {
      throw new GannetError(
        'REFUSED',
        `the primary of ${this.config.vm} looks alive: its link is whole and COLO runs`,
        'Two running copies destroy each other: stop the primary first, then say --force.',
        'refused',
      );
    }
    this.#history.add({ kind: 'failover-begins', evidence: evidence ?? 'none', force });
    const takenOver = new Promise<void>((resolve) => (this.#tookOver = resolve));
    if (this.config.secondary.source === 'external') this.#external.failOver();
    else await this.#driver?.failOver({ timeoutMs: FAILOVER_TIMEOUT_MS });
    await withinTime(takenOver, FAILOVER_TIMEOUT_MS, 'the secondary VM to resume');
    if (replica.state !== 'failed-over') {
      throw new GannetError('STAGE_FAILED', `failover failed: ${replica.reason}`, 'Seed again.');
    }
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
    const drain = (): Promise<void> =>
      replica.state === 'retired' ? Promise.resolve() : replica.settle();
    await this.#driver.moveToLocal(disks, drain);
    this.#history.add({ kind: 'moved-to-local' });
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
      throw new GannetError(
        'STAGE_FAILED',
        `the replica of ${this.config.vm} has diverged: ${this.replica.reason}`,
        'Seed it again.',
      );
    }
    return this.status();
  }

  #onReplica(event: ReplicaEvent): void {
    if (event.kind === 'backlog') {
      this.#writeBack.kick();
    } else if (event.kind === 'trouble') {
      this.#history.add({ ...describeError(event.error), kind: 'trouble' });
    } else {
      this.#history.add({ ...event });
    }
  }

  #onCheckpoint(event: CheckpointEvent): void {
    this.#history.add({ ...event });
    if (event.kind === 'commit') {
      this.#lastCommit = event;
      this.#commits++;
    } else if (event.kind === 'failover' || event.kind === 'diverged') {
      this.#tookOver?.();
    }
  }

  #onWriteBack(event: WriteBackEvent): void {
    if (event.kind === 'batch') this.#history.add({ ...event, kind: 'write-back' });
    else
      this.#history.add({ ...describeError(event.error), kind: 'trouble', attempt: event.attempt });
  }
}

function levelOf(kind: string): 'info' | 'warn' | 'error' | 'debug' {
  if (kind === 'diverged' || kind === 'trouble') return 'error';
  if (kind === 'link-lost' || kind === 'doubt' || kind === 'secondary-vm-lost') return 'warn';
  return kind === 'write-back' || kind === 'abort' ? 'debug' : 'info';
}

/** @throws GannetError TIMEOUT that names what was waited for */
export async function withinTime<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new GannetError(
      'TIMEOUT',
      `waited ${ms} ms in vain for ${what}`,
      'See the daemon log and QEMU.',
      'timeout',
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
