import { randomBytes } from 'node:crypto';
import { protocolError, reasonOf, VsmrError } from './errors.js';
import { hashPages, KEY_BYTES } from './page-hashes.js';
import { devicesDifference } from './devices-difference.js';
import { PageSet } from './page-set.js';
import {
  followingPhase,
  PRIMARY_PHASES,
  type PrimaryEngineInput,
  type PrimaryEnginePhase,
} from './phases.js';
import type { EngineClock, GuestPort, OutputPort, RamPort } from './ports.js';
import { CheckpointDigest } from './staged-checkpoint.js';
import type { Link } from './wire/frame-link.js';
import { type Frame, PROTOCOL_VERSION } from './wire/frames.js';

/** Pages in one frame of hashes, and in its answer. */
const BATCH_PAGES = 256;
/** Frames of hashes that are under way without an answer. */
const BATCHES_UNANSWERED_MAX = 4;

/** What a PrimaryEngine needs. */
export interface PrimaryEngineOptions {
  readonly guest: GuestPort;
  readonly ram: RamPort;
  /** Without it, output is not held. */
  readonly output?: OutputPort;
  readonly link: Link;
  readonly clock: EngineClock;
}

/** When copyRam() has copied enough. */
export interface CopyOptions {
  /** A round that had so few pages is the last one. Default 2048. */
  readonly enoughPages?: number;
  /** Default 5. */
  readonly roundsMax?: number;
}

/** What a checkpoint did. */
export interface CheckpointReport {
  readonly number: number;
  /** How long the primary's guest was paused. */
  readonly pausedMs: number;
  /** Pages that either side had changed. */
  readonly changedPages: number;
  /** Of these, those that differed, and were sent. */
  readonly sentPages: number;
  readonly deviceBytes: number;
}

/** The secondary gave up what is under way. */
class AbortedThere extends Error {}

/** The guest is not what was saved of it. */
class SpoiltHere extends Error {}

/**
 * The primary's side: it decides when, pauses its guest, and sends what differs. The checkpoint is
 * made when the secondary says so; then held output is released, and the guest runs.
 */
export class PrimaryEngine {
  readonly #guest: GuestPort;
  readonly #ram: RamPort;
  readonly #output: OutputPort | undefined;
  readonly #link: Link;
  readonly #clock: EngineClock;
  readonly #key = randomBytes(KEY_BYTES);
  /** Pages that may differ on the two sides, as far as this side knows. */
  readonly #pending: PageSet;
  #phase: PrimaryEnginePhase = 'running';
  #number = 0;
  /** The state of the devices at the last checkpoint. */
  #devices: Uint8Array = new Uint8Array();
  #work: Promise<unknown> = Promise.resolve();

  private constructor({ guest, ram, output, link, clock }: PrimaryEngineOptions) {
    this.#guest = guest;
    this.#ram = ram;
    this.#output = output;
    this.#link = link;
    this.#clock = clock;
    this.#pending = new PageSet(ram.pages);
  }

  /** @throws VsmrError VSMR_LINK_LOST */
  static async start(options: PrimaryEngineOptions): Promise<PrimaryEngine> {
    const engine = new PrimaryEngine(options);
    await engine.#greet(false);
    return engine;
  }

