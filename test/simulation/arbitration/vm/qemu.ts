// A QEMU of the simulation: its guest, what COLO has made of it, and its QMP socket, behind which a
// FakeQemu answers. What is between two QEMUs is in colo.ts.

import { Duplex } from 'node:stream';
import { FakeQemu, type FakeReply, type FakeRequest } from 'qemu-qmp-client/testing';
import { type Process, currentScheduler } from '../scheduler.js';

/** One end of a connection on a host; what is written to it runs in the process of the other. */
class PipeEnd extends Duplex {
  peer: PipeEnd | undefined;

  constructor(readonly process: Process) {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    // Data is pushed by the peer's writes.
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#toPeer((peer) => peer.push(chunk));
    done();
  }

  override _final(done: () => void): void {
    this.#toPeer((peer) => peer.push(null));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#toPeer((peer) => peer.push(null));
    done(error);
  }

  #toPeer(tell: (peer: PipeEnd) => unknown): void {
    const { peer } = this;
    if (!peer) return;
    currentScheduler().after(peer.process, 0, () => {
      if (!peer.destroyed && !peer.readableEnded) tell(peer);
    });
  }
}

/**
 * One write that a guest has made durable, after all those before it. `isAlone`: made after COLO
 * had ended, so that no replica can have it.
 */
export interface Written {
  readonly number: number;
  readonly before: Written | undefined;
  readonly isAlone: boolean;
}

export type RunStatus = 'inmigrate' | 'running' | 'paused' | 'colo' | 'io-error';

/**
 * How its own disk fails: it takes no write, which the guest does not notice while a replica takes
 * it (a quorum); or QEMU stops the guest at the first write (a mirror, `werror=stop`).
 */
export type DiskFault = 'swallows' | 'stops';

/** How a QEMU hangs: on its links, until they are cut, or for good. */
export type Hang = 'links' | 'hard';

/** What the world does when QEMU is asked for it. */
export interface QemuHandlers {
  cutLinks(qemu: SimulatedQemu): void;
  loseHeartbeat(qemu: SimulatedQemu): boolean;
  migrate(qemu: SimulatedQemu): void;
  /** Resolves when the disks are copied, or with what has failed. */
  seed(qemu: SimulatedQemu): Promise<string | undefined>;
  unlink(qemu: SimulatedQemu): void;
}

export class SimulatedQemu {
  status: RunStatus;
  mode: 'none' | 'primary' | 'secondary' = 'none';
  lastMode: 'none' | 'primary' | 'secondary' = 'none';
  reason: 'none' | 'request' | 'error' = 'none';
  migration: 'none' | 'active' | 'colo' | 'failed' | 'completed' = 'none';
  /** The replica is linked to its disks. */
  isLinked = false;
  hang: Hang | undefined;
  diskFault: DiskFault | undefined;
  /** Its own disk has failed while the guest ran in COLO. */
  hadDiskFault = false;
  /** Its daemon has said that it is protected. */
  wasProtected = false;
  /** The daemon that was connected when it ended. */
  endSeenBy: Process | undefined;
  /** Its daemon has said that the guest can't go on here. */
  hasFailed = false;
  /** Of a secondary: the primary's daemon has said that it is protected by it. */
  hasProtected = false;
  /** Since when its disk lacks a write that the guest was told is done. */
  lacksSinceMs: number | undefined;
  /** Since when it is not fit to run a guest. */
  unfitSinceMs: number | undefined;
  readonly startedMs: number;
  readonly #fake = new FakeQemu();
  #waiting: (() => void)[] = [];

