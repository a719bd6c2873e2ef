import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';
import { linksOf } from '../check/plan.js';
import { inspectPrimary, type SideReport } from '../check/side.js';
import { type PrimaryConfig, qmpTargetOf } from '../config.js';
import { ControlClient } from '../control/client.js';
import type { Progress } from '../control/protocol.js';
import { ControlServer } from '../control/server.js';
import { describeError, GannetError } from '../errors.js';
import type { Logger } from '../log.js';
import { History } from './history.js';
import { withinTime } from './secondary.js';

const POLL_MS = 20;
/** What taking back a protection that is under way may take when the daemon is asked to end. */
const ROLLBACK_TIMEOUT_MS = 15_000;

type State = 'unprotected' | 'protecting' | 'protected' | 'alone';

/** The primary host's side of one VM: drives the primary's QEMU, asks the secondary daemon how it is. */
export class PrimaryDaemon {
  readonly #history: History;
  readonly #links: readonly DiskLink[];
  readonly #abort = new AbortController();
  #control: ControlServer | undefined;
  #qmp: QmpClient | undefined;
  #driver: PrimaryDriver | undefined;
  #state: State = 'unprotected';
  #stage = '';
  #protecting: Promise<Record<string, unknown>> | undefined;
  #vm: 'awaited' | 'ready' | 'lost' = 'awaited';

