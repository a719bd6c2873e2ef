import {
  type CheckpointEngine,
  type Finding,
  finding,
  sharedRamRemedy,
  type StartOptions,
} from '@gannet/qmp-driver';
import { type FileRam, FrameLink, type GuestPort, PrimaryEngine, VsmrError } from '@gannet/vsmr';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient } from 'qemu-qmp-client';
import { describeError, GannetError, type PrimaryConfig } from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { dialMemory } from './memory-link.js';
import { CountingLink } from './counting-link.js';
import { SharedGuest, expectSharedRam } from './shared-guest.js';

export interface EngineHandlers {
  readonly credentials: Credentials | undefined;
  /** The link has ended: the secondary is lost, and the guest may be paused until it is let go. */
  readonly onLost: (reason: string) => void;
  /** A checkpoint was given up; the next one is tried. */
  readonly onTrouble: (error: unknown) => void;
}

interface PrimaryVsmrOptions extends EngineHandlers {
  /** `primary.migrate` of the configuration: where the secondary's daemon waits. */
  readonly migrate: string;
}

/** The engine of the configuration; undefined for COLO, which the driver brings along. */
export function primaryEngineOf(
  qmp: QmpClient,
  { engine, primary }: PrimaryConfig,
  options: EngineHandlers,
): CheckpointEngine | undefined {
  if (engine === 'colo') return undefined;
  return new PrimaryVsmr(qmp, { ...options, migrate: primary.migrate });
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
  /** Why no checkpoint counts any more. */
  #broken: string | undefined;
  /** Stopped by a checkpoint, or for good. */
  #isPaused = false;
  #isHalted = false;
  /** The link has ended: no more checkpoints until the next start(). */
  #isOver = false;

  constructor(
    private readonly qmp: QmpClient,
    private readonly options: PrimaryVsmrOptions,
  ) {
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
    this.#isHalted = false;
    this.#isOver = false;
    const guest = await SharedGuest.open(this.qmp);
    const ram = await guest.openRam();
    const { bytes } = guest.shared;
    const socket = await this.#dial(signal).catch(async (error: unknown) => {
      await ram.close();
      throw error;
    });
    const link = new FrameLink(socket, ram);
    const cut = (): void => link.close();
    signal?.addEventListener('abort', cut, { once: true });
    try {
      const counted = new CountingLink(link, ram.pageBytes, (copied) => {
        onProgress(Math.min(copied, bytes), bytes);
      });
      const ports = { guest: this.#port(guest), ram, link: counted, clock: performance };
      const engine = await PrimaryEngine.start(ports).catch(async (error: unknown) => {
        link.close();
        await ram.close();
        throw error;
      });
      this.#running = { guest, ram, link, engine };
      await engine.copyRam();
      onProgress(bytes, bytes);
      health();
      this.#beganMs = performance.now();
      await engine.checkpoint();
      this.#periodMs = periodMs;
      this.#schedule();
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', cut);
    }
  }

  /** The daemon before this one may have ended while a checkpoint had the guest stopped. */
  async adopt(): Promise<void> {
    const { status } = await this.qmp.execute('query-status');
    this.#isPaused = status === 'paused';
  }

  checkpointNow(): Promise<void> {
    if (this.#running === undefined || this.#isHalted || this.#isOver) {
      const message = 'no checkpoint can be made: the engine does not run';
      const error = new GannetError('GANNET_NOT_READY', message, 'Protect the VM first.');
      return Promise.reject(error);
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

  async halt(): Promise<void> {
    this.#isHalted = true;
    clearTimeout(this.#timer);
    await this.qmp.execute('stop');
    this.#isPaused = true;
  }

  async leave(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isHalted = false;
    const running = this.#running;
    if (running) await running.engine.goAlone();
    else await this.#resume();
    await this.#close();
  }

  /** QEMU has ended, or its connection: nothing is left to be continued. */
  async #dispose(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isHalted = true;
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

  #port({ vm, qmp }: SharedGuest): GuestPort {
    return {
      pause: async () => {
        // Who stopped it before continues it, too.
        const { running } = await qmp.execute('query-status');
        await vm.pause();
        if (running) this.#isPaused = true;
        // Its writes before the stop have been answered by now: a link that failed has said so.
        if (this.#broken !== undefined) throw new Error(this.#broken);
      },
      resume: () => this.#resume(),
      saveDevices: () => vm.saveDevices(),
      loadDevices: (state) => vm.loadDevices(state),
    };
  }

  async #resume(): Promise<void> {
    if (!this.#isPaused || this.#isHalted) return;
    await this.qmp.execute('cont');
    this.#isPaused = false;
  }

  /** The next one: at once if it is wanted, else when the period is over. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#underWay || this.#isHalted || this.#isOver || !this.#running) return;
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
