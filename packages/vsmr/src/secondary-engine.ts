import { protocolError, reasonOf, VsmrError } from './errors.js';
import { differing, hashPages } from './page-hashes.js';
import { PageSet } from './page-set.js';
import { followingPhase, SECONDARY_PHASES } from './phases.js';
import type { SecondaryEngineInput, SecondaryEnginePhase } from './phases.js';
import type { DisksPort, GuestPort, RamPort } from './ports.js';
import { type PageContents, StagedCheckpoint } from './staged-checkpoint.js';
import type { Link } from './wire/frame-link.js';
import { type Frame, PROTOCOL_VERSION } from './wire/frames.js';

/** Pages in one frame that lists what was changed here. */
const DIRTY_PAGES = 64 * 1024;

/** What a SecondaryEngine reports. */
export type SecondaryEngineEvent =
  | { readonly kind: 'committed'; readonly number: number; readonly pages: number }
  | { readonly kind: 'aborted'; readonly reason: string }
  /** Only a new pair, with all of RAM copied again, makes up for that. */
  | { readonly kind: 'unfit'; readonly reason: string }
  /** The guest could not be resumed. A takeover tries it again. */
  | { readonly kind: 'not-resumed'; readonly reason: string };

/** What a SecondaryEngine needs. */
export interface SecondaryEngineOptions {
  /** Paused, and never run before. */
  readonly guest: GuestPort;
  readonly ram: RamPort;
  readonly disks: DisksPort;
  readonly link: Link;
  readonly onEvent?: (event: SecondaryEngineEvent) => void;
}

/**
 * The secondary's side. A checkpoint has two phases: while it arrives, nothing of this VM is
 * touched. Once all of it is here, it is decided: it is applied (RAM, then devices, then disks),
 * whatever becomes of the primary. If that fails, this side's own RAM and devices are put back.
 */
export class SecondaryEngine {
  readonly #guest: GuestPort;
  readonly #ram: RamPort;
  readonly #disks: DisksPort;
  #link: Link;
  readonly #onEvent: (event: SecondaryEngineEvent) => void;
  /** Pages that may differ on the two sides, as far as this side knows. */
  readonly #pending: PageSet;
  #key: Uint8Array = new Uint8Array();
  #phase: SecondaryEnginePhase = 'blank';
  #number = 0;
  /** The state of the devices at the last checkpoint. */
  #devices: Uint8Array | undefined;
  /** Its devices when it was paused, for a checkpoint that fails. */
  #ownDevices: Uint8Array | undefined;
  #staged = new StagedCheckpoint();
  #served: Promise<string> | undefined;

  constructor({ guest, ram, disks, link, onEvent }: SecondaryEngineOptions) {
    this.#guest = guest;
    this.#ram = ram;
    this.#disks = disks;
    this.#link = link;
    // What a listener throws becomes an uncaught exception, and fails no checkpoint.
    this.#onEvent = (event) => queueMicrotask(() => onEvent?.(event));
    this.#pending = new PageSet(ram.pages);
  }

  get phase(): SecondaryEnginePhase {
    return this.#phase;
  }

  /** Of the last checkpoint; 0 before the first. */
  get number(): number {
    return this.#number;
  }

  /**
   * Takes part in checkpoints until the link ends. If that is during one, it is given up or
   * finished first.
   *
   * @returns why the link ended
   */
  serve(): Promise<string> {
    this.#served ??= this.#serve();
    return this.#served;
  }

  /**
   * As serve(), with another engine of the same primary: the one before has ended. To be called
   * when serve() has resolved.
   *
   * @throws VsmrError VSMR_PHASE unless there is a checkpoint to go on from
   */
  continueOn(link: Link): Promise<string> {
    if (this.#phase !== 'running') {
      const message = `there is nothing to go on from: this secondary is ${this.#phase}`;
      throw new VsmrError('VSMR_PHASE', message, 'Begin a new pair.');
    }
    this.#link = link;
    this.#served = this.#serve();
    return this.#served;
  }