  private constructor(
    private readonly config: PrimaryConfig,
    private readonly log: Logger,
  ) {
    this.#links = linksOf(config);
    this.#history = new History('primary', (event) => {
      const isBad = event.kind === 'trouble' || event.kind === 'primary-vm-lost';
      this.log.log(isBad ? 'error' : 'info', event.kind, History.detailsOf(event));
      this.#control?.publish(event);
    });
  }

  static async start(config: PrimaryConfig, log: Logger): Promise<PrimaryDaemon> {
    const daemon = new PrimaryDaemon(config, log);
    daemon.#control = await ControlServer.listen(config.control, {
      status: () => daemon.status(),
      events: () => daemon.#history.events,
      inspect: () => daemon.#inspect(),
      protect: (_params, progress) => daemon.protect(progress),
      checkpoint: () => daemon.checkpointNow(),
      failover: ({ force }) => daemon.runAlone(force === true),
    });
    void daemon.#attachVm().catch((error: unknown) => {
      if (!daemon.#abort.signal.aborted) {
        daemon.#history.add({ kind: 'trouble', ...describeError(error) });
      }
    });
    return daemon;
  }

  /** Lets go of the VM as it is: a protected VM stays protected, one that is half protected goes back. */
  async close(): Promise<void> {
    this.#abort.abort();
    if (this.#protecting) {
      const settled = this.#protecting.catch(() => undefined);
      await withinTime(settled, ROLLBACK_TIMEOUT_MS, 'the rollback').catch(() => undefined);
    }
    await this.#qmp?.close();
    await this.#control?.close();
  }

  #inspect(): Promise<SideReport> {
    const qmp = this.#vm === 'ready' ? this.#qmp : undefined;
    const view = { state: this.#state, hostname: hostname(), qmp, trouble: `it is ${this.#vm}` };
    return inspectPrimary(this.config, view);
  }

  async status(): Promise<Record<string, unknown>> {
    const { primary } = this.config;
    return {
      role: 'primary',
      vm: this.config.vm,
      state: this.#state,
      stage: this.#stage,
      primaryVm: this.#vm,
      link: primary.link,
      checkpointPeriodMs: primary.checkpointPeriodMs,
      peer: await this.#askPeer().catch((error: unknown) => ({
        error: describeError(error).message,
      })),
    };
  }

  /**
   * Copies the disks, starts COLO and waits for its first checkpoint; on failure takes back what it did.
   *
   * @throws GannetError STAGE_FAILED that names the stage, what QEMU said and what to do
   */
  protect(progress: Progress): Promise<Record<string, unknown>> {
    if (this.#protecting) return Promise.reject(this.#busy());
    this.#protecting = this.#protect(progress).finally(() => (this.#protecting = undefined));
    return this.#protecting;
  }

  async #protect(progress: Progress): Promise<Record<string, unknown>> {
    if (this.#state === 'protected') throw this.#busy();
    const driver = this.#expectVm();
    const { stageTimeoutMs, seedTimeoutMs, migrate, checkpointPeriodMs } = this.config.primary;
    const before = this.#state;
    this.#state = 'protecting';
    const stage = async (
      name: string,
      timeoutMs: number,
      work: (signal: AbortSignal) => Promise<void>,
    ): Promise<void> => {
      this.#stage = name;
      progress({ stage: name });
      const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(timeoutMs)]);
      await work(signal);
      this.#history.add({ kind: 'stage-done', stage: name });
    };
    try {
      await stage('check', stageTimeoutMs, (signal) => this.#check(driver, signal));
      await stage('seed', seedTimeoutMs, (signal) =>
        driver.seed(this.#links, {
          signal,
          onProgress: (seed) => progress({ stage: 'seed', ...seed }),
        }),
      );
      await stage('attach', stageTimeoutMs, () => driver.attach(this.#links));
      await stage('colo', seedTimeoutMs, (signal) =>
        driver.startColo({
          uri: migrate,
          periodMs: checkpointPeriodMs,
          signal,
          timeoutMs: seedTimeoutMs,
        }),
      );
      await stage('first checkpoint', stageTimeoutMs, (signal) => this.#awaitProtected(signal));
      await stage('finish', stageTimeoutMs, () => driver.finishSeed());
    } catch (cause) {
      const { message, remedy } = describeError(cause);
      this.#history.add({ kind: 'trouble', stage: this.#stage, message, remedy });
      await driver.rollback().catch((error: unknown) => {
        this.#history.add({ kind: 'trouble', stage: 'rollback', ...describeError(error) });
      });
      this.#state = before;
      throw new GannetError('STAGE_FAILED', `stage ${this.#stage}: ${message}`, remedy, 'failed', {
        cause,
      });
    }
    this.#state = 'protected';
    this.#history.add({ kind: 'protected' });
    return this.status();
  }

  async checkpointNow(): Promise<Record<string, unknown>> {
    if (this.#state !== 'protected') {
      throw new GannetError(
        'REFUSED',
        `${this.config.vm} is ${this.#state}: there is nothing to checkpoint`,
        'Protect it first: `gannet protect`.',
        'refused',
      );
    }
    const before = Number((await this.#askPeer())['epoch']);
    await this.#expectVm().checkpointNow();
    const signal = AbortSignal.any([
      this.#abort.signal,
      AbortSignal.timeout(this.config.primary.stageTimeoutMs),
    ]);
    await this.#awaitPeer(signal, 'a checkpoint', ({ epoch, state, reason }) => {
      if (state === 'protected') return Number(epoch) > before;
      throw new GannetError(
        'STAGE_FAILED',
        `the replica is ${String(state)}: ${String(reason)}`,
        'See `gannet status` of the secondary.',
      );
    });
    return this.#askPeer();
  }

  /** The secondary is gone: the primary gives the protection up and runs on. */
  async runAlone(force: boolean): Promise<Record<string, unknown>> {
    if (this.#protecting) throw this.#busy();
    if (this.#state === 'alone') return this.status();
    const peer = await this.#askPeer().catch(() => undefined);
    if (peer?.['state'] === 'protected' && !force) {
      throw new GannetError(
        'REFUSED',
        `the secondary of ${this.config.vm} is alive and protects it`,
        'If the protection may be given up all the same, say --force.',
        'refused',
      );
    }
    await this.#expectVm().runAlone();
    this.#state = 'alone';
    this.#history.add({ kind: 'alone' });
    return this.status();
  }

  async #check(driver: PrimaryDriver, signal: AbortSignal): Promise<void> {
    const findings = await driver.preflight(this.#links);
    const bad = findings.filter(({ severity }) => severity === 'error');
    if (bad.length > 0) {
      const message = bad.map((finding) => finding.message).join('; ');
      throw new GannetError('NOT_READY', message, bad.map(({ remedy }) => remedy).join(' '));
    }
    const isReady = (peer: Record<string, unknown>): boolean => {
      if (peer['secondaryVm'] !== 'unusable' && peer['state'] === 'seeding') {
        return peer['secondaryVm'] === 'ready';
      }
      const isVm = peer['state'] === 'seeding';
      throw new GannetError(
        'NOT_READY',
        isVm
          ? `the secondary VM can't be used: ${String(peer['secondaryVmTrouble'])}`
          : `the replica is ${String(peer['state'])}: ${String(peer['reason'])}`,
        isVm
          ? 'Start it with -incoming.'
          : 'Restart the secondary: its daemon first, then its VM with -incoming.',
      );
    };
    await this.#awaitPeer(signal, 'the secondary daemon and its VM', isReady);
  }

  #awaitProtected(signal: AbortSignal): Promise<void> {
    return this.#awaitPeer(signal, 'the first checkpoint', ({ state, reason }) => {
      if (state === 'diverged') {
        throw new GannetError(
          'STAGE_FAILED',
          `the replica has diverged: ${String(reason)}`,
          'Seed again.',
        );
      }
      return state === 'protected';
    });
  }

  async #awaitPeer(
    signal: AbortSignal,
    what: string,
    isThere: (status: Record<string, unknown>) => boolean,
  ): Promise<void> {
    let last = 'nothing';
    const peer = await this.#connectPeer();
    try {
      while (!signal.aborted) {
        const status = (await peer.call('status')) as Record<string, unknown>;
        if (isThere(status)) return;
        last = `state ${String(status['state'])}, secondary VM ${String(status['secondaryVm'])}`;
        await sleep(POLL_MS);
      }
    } finally {
      peer.close();
    }
    if (this.#abort.signal.aborted) {
      throw new GannetError('INTERRUPTED', 'this daemon is ending', 'Start it again.');
    }
    throw new GannetError(
      'TIMEOUT',
      `waited in vain for ${what}; the secondary says: ${last}`,
      'See the log of the secondary daemon, and that its QEMU waits with -incoming.',
      'timeout',
    );
  }

  async #askPeer(): Promise<Record<string, unknown>> {
    const peer = await this.#connectPeer();
    try {
      return (await peer.call('status')) as Record<string, unknown>;
    } finally {
      peer.close();
    }
  }

  #connectPeer(): Promise<ControlClient> {
    return ControlClient.connect(this.config.primary.peer);
  }

  async #attachVm(): Promise<void> {
    const { signal } = this.#abort;
    const qmp = await connectWithRetry({
      target: qmpTargetOf(this.config.qmp),
      deadlineMs: 0,
      signal,
    });
    this.#qmp = qmp;
    this.#driver = new PrimaryDriver(qmp);
    this.#vm = 'ready';
    this.#history.add({ kind: 'primary-vm-ready' });
    qmp.onEnd((error) => {
      this.#vm = 'lost';
      if (!signal.aborted) {
        this.#history.add({ kind: 'primary-vm-lost', reason: error?.message ?? 'closed' });
      }
    });
  }

  #busy(): GannetError {
    return new GannetError(
      'BUSY',
      `${this.config.vm} is ${this.#state}`,
      'See `gannet status`.',
      'refused',
    );
  }

  #expectVm(): PrimaryDriver {
    if (this.#driver && this.#vm === 'ready') return this.#driver;
    throw new GannetError(
      'NOT_READY',
      `the QMP socket of ${this.config.vm} is ${this.#vm}`,
      'Start QEMU with the QMP socket that the configuration names as `qmp`.',
    );
  }
}
