import {
  type CheckpointEngine,
  type Finding,
  finding,
  type GoOnOptions,
  sharedRamRemedy,
  type StartOptions,
} from '@gannet/qmp-driver';
import {
  type FileRam,
  FrameLink,
  type GuestPort,
  type Link,
  PrimaryEngine,
  type PrimaryEngineOptions,
  VsmrError,
} from '@gannet/vsmr';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient } from 'qemu-qmp-client';
import { describeError, GannetError, type PrimaryConfig } from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { dialMemory } from './memory-link.js';
import { CountingLink } from './counting-link.js';
import { HeldGuest } from './held-guest.js';
import { expectSharedRam, SharedGuest } from './shared-guest.js';

export interface EngineHandlers {
  readonly credentials: Credentials | undefined;
  /** The link has ended: the secondary is lost, and the guest may be paused until it is let go. */
  readonly onLost: (reason: string) => void;
  /** A checkpoint was given up; the next one is tried. */
  readonly onTrouble: (error: unknown) => void;
  /** Whether the guest may run on this host, as far as is known now: see may-run.ts. */
  readonly mayRun: () => boolean;
}

interface PrimaryVsmrOptions extends EngineHandlers {
  /** `primary.migrate` of the configuration: where the secondary's daemon waits. */
  readonly migrate: string;
  /** The longest that the guest stands still for the first checkpoint. */
  readonly pauseMs: number;
}

/** The engine of the configuration; undefined for COLO, which the driver brings along. */
export function primaryEngineOf(
  qmp: QmpClient,
  { engine, primary }: PrimaryConfig,
  options: EngineHandlers,
): CheckpointEngine | undefined {
  if (engine === 'colo') return undefined;
  const { migrate, stageTimeoutMs: pauseMs } = primary;
  return new PrimaryVsmr(qmp, { ...options, migrate, pauseMs });
}

/** What start() has made, and leave() takes away. */
interface Running {
  readonly guest: SharedGuest;
  readonly ram: FileRam;
  readonly link: FrameLink;
  readonly engine: PrimaryEngine;
}

/**
 * The primary's side of checkpoints without COLO: makes them, one after another, with the engine of
 * @gannet/vsmr and snapshots of QEMU.
 */
export class PrimaryVsmr implements CheckpointEngine {
  readonly kind = 'vsmr';
  readonly comparedCards = [];
  /** QEMU has none but those of the disks. */
  readonly connections = { chardevs: [], migration: false };
  #running: Running | undefined;
  #periodMs = 0;
  #beganMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | undefined;
  #isWanted = false;
  readonly #held: HeldGuest;
  /** An earlier process has begun it, and nobody knows how QEMU was before. */
  #isAdopted = false;
  /** Why no checkpoint counts any more. */
  #broken: string | undefined;
  /** The link has ended: no more checkpoints until the next start(). */
  #isOver = false;
  /** No other checkpoint follows, unless it is taken back. */
  #isLast = false;