  /**
   * The primary is dead, and stays dead: the guest goes on here. Cuts the link, and finishes what
   * is under way first.
   *
   * @throws VsmrError VSMR_UNFIT if there is nothing to continue from
   * @throws what the ports throw; may be called again
   */
  async takeOver(): Promise<void> {
    this.#link.close();
    await this.#served;
    if (!('take-over' in SECONDARY_PHASES[this.#phase])) {
      const message = `no checkpoint to continue from: this secondary is ${this.#phase}`;
      const remedy = 'Only the primary has the VM: start it there.';
      throw new VsmrError('VSMR_UNFIT', message, remedy);
    }
    await this.#guest.pause();
    await this.#disks.failOver();
    this.#enter('take-over');
    await this.#guest.resume();
  }

  async #serve(): Promise<string> {
    try {
      await this.#greet();
      for (;;) await this.#handle(await this.#link.receive());
    } catch (error) {
      this.#link.close();
      if ('dropped' in SECONDARY_PHASES[this.#phase]) await this.#drop();
      return reasonOf(error);
    }
  }

  async #greet(): Promise<void> {
    const hello = await this.#link.receive();
    if (hello.kind !== 'hello') throw unexpected(hello);
    const { version, pageBytes, pages, key, resumes } = hello;
    if (version !== PROTOCOL_VERSION) throw garbled(`it speaks version ${version}`);
    if (pageBytes !== this.#ram.pageBytes || pages !== this.#ram.pages) {
      throw garbled(`its RAM is ${pages} pages of ${pageBytes} bytes, here ${this.#ram.pages}`);
    }
    this.#key = key;
    if (!resumes && this.#phase === 'blank') return;
    const why = resumes ? this.#whyNotResume() : 'it has a checkpoint, and the primary begins';
    if (why === undefined) return this.#link.send({ kind: 'resumed', number: this.#number });
    await this.#link.send({ kind: 'aborted', reason: why });
    throw garbled(why);
  }

  #whyNotResume(): string | undefined {
    if (this.#phase !== 'running') return `it has no checkpoint: it is ${this.#phase}`;
    return this.#disks.whyNotResume?.();
  }

  async #handle(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case 'copy':
        this.#enter('copy');
        return this.#attempt(() => this.#begin());
      case 'prepare':
        if (frame.number !== this.#number + 1) throw unexpected(frame);
        this.#enter('prepare');
        return this.#attempt(() => this.#prepare());
      case 'spoilt':
        this.#enter('spoilt');
        this.#onEvent({ kind: 'unfit', reason: frame.reason });
        return;
      case 'hashes':
      case 'pages':
      case 'devices':
      case 'end':
      case 'cancel':
        // What was given up here is still on its way.
        if (!('dropped' in SECONDARY_PHASES[this.#phase])) return;
        return this.#attempt(() => this.#take(frame));
      default:
        throw unexpected(frame);
    }
  }

  /** A failure on this side gives up what is under way; the link is well. */
  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (error instanceof VsmrError && error.code !== 'VSMR_RAM') throw error;
      await this.#abort(reasonOf(error));
    }
  }

  async #abort(reason: string): Promise<void> {
    await this.#drop();
    this.#onEvent({ kind: 'aborted', reason });
    await this.#link.send({ kind: 'aborted', reason });
  }

  /** This side goes on as it was. */
  async #drop(): Promise<void> {
    this.#enter('dropped');
    this.#staged = new StagedCheckpoint();
    if (this.#phase === 'running') await this.#resume();
  }

  async #resume(): Promise<void> {
    try {
      await this.#guest.resume();
    } catch (error) {
      this.#onEvent({ kind: 'not-resumed', reason: reasonOf(error) });
    }
  }

  async #prepare(): Promise<void> {
    await this.#guest.pause();
    this.#ownDevices = this.#number > 0 ? await this.#guest.saveDevices() : undefined;
    await this.#begin();
  }

