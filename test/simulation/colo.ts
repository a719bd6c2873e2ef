// COLO as QEMU does it (migration/colo.c, /docs of the project: NOTES.md of the driver), as a
// machine that takes one step at a time: between any two of its steps anything else may happen, in
// the other VM, on a wire, in our process.

import type { Guest } from './guest.js';
import type { SimulatedSocket } from './network.js';
import type { Random } from '@gannet/test-support/random.js';

export type Phase =
  | 'seeding'
  | 'primary-stops'
  | 'steady'
  | 'secondary-stops'
  | 'secondary-drains'
  | 'primary-drains'
  | 'state-sent'
  | 'loaded'
  /** The primary is gone, or its channel. */
  | 'broken'
  | 'over';

interface Command {
  readonly id: unknown;
  readonly execute: string;
}

/** What a user, or a second manager, may do to the secondary behind our back. */
export interface Meddling {
  readonly stops: number;
  readonly failovers: number;
}

export interface ColoOptions {
  readonly meddling: Meddling;
  /** As QEMU 10.0 and later do it; 7.2 sends STOP first. */
  readonly drainsBeforeStop: boolean;
}

export class ColoPair {
  phase: Phase = 'seeding';
  checkpoints = 0;
  primaryIsAlive = true;
  /** `broken` was seen by the secondary's QEMU. */
  exitTold = false;
  /** A user's stop or cont came into play: nobody can be certain of checkpoints then. */
  wasMeddledWith = false;
  failoverRequested = false;
  hasFailedOver = false;
  #mode: 'none' | 'secondary' = 'none';
  #lastMode: 'none' | 'secondary' = 'none';
  #runState = 'inmigrate';
  #userPaused = false;
  /** STOPs about which our question has not been answered. */
  #unasked = 0;
  #isStartup = true;
  #failing = 0;
  /** The secondary drains, and has not sent its STOP. */
  #owesStop = false;
  #calm = 0;
  #snapshot: Buffer[] = [];
  /** A stop that drains, and answers then. */
  #stop: Command | undefined;
  /** The primary's disks at the last checkpoint. */
  loaded: readonly Buffer[] = [];
  #lines = '';
  readonly #commands: Command[] = [];
  #microseconds = 1_000_000;