  constructor(
    private readonly qmp: QmpClient,
    private readonly options: PrimaryVsmrOptions,
  ) {
    this.#held = new HeldGuest(qmp, options.mayRun);
    qmp.onEnd(() => void this.#dispose());
  }

  async preflight(): Promise<Finding[]> {
    try {
      await expectSharedRam(this.qmp);
      return [];
    } catch (error) {
      return [finding('error', 'ram-not-shared', describeError(error).message, sharedRamRemedy())];
    }
  }

  async start(options: StartOptions, health: () => void): Promise<void> {
    const { periodMs, signal, onProgress = () => undefined } = options;
    await this.#close();
    this.#broken = undefined;
    await this.#held.begin();
    const cut = (): void => this.cut();
    signal?.addEventListener('abort', cut, { once: true });
    try {
      const { engine, guest } = await this.#connect((ports) => PrimaryEngine.start(ports), {
        signal,
        wrap: (link, { pageBytes }, { bytes }) =>
          new CountingLink(link, pageBytes, (copied) => onProgress(Math.min(copied, bytes), bytes)),
      });
      signal?.throwIfAborted();
      await engine.copyRam();
      onProgress(guest.shared.bytes, guest.shared.bytes);
      health();
      await this.#first(engine);
      this.#periodMs = periodMs;
      this.#schedule();
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', cut);
    }
  }

  adopt(): Promise<void> {
    this.#isAdopted = true;
    return this.#held.adopt();
  }

  async goOn({ periodMs, patienceMs }: GoOnOptions): Promise<void> {
    await this.#close();
    const { engine } = await this.#reach(performance.now() + patienceMs);
    await this.#held.resume();
    await this.#first(engine);
    this.#periodMs = periodMs;
    this.#schedule();
  }

  checkpointNow(): Promise<void> {
    if (this.#running === undefined || this.#held.isHalted || this.#isOver) {
      return Promise.reject(notRunning());
    }
    this.#isWanted = true;
    this.#schedule();
    return Promise.resolve();
  }

  async setPeriod(periodMs: number): Promise<void> {
    this.#periodMs = periodMs;
    await this.checkpointNow();
  }

  linkFailed(reason: string): void {
    this.#broken ??= reason;
  }

  cut(): void {
    this.#running?.link.close();
  }

  /** A checkpoint that is under way is given up, unless the secondary has all of it already. */
  halt(): Promise<void> {
    clearTimeout(this.#timer);
    return this.#held.halt();
  }

  async handOver(): Promise<void> {
    this.#isLast = true;
    clearTimeout(this.#timer);
    try {
      await this.#underWay;
      const { engine } = this.#running ?? {};
      if (engine === undefined || this.#held.isHalted || this.#isOver) throw notRunning();
      const last = this.#makeLast(engine);
      this.#underWay = last
        .catch(() => (this.#isLast = false))
        .then(() => {
          this.#underWay = undefined;
          this.#schedule();
        });
      await last;
    } catch (error) {
      this.#isLast = false;
      this.#schedule();
      throw error;
    }
  }

  /** The mark in QEMU is the last of it: a process that finds it knows that all else is done. */
  async #makeLast(engine: PrimaryEngine): Promise<void> {
    try {
      this.#beganMs = performance.now();
      await engine.handOver();
      await this.#held.halt();
      const { spoilt } = this.#held;
      if (spoilt?.hasRun === true) throw new Error(spoilt.reason);
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  async takeBack(): Promise<void> {
    await this.#held.unhalt();
    await this.#running?.engine.takeBack();
    this.#isLast = false;
    this.#schedule();
  }

  async leave(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#held.unhalt();
    await this.#running?.engine.goAlone();
    await this.#held.release();
    if (this.#isAdopted) await SharedGuest.forget(this.qmp);
    await this.#close();
  }

  /** QEMU has ended, or its connection: nothing is left to be continued. */
  async #dispose(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#close();
  }

  async #close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (!running) return;
    running.link.close();
    await this.#underWay;
    await running.ram.close();
    await running.guest.close();
  }

  /** It listens once its QEMU is there, which it may have said a moment ago. */
  async #dial(signal: AbortSignal | undefined) {
    const { migrate, credentials } = this.options;
    try {
      return await dialMemory(migrate, credentials, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GannetError)) throw error;
      await sleep(RETRY_MS);
      return dialMemory(migrate, credentials, signal);
    }
  }

  /** The first checkpoint: nothing else bounds how long the guest stands still for it. */
  async #first(engine: PrimaryEngine): Promise<void> {
    const { pauseMs } = this.options;
    this.#beganMs = performance.now();
    let isLate = false;
    const cut = (): void => {
      isLate = true;
      this.cut();
    };
    await withCut(engine.checkpoint(), this.#beganMs + pauseMs, cut).catch((error: unknown) => {
      throw isLate ? tooLong(pauseMs, error) : error;
    });
  }

  /** A secondary that has not noticed yet that its last connection has ended takes no other. */
  async #reach(deadlineMs: number): Promise<Running> {
    for (;;) {
      try {
        return await this.#connect((ports) => PrimaryEngine.resume(ports), { deadlineMs });
      } catch (error) {
        const isFinal = error instanceof VsmrError && error.code !== 'VSMR_LINK_LOST';
        if (isFinal || this.qmp.state !== 'open' || performance.now() > deadlineMs) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /** On failure nothing of it is left. */
  async #connect(begin: Begin, way: Way): Promise<Running> {
    const { signal, deadlineMs = Infinity } = way;
    this.#isOver = false;
    this.#isLast = false;
    const guest = await SharedGuest.open(this.qmp);
    let ram: FileRam | undefined;
    let link: FrameLink | undefined;
    try {
      ram = await guest.openRam();
      const made = new FrameLink(await this.#dial(signal), ram);
      link = made;
      const wrapped = way.wrap?.(made, ram, guest.shared) ?? made;
      const ports = { guest: this.#port(guest), ram, link: wrapped, clock: performance };
      const engine = await withCut(begin(ports), deadlineMs, () => made.close());
      this.#running = { guest, ram, link, engine };
      return this.#running;
    } catch (error) {
      link?.close();
      await ram?.close();
      await guest.close();
      throw error;
    }
  }

  #port({ vm }: SharedGuest): GuestPort {
    return {
      pause: async () => {
        await this.#held.pause();
        // Its writes before the stop have been answered by now: a link that failed has said so.
        if (this.#broken !== undefined) throw new Error(this.#broken);
      },
      resume: () => this.#held.resume(),
      saveDevices: () => vm.saveDevices(),
      loadDevices: (state) => vm.loadDevices(state),
      spoilt: () => {
        const reason = this.#broken;
        return this.#held.spoilt ?? (reason === undefined ? reason : { reason, hasRun: false });
      },
    };
  }

  /** The next one: at once if it is wanted, else when the period is over. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const mayGoOn = !this.#held.isHalted && !this.#isOver && !this.#isLast;
    if (this.#underWay || !mayGoOn || !this.#running) return;
    const dueMs = this.#beganMs + this.#periodMs - performance.now();
    this.#timer = setTimeout(() => this.#begin(), this.#isWanted ? 0 : Math.max(0, dueMs));
  }

  #begin(): void {
    const { engine } = this.#running ?? {};
    if (engine === undefined || this.#underWay) return;
    this.#isWanted = false;
    this.#beganMs = performance.now();
    this.#underWay = engine
      .checkpoint()
      .catch((error: unknown) => this.#failed(error))
      .then(() => {
        this.#underWay = undefined;
        this.#schedule();
      });
  }

  #failed(error: unknown): void {
    // Let go, or QEMU has ended: who has done that knows.
    if (this.#running === undefined || this.qmp.state !== 'open') return;
    if (error instanceof VsmrError && error.code === 'VSMR_ABORTED') {
      this.options.onTrouble(error);
      return;
    }
    this.#isOver = true;
    this.options.onLost(describeError(error).message);
  }
}

const RETRY_MS = 200;

function notRunning(): GannetError {
  const message = 'no checkpoint can be made: the engine does not run';
  return new GannetError('GANNET_NOT_READY', message, 'Protect the VM first.');
}

type Begin = (ports: PrimaryEngineOptions) => Promise<PrimaryEngine>;

/** How #connect() makes an engine. */
interface Way {
  readonly signal?: AbortSignal | undefined;
  /** Until the other side has answered, by performance.now(). Default: no bound. */
  readonly deadlineMs?: number;
  readonly wrap?: (link: Link, ram: FileRam, shared: SharedGuest['shared']) => Link;
}

/** @param cut makes `work` fail */
async function withCut<T>(work: Promise<T>, deadlineMs: number, cut: () => void): Promise<T> {
  if (deadlineMs === Infinity) return work;
  const timer = setTimeout(cut, Math.max(0, deadlineMs - performance.now()));
  return work.finally(() => clearTimeout(timer));
}

function tooLong(pauseMs: number, cause: unknown): GannetError {
  return new GannetError(
    'GANNET_TIMEOUT',
    `the guest stood still for ${pauseMs} ms, and its first checkpoint was not complete`,
    'It is undone, and the guest runs on. Try again when the guest changes less memory, give the ' +
      'hosts a faster connection, or allow a longer pause: `primary.stageTimeoutMs`.',
    'timeout',
    { cause },
  );
}