  /** Says what may differ, as far as this side knows. */
  async #begin(): Promise<void> {
    this.#staged = new StagedCheckpoint(this.#devices);
    this.#pending.addAll(await this.#ram.refresh(true));
    for (const pages of this.#pending.batches(DIRTY_PAGES)) {
      await this.#link.send({ kind: 'dirty', pages });
    }
    await this.#link.send({ kind: 'stopped' });
  }

  async #take(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case 'hashes': {
        const data = await this.#ram.read(frame.pages);
        const ours = hashPages(this.#key, data, this.#ram.pageBytes);
        const pages = differing(frame.pages, ours, frame.hashes);
        return this.#link.send({ kind: 'want', pages });
      }
      case 'pages':
        if (this.#phase !== 'copying') return this.#staged.addPages(frame);
        // The VM has never run: there is nothing to keep.
        this.#staged.addWrittenPages(frame);
        return this.#ram.write(frame.pages, frame.data);
      case 'devices':
        return this.#staged.addDevices(frame);
      case 'end':
        return this.#end(frame.digest);
      default:
        return this.#abort('the primary has given it up');
    }
  }

  async #end(digest: Uint8Array): Promise<void> {
    if (!this.#staged.matches(digest)) throw garbled('what arrived is not what was sent');
    if (this.#phase === 'copying') {
      this.#pending.clear();
      this.#enter('copied');
      return this.#link.send({ kind: 'copied' });
    }
    // The commit point.
    this.#enter('decide');
    await this.#apply(this.#staged);
  }

  async #apply({ contents, devices }: StagedCheckpoint): Promise<void> {
    const before: PageContents[] = [];
    try {
      if (this.#ownDevices) {
        for (const { pages } of contents) {
          before.push({ pages, data: await this.#ram.read(pages) });
        }
      }
      await this.#writeAll(contents);
      await this.#guest.loadDevices(devices);
      await this.#disks.commit();
    } catch (error) {
      return this.#undo(before, reasonOf(error));
    }
    this.#enter('applied');
    this.#number++;
    this.#devices = devices;
    this.#pending.clear();
    this.#staged = new StagedCheckpoint();
    const pages = contents.reduce((sum, each) => sum + each.pages.length, 0);
    this.#onEvent({ kind: 'committed', number: this.#number, pages });
    const sent = this.#link.send({ kind: 'committed', number: this.#number });
    await Promise.allSettled([sent, this.#resume()]);
    await sent;
  }

  async #undo(before: readonly PageContents[], reason: string): Promise<void> {
    this.#enter('failed');
    this.#staged = new StagedCheckpoint();
    if (this.#phase === 'undoing' && this.#ownDevices) {
      try {
        await this.#writeAll(before);
        await this.#guest.loadDevices(this.#ownDevices);
        this.#enter('undone');
        await this.#resume();
      } catch (error) {
        this.#enter('failed');
        const why = `${reason}; and its own state could not be put back: ${reasonOf(error)}`;
        this.#onEvent({ kind: 'unfit', reason: why });
        return this.#link.send({ kind: 'aborted', reason: why });
      }
    }
    this.#onEvent({ kind: 'aborted', reason });
    await this.#link.send({ kind: 'aborted', reason });
  }

  async #writeAll(contents: readonly PageContents[]): Promise<void> {
    for (const { pages, data } of contents) await this.#ram.write(pages, data);
  }

  #enter(input: SecondaryEngineInput): void {
    this.#phase = followingPhase(SECONDARY_PHASES, this.#phase, input);
  }
}

function unexpected({ kind }: Frame): VsmrError {
  return garbled(`it sent ${kind} at the wrong time`);
}

function garbled(what: string): VsmrError {
  return protocolError(`the primary cannot be understood: ${what}`);
}