  constructor(
    readonly pid: number,
    readonly process: Process,
    /** What its guest has on its disks and in its memory. */
    public written: Written | undefined,
    isIncoming: boolean,
    private readonly handlers: QemuHandlers,
  ) {
    this.startedMs = currentScheduler().nowMs;
    this.status = isIncoming ? 'inmigrate' : 'running';
    this.#script();
    process.onEnd(() => void this.#fake.drop());
  }

  get isAlive(): boolean {
    return !this.process.isDead;
  }

  /** Whether its guest's programs run at this moment. */
  get doesRun(): boolean {
    return this.doesRespond && this.status === 'running';
  }

  get doesRespond(): boolean {
    return this.isAlive && this.hang === undefined && this.process.haltedAtMs === undefined;
  }

  /** The guest and its monitor stand still. */
  hangs(how: Hang): void {
    this.hang = how;
    this.unfitSinceMs ??= currentScheduler().nowMs;
  }

  freed(): void {
    this.hang = undefined;
    this.unfitSinceMs = undefined;
    for (const go of this.#waiting.splice(0)) currentScheduler().after(this.process, 0, go);
  }

  /** A daemon connects: net.connect() of its process. */
  connect(daemon: Process): Duplex {
    const ours = new PipeEnd(this.process);
    const theirs = new PipeEnd(daemon);
    ours.peer = theirs;
    theirs.peer = ours;
    const time = currentScheduler();
    // What has ended runs no more, and its end of the connection neither.
    daemon.onEnd(() => {
      time.after(this.process, 0, () => {
        if (!ours.destroyed && !ours.readableEnded) ours.push(null);
      });
    });
    // The kernel accepts, whatever QEMU does.
    time.after(daemon, 0, () => theirs.emit('connect'));
    const accept = (): void => {
      if (this.hang !== undefined) this.#waiting.push(accept);
      else this.#fake.accept(ours);
    };
    time.after(this.process, 0, accept);
    return theirs;
  }

  stopped(status: 'paused' | 'colo'): void {
    this.status = status;
    this.#emit('STOP');
  }

  resumed(): void {
    this.status = 'running';
    this.#emit('RESUME');
  }

  /** Its monitor hangs up on everybody. */
  hangsUp(): void {
    currentScheduler().after(this.process, 0, () => void this.#fake.drop());
  }

  /** What the guest does then is up to the guest: it may run on. */
  panics(): void {
    this.#emit('GUEST_PANICKED', { action: 'run' });
  }

  /** The guest has shut itself down; with -no-shutdown, its QEMU stays. */
  shutsDown(): void {
    this.stopped('paused');
    this.#emit('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
  }

  /**
   * The guest writes, and its own disk takes nothing. Without a replica it is told so, and tries
   * later.
   *
   * @returns whether the write is done
   */
  writesToBadDisk(hasReplica: boolean): boolean {
    if (!hasReplica) return false;
    this.hadDiskFault = true;
    if (this.diskFault === 'swallows') {
      this.lacksSinceMs ??= currentScheduler().nowMs;
      const sector = { 'sector-num': 0, 'sectors-count': 1 };
      const error = { error: 'simulated' };
      this.#emit('QUORUM_REPORT_BAD', { type: 'write', 'node-name': 'own', ...error, ...sector });
      return true;
    }
    this.status = 'io-error';
    this.#emit('STOP');
    const fields = { device: '', 'node-name': 'own', nospace: false, reason: 'simulated' };
    this.#emit('BLOCK_IO_ERROR', { operation: 'write', action: 'stop', ...fields });
    return false;
  }

  coloExited(reason: 'request' | 'error'): void {
    this.reason = reason;
    this.#emit('COLO_EXIT', { mode: this.mode, reason });
  }

  linkFailed(): void {
    const sector = { 'sector-num': 0, 'sectors-count': 1 };
    this.#emit('QUORUM_REPORT_BAD', { type: 'write', 'node-name': 'replica', ...sector });
  }

  #emit(event: string, data?: object): void {
    currentScheduler().after(this.process, 0, () => this.#fake.emit(event, data));
  }

  #on(command: string, handle: (request: FakeRequest) => FakeReply | Promise<FakeReply>): void {
    this.#fake.on(command, async (request) => {
      // A main loop that hangs answers later; what is out-of-band does not need it.
      while (this.hang !== undefined && !request.oob) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      return handle(request);
    });
  }

  #reply(command: string, value: () => unknown): void {
    this.#on(command, () => ({ return: value() }));
  }

  #script(): void {
    const { handlers } = this;
    this.#reply('query-status', () => ({
      status: this.status,
      running: this.status === 'running',
    }));
    this.#reply('query-colo-status', () => ({
      ...{ mode: this.mode, 'last-mode': this.lastMode, reason: this.reason },
    }));
    this.#reply('query-migrate', () => ({ status: this.migration }));
    this.#reply('query-yank', () => (this.mode === 'none' ? [] : [{ type: 'migration' }]));
    this.#reply('query-migrate-capabilities', () => []);
    this.#reply('migrate-set-capabilities', () => ({}));
    this.#reply('migrate-set-parameters', () => ({}));
    this.#reply('stop', () => {
      if (this.status === 'running') this.stopped('paused');
      return {};
    });
    this.#on('cont', () => {
      if (this.status === 'inmigrate') return refused('it waits for a migration');
      if (this.status !== 'running') this.resumed();
      return { return: {} };
    });
    this.#reply('yank', () => {
      if (this.hang === 'links') this.freed();
      handlers.cutLinks(this);
      return {};
    });
    this.#on('x-colo-lost-heartbeat', () =>
      handlers.loseHeartbeat(this) ? { return: {} } : refused('it is not in COLO'),
    );
    this.#reply('migrate', () => {
      handlers.migrate(this);
      return {};
    });
    this.#on('x-sim-seed', async () => {
      const failure = await handlers.seed(this);
      return failure === undefined ? { return: {} } : refused(failure);
    });
    this.#reply('x-sim-unlink', () => {
      handlers.unlink(this);
      return {};
    });
    this.#reply('x-sim-linked', () => this.isLinked);
  }
}

function refused(desc: string): FakeReply {
  return { error: { class: 'GenericError', desc } };
}