  /**
   * Goes on with a secondary that has a checkpoint of an engine that has ended: of an earlier
   * process, or on a link that broke. What has changed since then is not known here, so the next
   * checkpoint compares all pages. A guest that an earlier engine had paused has to stay so until
   * this resolves: its last checkpoint may be on its way to the disks.
   *
   * @throws VsmrError VSMR_LINK_LOST, VSMR_PROTOCOL
   * @throws VsmrError VSMR_ABORTED with the secondary's reason, if it cannot go on
   */
  static async resume(options: PrimaryEngineOptions): Promise<PrimaryEngine> {
    const engine = new PrimaryEngine(options);
    try {
      await engine.#greet(true);
      ({ number: engine.#number } = await engine.#expect('resumed'));
    } catch (error) {
      options.link.close();
      if (!(error instanceof AbortedThere)) throw error;
      const remedy = 'Go on without this secondary, and begin a new pair.';
      const message = `the secondary cannot go on: ${error.message}`;
      throw new VsmrError('VSMR_ABORTED', message, remedy, { cause: error });
    }
    for (let page = 0; page < options.ram.pages; page++) engine.#pending.add(page);
    return engine;
  }

  get phase(): PrimaryEnginePhase {
    return this.#phase;
  }

  /** Of the last checkpoint that the secondary is known to have; 0 before the first. */
  get number(): number {
    return this.#number;
  }

  /**
   * Copies RAM while the guest runs, in rounds, so that the first checkpoint has little left to do.
   *
   * @returns the pages that were sent
   * @throws VsmrError VSMR_LINK_LOST, VSMR_PROTOCOL, VSMR_ABORTED
   * @throws VsmrError VSMR_PHASE during a checkpoint, or after the first one
   */
  async copyRam({ enoughPages = 2048, roundsMax = 5 }: CopyOptions = {}): Promise<number> {
    if (this.#number > 0) {
      const message = 'the secondary has a checkpoint, and runs';
      throw new VsmrError('VSMR_PHASE', message, 'Copy RAM before the first checkpoint.');
    }
    let sentPages = 0;
    for (let round = 0; round < roundsMax; round++) {
      this.#enter('copy');
      const sent = await this.#alone(() => this.#copyRound());
      sentPages += sent;
      if (sent <= enoughPages) break;
    }
    return sentPages;
  }

  /**
   * Makes a checkpoint: the secondary becomes what the primary is now.
   *
   * @throws VsmrError VSMR_ABORTED: both sides are as before, and run
   * @throws VsmrError VSMR_LINK_LOST, VSMR_PROTOCOL: the phase is `cut`, the guest may be paused
   * @throws VsmrError VSMR_PHASE
   */
  async checkpoint(): Promise<CheckpointReport> {
    this.#enter('prepare');
    return this.#alone(() => this.#checkpoint());
  }

  /**
   * Makes a last checkpoint: the secondary becomes what the primary is, held output goes, and the
   * guest stays paused. Then either the secondary goes on, or this side: takeBack(), goAlone().
   *
   * @throws as checkpoint(), with the same left behind
   */
  async handOver(): Promise<CheckpointReport> {
    this.#enter('prepare');
    return this.#alone(() => this.#checkpoint(true));
  }

  /**
   * Goes on here after handOver(), protected as before. Nobody may have told the secondary that it
   * may go on.
   *
   * @throws VsmrError VSMR_PHASE; what the guest's port throws
   */
  async takeBack(): Promise<void> {
    this.#enter('taken-back');
    await this.#guest.resume();
  }

  /**
   * Goes on without the secondary, which must never take over from now on: make sure of that
   * before. Cuts the link, releases all output and lets the guest run.
   *
   * @throws what the ports throw; may be called again
   */
  async goAlone(): Promise<void> {
    this.#link.close();
    await this.#work;
    if (this.#phase !== 'alone') this.#enter('leave');
    await this.#output?.release();
    await this.#guest.resume();
  }

  /** One thing at a time, which goAlone() waits for. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = work();
    this.#work = done.catch(() => undefined);
    return done;
  }

  async #copyRound(): Promise<number> {
    try {
      await this.#link.send({ kind: 'copy' });
      const digest = new CheckpointDigest();
      const { sentPages } = await this.#sendRam(digest);
      await this.#link.send({ kind: 'end', digest: digest.finish() });
      await this.#expect('copied');
      this.#pending.clear();
      this.#enter('copied');
      return sentPages;
    } catch (error) {
      throw await this.#giveUp(error, 'the copy of RAM');
    }
  }

  async #greet(resumes: boolean): Promise<void> {
    const { pageBytes, pages } = this.#ram;
    const hello = { kind: 'hello', version: PROTOCOL_VERSION, pageBytes, pages } as const;
    await this.#link.send({ ...hello, key: this.#key, resumes });
  }

  async #checkpoint(isLast = false): Promise<CheckpointReport> {
    const number = this.#number + 1;
    try {
      await this.#link.send({ kind: 'prepare', number });
      const pausedAt = this.#clock.now();
      await this.#guest.pause();
      // Whatever saving them changes in RAM is part of the checkpoint: RAM is read afterwards.
      const devices = await this.#guest.saveDevices();
      const digest = new CheckpointDigest();
      const counts = await this.#sendRam(digest);
      await this.#sendDevices(devices, digest);
      // In one turn with the end, after which the secondary may have it.
      this.#expectSound();
      const ended = this.#link.send({ kind: 'end', digest: digest.finish() });
      this.#enter('sent');
      await ended;
      await this.#expect('committed');
      this.#number = number;
      this.#devices = devices;
      this.#pending.clear();
      this.#enter('committed');
      this.#expectSound(true);
      await this.#output?.release();
      if (!isLast) await this.#guest.resume();
      this.#expectSound(true);
      this.#enter(isLast ? 'handed-over' : 'released');
      const pausedMs = this.#clock.now() - pausedAt;
      return { number, pausedMs, deviceBytes: devices.length, ...counts };
    } catch (error) {
      throw await this.#giveUp(error, `checkpoint ${number}`);
    }
  }

  /** @param isCommitted only a guest that has run makes it void then */
  #expectSound(isCommitted = false): void {
    const { reason, hasRun } = this.#guest.spoilt?.() ?? {};
    if (reason !== undefined && (hasRun || !isCommitted)) throw new SpoiltHere(reason);
  }

  /** Sends the pages that differ, of those that either side has changed. */
  async #sendRam(digest: CheckpointDigest): Promise<{ changedPages: number; sentPages: number }> {
    this.#pending.addAll(await this.#ram.refresh(this.#phase !== 'copying'));
    for (;;) {
      const frame = await this.#receive();
      if (frame.kind === 'stopped') break;
      if (frame.kind !== 'dirty') throw unexpected(frame);
      this.#pending.addAll(frame.pages);
    }
    let sentPages = 0;
    let unanswered = 0;
    const answer = async (): Promise<void> => {
      const { pages } = await this.#expect('want');
      unanswered--;
      if (pages.length === 0) return;
      const contents = { pages, data: await this.#ram.read(pages) };
      digest.addPages(contents);
      sentPages += pages.length;
      await this.#link.send({ kind: 'pages', ...contents });
    };
    for (const pages of this.#pending.batches(BATCH_PAGES)) {
      const data = await this.#ram.read(pages);
      const hashes = hashPages(this.#key, data, this.#ram.pageBytes);
      await this.#link.send({ kind: 'hashes', pages, hashes });
      unanswered++;
      if (unanswered === BATCHES_UNANSWERED_MAX) await answer();
    }
    while (unanswered > 0) await answer();
    return { changedPages: this.#pending.size, sentPages };
  }

  async #sendDevices(devices: Uint8Array, digest: CheckpointDigest): Promise<void> {
    digest.addDevices(devices);
    for (const part of devicesDifference(this.#devices, devices)) {
      await this.#link.send({ kind: 'devices', ...part });
    }
  }

  /**
   * After an error: back to `running` if both sides are as before, else the link is cut.
   *
   * @returns what to throw
   */
  async #giveUp(error: unknown, what: string): Promise<VsmrError> {
    if (error instanceof SpoiltHere && this.#phase === 'releasing') {
      // Its disks may have what the guest has written since: nothing may go on from there.
      await this.#link.send({ kind: 'spoilt', reason: error.message }).catch(() => undefined);
    }
    const isBroken = error instanceof VsmrError && error.code !== 'VSMR_RAM';
    if (isBroken || this.#phase === 'releasing') return this.#cut(error);
    const wasPaused = this.#phase !== 'copying';
    try {
      if (!(error instanceof AbortedThere)) await this.#cancel();
      this.#enter('aborted');
      if (wasPaused) await this.#guest.resume();
    } catch (cause) {
      return this.#cut(cause);
    }
    const message = `${what} was given up: ${reasonOf(error)}`;
    const remedy = 'Both sides run as before. Make another checkpoint when the cause is gone.';
    return new VsmrError('VSMR_ABORTED', message, remedy, { cause: error });
  }

  #cut(error: unknown): VsmrError {
    this.#link.close();
    if ('lost' in PRIMARY_PHASES[this.#phase]) this.#enter('lost');
    if (error instanceof VsmrError) return error;
    const message = `the link was cut: ${reasonOf(error)}`;
    const remedy = 'Go on alone, if the secondary can be kept from taking over.';
    return new VsmrError('VSMR_LINK_LOST', message, remedy, { cause: error });
  }

  /** Whatever the secondary has sent before it knew of that comes first. */
  async #cancel(): Promise<void> {
    await this.#link.send({ kind: 'cancel' });
    for (;;) {
      const { kind } = await this.#link.receive();
      if (kind === 'aborted') return;
    }
  }

  async #expect<Kind extends Frame['kind']>(kind: Kind): Promise<Frame & { kind: Kind }> {
    const frame = await this.#receive();
    if (frame.kind !== kind) throw unexpected(frame);
    return frame as Frame & { kind: Kind };
  }

  async #receive(): Promise<Frame> {
    const frame = await this.#link.receive();
    if (frame.kind === 'aborted') throw new AbortedThere(frame.reason);
    return frame;
  }

  #enter(input: PrimaryEngineInput): void {
    this.#phase = followingPhase(PRIMARY_PHASES, this.#phase, input);
  }
}

function unexpected({ kind }: Frame): VsmrError {
  return protocolError(`the secondary sent ${kind} at the wrong time`);
}