  constructor(
    private readonly random: Random,
    readonly primary: Guest,
    readonly secondary: Guest,
    private readonly qmp: SimulatedSocket,
    private readonly options: ColoOptions,
    private readonly note: (what: string) => void,
  ) {
    qmp.onBytes = (bytes) => this.#read(bytes);
    this.#say({
      QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: '' }, capabilities: [] },
    });
  }

  get isInColo(): boolean {
    return this.#mode === 'secondary';
  }

  /** Everything is copied: COLO may start. */
  start(): void {
    if (this.phase === 'seeding') this.phase = 'primary-stops';
  }

  killPrimary(): void {
    this.primaryIsAlive = false;
    this.primary.isRunning = false;
    // The state is in the secondary's hands: it goes on to load it. Otherwise its checkpoint never
    // ends.
    if (this.phase !== 'state-sent') this.phase = this.phase === 'over' ? 'over' : 'broken';
  }

  /** One step of anything that the two QEMUs may do now. */
  step(): void {
    this.#microseconds += 150;
    const roll = this.random.next();
    if (roll < 0.4) this.#answer();
    else if (roll < 0.4 + this.options.meddling.stops) this.#meddle();
    else if (this.failoverRequested && this.#mayFailOver) this.#failOver();
    else this.#advance();
  }

  get #mayFailOver(): boolean {
    return this.phase !== 'state-sent' && this.#mode === 'secondary';
  }

  // One checkpoint: secondary STOP, drain; primary STOP, drain; state sent and loaded; secondary
  // RESUME; VMSTATE_LOADED; primary RESUME.
  #advance(): void {
    const { primary } = this;
    switch (this.phase) {
      case 'seeding':
      case 'over':
        return;
      case 'steady':
        // Checkpoints follow one another at some distance (x-checkpoint-delay).
        this.#calm--;
        if (this.primaryIsAlive && this.#calm < 0) this.phase = 'secondary-stops';
        return;
      case 'secondary-stops':
        this.#beginStop('colo');
        this.phase = 'secondary-drains';
        return;
      case 'secondary-drains':
        if (!this.#hasStopped()) return;
        this.phase = 'primary-stops';
        return;
      case 'primary-stops':
        primary.isRunning = false;
        this.phase = 'primary-drains';
        return;
      case 'primary-drains':
        if (!drained(primary)) return;
        this.#snapshot = primary.disks.map((disk) => Buffer.from(disk));
        this.note('state sent');
        this.phase = 'state-sent';
        return;
      case 'state-sent':
        this.#load();
        this.phase = this.primaryIsAlive ? 'loaded' : 'broken';
        return;
      case 'loaded':
        primary.isRunning = true;
        this.phase = 'steady';
        this.#calm = 6 + this.random.below(25);
        return;
      case 'broken':
        this.#breakUp();
    }
  }

  #load(): void {
    const { secondary } = this;
    this.loaded = this.#snapshot.map((disk) => Buffer.from(disk));
    secondary.disks = this.#snapshot;
    this.#snapshot = [];
    this.#mode = 'secondary';
    this.#isStartup = false;
    this.checkpoints++;
    secondary.isInDoubt = false;
    this.#event('RESUME');
    this.#runState = 'running';
    secondary.isRunning = true;
    this.note(`checkpoint ${this.checkpoints}`);
  }

  #breakUp(): void {
    if (this.exitTold) return;
    if (this.#isStartup) {
      this.phase = 'over';
      return;
    }
    this.exitTold = true;
    this.#say({ event: 'COLO_EXIT', data: { mode: 'secondary', reason: 'error' } });
    this.note('COLO_EXIT');
  }

  /** x-colo-lost-heartbeat at work, in three steps. */
  #failOver(): void {
    const { secondary } = this;
    if (this.#failing === 0 && secondary.isRunning) {
      this.#beginStop('colo');
      this.#failing = 1;
    } else if (this.#failing <= 1) {
      if (!this.#hasStopped()) return;
      this.#failing = 2;
    } else {
      this.#mode = 'none';
      this.#lastMode = 'secondary';
      this.#event('RESUME');
      this.#runState = 'running';
      secondary.isRunning = true;
      secondary.takeOver();
      this.hasFailedOver = true;
      this.failoverRequested = false;
      this.phase = 'over';
      this.note('the secondary took over');
    }
  }

  #meddle(): void {
    const isQuiet = this.phase === 'steady' || this.phase === 'broken';
    if (!isQuiet || this.failoverRequested || this.hasFailedOver || !this.isInColo) return;
    this.wasMeddledWith = true;
    if (this.#userPaused) {
      // Known and written down: a stop and a cont within the time of one question pass for a
      // checkpoint, and so does a cont of a VM that COLO has stopped.
      const isColos = this.#runState === 'colo' && !this.secondary.isRunning;
      if (this.#unasked > 0 || isColos) return;
      this.#userPaused = false;
      // On a running VM, vm_start() says both in one breath.
      if (this.secondary.isRunning) this.#event('STOP');
      this.#event('RESUME');
      this.#runState = 'running';
      this.secondary.isRunning = true;
      this.note('a user continues the secondary');
    } else if (this.secondary.isRunning && (this.secondary.isIdle || !this.#drainsFirst)) {
      this.#userPaused = true;
      this.pause();
      this.#sendStop();
      this.note('a user stops the secondary');
    }
  }

  /** Somebody else's x-colo-lost-heartbeat. */
  foreignFailover(): void {
    if (this.isInColo && this.random.chance(this.options.meddling.failovers)) {
      this.failoverRequested = true;
      this.note("a failover by somebody else's hand");
    }
  }

  // QMP

  #read(bytes: Buffer): void {
    this.#lines += bytes.toString('utf8');
    for (let end = this.#lines.indexOf('\n'); end >= 0; end = this.#lines.indexOf('\n')) {
      const line = this.#lines.slice(0, end).trim();
      this.#lines = this.#lines.slice(end + 1);
      if (line !== '') this.#commands.push(JSON.parse(line) as Command);
    }
  }

  /**
   * QEMU's main loop gets round to the next command, and says how things are at that moment; not
   * while a drain has it.
   */
  #answer(): void {
    if (this.phase === 'secondary-drains' || this.#failing === 1) return;
    if (this.#stop) {
      if (!this.#hasStopped()) return;
      this.#say({ return: {}, id: this.#stop.id });
      this.#stop = undefined;
      return;
    }
    const command = this.#commands.shift();
    if (!command) return;
    if (command.execute === 'stop') return this.#stopByCommand(command);
    this.#say({ return: this.#result(command.execute), id: command.id });
  }

  #stopByCommand(command: Command): void {
    this.#stop = command;
    this.pause();
  }

  /** What `stop` does before it drains. */
  pause(): void {
    this.#beginStop('paused');
  }

  get #drainsFirst(): boolean {
    return this.options.drainsBeforeStop;
  }

  #beginStop(runState: string): void {
    this.#owesStop ||= this.secondary.isRunning;
    if (this.secondary.isRunning || runState === 'colo') this.#runState = runState;
    this.secondary.isRunning = false;
    if (!this.#drainsFirst) this.#sendStop();
  }

  /** As bdrv_drain_all() and bdrv_flush_all() leave it. */
  #hasStopped(): boolean {
    if (this.secondary.isIdle) this.#sendStop();
    return drained(this.secondary);
  }

  #sendStop(): void {
    if (this.#owesStop) this.#event('STOP');
    this.#owesStop = false;
  }

  #result(execute: string): object {
    switch (execute) {
      case 'query-status':
        this.#unasked--;
        return { status: this.#runState, running: this.secondary.isRunning, singlestep: false };
      case 'query-colo-status':
        return { mode: this.#mode, 'last-mode': this.#lastMode, reason: 'none' };
      case 'x-colo-lost-heartbeat':
        if (this.isInColo) this.failoverRequested = true;
        return {};
      case 'query-yank':
        return [];
      default:
        return {};
    }
  }

  #event(event: 'STOP' | 'RESUME'): void {
    if (event === 'STOP') this.#unasked++;
    this.#say({ event });
    this.note(`secondary ${event}`);
  }

  #say(message: object): void {
    const seconds = Math.floor(this.#microseconds / 1e6);
    const timestamp = { seconds, microseconds: this.#microseconds % 1e6 };
    const text = JSON.stringify('event' in message ? { ...message, timestamp } : message);
    this.qmp.send(Buffer.from(`${text}\r\n`));
  }
}

/** As bdrv_drain_all() and bdrv_flush_all() leave it. */
function drained(guest: Guest): boolean {
  if (!guest.isIdle) return false;
  if (guest.isFlushed) return true;
  guest.flushAll();
  // Answered later, unless nobody is there to answer.
  return guest.isIdle;
}
