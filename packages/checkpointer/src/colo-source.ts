import type { CheckpointSignal, CheckpointSource } from './ports.js';

/**
 * An event of the secondary's QMP socket, in the order of its bytes. `atUs` is QEMU's timestamp in
 * microseconds, if the monitor passes it on.
 */
export type ColoMonitorEvent =
  | { readonly kind: 'stop'; readonly atUs?: number }
  | { readonly kind: 'resume'; readonly atUs?: number }
  | { readonly kind: 'colo-exit'; readonly reason: string }
  | { readonly kind: 'end'; readonly error: Error | undefined };

/** QEMU's answer to query-colo-status. */
export interface ColoModes {
  readonly mode: string;
  readonly lastMode: string;
}

/** The secondary's QMP socket. Callbacks and listeners are called in the order of its bytes. */
export interface ColoMonitor {
  /** @returns a function that unsubscribes */
  subscribe(listener: (event: ColoMonitorEvent) => void): () => void;
  /** Sends query-colo-status. */
  queryColoStatus(callback: (status: ColoModes | Error) => void): void;
  /** Sends query-status; the answer is its `status`. */
  queryRunState(callback: (state: string | Error) => void): void;
}

export interface ColoSourceOptions {
  /**
   * Whether any request waits for the replica. While none does, QEMU can't be waiting for the gate,
   * and an answer that is late is waited for. Left out: one always may.
   */
  readonly isHolding?: () => boolean;
}

interface Stop {
  readonly kind: 'stop';
  runState: string | undefined;
}

interface Resume {
  readonly kind: 'resume';
  status: ColoModes | undefined;
  /** A STOP came before the answer to this RESUME's query. */
  stoppedBeforeAnswer: boolean;
  /** It followed the STOP too soon for a checkpoint. */
  readonly isImmediate: boolean;
  /** After COLO_EXIT, which QEMU sends when it leaves COLO: a failover or a user's cont. */
  readonly isAfterExit: boolean;
  /** Runs until it is decided. */
  timer: NodeJS.Timeout | undefined;
}

/** What the STOP was that came between a RESUME and its answer. `unknown`: not yet answered. */
type StopBeforeAnswer = 'none' | 'failover' | 'ambiguous' | 'unknown';

/** A checkpoint exchanges messages with the primary between STOP and RESUME: it takes longer. */
const IMMEDIATE_US = 100;

/**
 * When QEMU stops a VM it drains the disks, and answers nothing until that is done
 * (migration/colo.c, system/cpus.c, do_vm_stop). If it stops the VM again before answering our
 * query about the previous RESUME, it waits for requests that the gate is holding, while the gate
 * waits for that answer: a deadlock. Answers may be late for other reasons, so we wait this long
 * before opening the gate, and on while the gate holds nothing: QEMU waits for something else then.
 */
const BLOCKED_MS = 250;

/**
 * The same, counted from the RESUME. QEMU 7.2 sends STOP before it drains; 10.0 and later drain the
 * devices first, so a STOP that waits for the gate is never seen. Without one, QEMU is more likely
 * to be slow than to be blocked, and a doubt forbids a failover until the next checkpoint.
 */
const SILENT_MS = 1000;

/**
 * Recognises COLO's checkpoints on a secondary. QEMU has no event for them: a checkpoint shows as
 * STOP and RESUME, and so do a user's stop and cont, and a failover (QEMU 7.2 and 10.0,
 * migration/colo.c). So each event is followed by a query, and decided when its answer arrives:
 *
 *     answers                                            RESUME was
 *     mode secondary, no STOP before                     COLO's start: a commit
 *     mode secondary, stopped as `colo`, or running      a checkpoint
 *     again before the STOP's query was answered
 *     mode secondary, RESUME within 100 µs of STOP       not one: a cont on a running guest
 *     mode secondary, stopped as anything else           in doubt: a user's cont, or a checkpoint
 *     (`paused`, `io-error` …)                           while a user has it stopped
 *     mode none, last mode secondary                     the failover
 *     the same, but a STOP that was not a user's         a checkpoint; the STOP belongs to the
 *     came before the answer                             failover
 *     the same, and it is unclear which RESUME was it    in doubt
 *     mode none otherwise                                not COLO's
 *     no answer, and the VM was stopped again            in doubt: see BLOCKED_MS
 *     no answer, and no STOP                             in doubt: see SILENT_MS
 *     no answer, and no request waits for the replica    waited for
 *     anything but the failover, after COLO_EXIT         not a checkpoint: QEMU had left COLO
 */
export class ColoSource implements CheckpointSource {
  readonly #pending: (Stop | Resume)[] = [];
  #lastStop: Stop | undefined;
  #stoppedAtUs = NaN;
  #isStopped = false;
  #hasExited = false;
  #hasEnded = false;
  #listener: ((signal: CheckpointSignal) => void) | undefined;

  readonly #isHolding: () => boolean;

  constructor(
    private readonly monitor: ColoMonitor,
    { isHolding = () => true }: ColoSourceOptions = {},
  ) {
    this.#isHolding = isHolding;
  }

  /** One listener at a time. */
  subscribe(listener: (signal: CheckpointSignal) => void): () => void {
    this.#listener = listener;
    const unsubscribe = this.monitor.subscribe((event) => this.#onEvent(event));
    return () => {
      unsubscribe();
      this.#pending.forEach(stopTimer);
      this.#listener = undefined;
    };
  }

  #onEvent(event: ColoMonitorEvent): void {
    if (this.#hasEnded) return;
    switch (event.kind) {
      case 'stop':
        this.#stopped(event.atUs);
        return;
      case 'resume':
        this.#resumed(event.atUs);
        return;
      case 'colo-exit':
        this.#hasExited = true;
        return;
      case 'end':
        this.#lose(`the secondary's QMP socket ended: ${event.error?.message ?? 'closed'}`);
    }
  }

  #stopped(atUs = NaN): void {
    this.#stoppedAtUs = atUs;
    this.#isStopped = true;
    const stop: Stop = { kind: 'stop', runState: undefined };
    for (const item of this.#pending) {
      if (item.kind !== 'resume' || item.status || item.stoppedBeforeAnswer) continue;
      item.stoppedBeforeAnswer = true;
      this.#waitFor(item, BLOCKED_MS);
    }
    this.#pending.push(stop);
    this.#emit({ kind: 'stop' });
    this.monitor.queryRunState((state) => {
      if (state instanceof Error) return this.#lose(`query-status failed: ${state.message}`);
      stop.runState = state;
      this.#decide();
    });
  }

  #resumed(atUs = NaN): void {
    const gapUs = atUs - this.#stoppedAtUs;
    this.#stoppedAtUs = NaN;
    this.#isStopped = false;
    const resume: Resume = {
      kind: 'resume',
      status: undefined,
      stoppedBeforeAnswer: false,
      isImmediate: gapUs >= 0 && gapUs < IMMEDIATE_US,
      isAfterExit: this.#hasExited,
      timer: undefined,
    };
    this.#pending.push(resume);
    this.#waitFor(resume, SILENT_MS);
    this.#emit({ kind: 'seal' });
    this.monitor.queryColoStatus((status) => {
      if (status instanceof Error) return this.#lose(`query-colo-status failed: ${status.message}`);
      resume.status = status;
      if (this.#pending.includes(resume)) this.#decide();
      else this.#checkLateAnswer(resume);
    });
  }

  #waitFor(resume: Resume, ms: number): void {
    stopTimer(resume);
    // A process that was halted for so long has the answer in its socket: it reads that first.
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (resume.timer !== timer) return;
        if (this.#isHolding()) this.#stopWaitingFor(resume);
        else this.#waitFor(resume, BLOCKED_MS);
      });
    }, ms).unref();
    resume.timer = timer;
  }

  /** What `resume` was, and all that came before it, is unknown. */
  #stopWaitingFor(resume: Resume): void {
    const unanswered = this.#pending.splice(0, this.#pending.indexOf(resume) + 1);
    unanswered.forEach(stopTimer);
    this.#lastStop = undefined;
    this.#emit({
      kind: 'doubt',
      reason: resume.stoppedBeforeAnswer
        ? 'the secondary VM was stopped again before QEMU answered why it had resumed'
        : `QEMU did not answer within ${SILENT_MS} ms why the secondary VM had resumed`,
    });
    if (this.#isUndecided()) this.#sealAgain();
    for (const item of unanswered) if (item.kind === 'resume') this.#checkLateAnswer(item);
    this.#decide();
  }

  /** A late answer that reports the failover: the replica is in doubt, but must learn of it. */
  #checkLateAnswer({ status }: Resume): void {
    if (status && hasFailedOver(status) && !this.#isUndecided()) this.#end({ kind: 'failover' });
  }

  #isUndecided(): boolean {
    return this.#pending.some(({ kind }) => kind === 'resume');
  }

  /** Decides, in order, everything whose answer has arrived. */
  #decide(): void {
    while (!this.#hasEnded && this.#decideNext());
  }

  #decideNext(): boolean {
    const item = this.#pending[0];
    if (!item) return false;
    if (item.kind === 'stop') {
      if (item.runState === undefined) return false;
      this.#lastStop = item;
    } else {
      if (!item.status) return false;
      const stop = this.#stopBeforeAnswer(item);
      if (stop === 'unknown') return false;
      if (this.#classify(item, item.status, stop) === 'ended') return false;
    }
    this.#pending.shift();
    stopTimer(item);
    // While another RESUME is undecided, the gate stays closed.
    if (item.kind === 'resume' && this.#isUndecided()) this.#sealAgain();
    return true;
  }

  /** What the STOP was that came before the answer, if the answer reports a failover. */
  #stopBeforeAnswer({ stoppedBeforeAnswer }: Resume): StopBeforeAnswer {
    if (!stoppedBeforeAnswer) return 'none';
    const at = this.#pending.findIndex((later) => later.kind === 'stop');
    const stop = this.#pending[at];
    if (stop?.kind !== 'stop' || stop.runState === undefined) return 'unknown';
    if (stop.runState !== 'paused') return 'failover';
    // It resumed before the answer, so `paused` may belong to a later STOP.
    const isContinued = this.#pending.slice(at).some((later) => later.kind === 'resume');
    return isContinued ? 'ambiguous' : 'none';
  }

  #classify(
    { isImmediate, isAfterExit }: Resume,
    status: ColoModes,
    stop: Exclude<StopBeforeAnswer, 'unknown'>,
  ): 'ended' | 'goes-on' {
    const isInColo = status.mode === 'secondary';
    const isFailover = hasFailedOver(status);
    const stoppedIn = this.#lastStop?.runState;
    this.#lastStop = undefined;
    if (isFailover && stop === 'none') {
      this.#end({ kind: 'failover' });
      return 'ended';
    }
    if ((!isInColo && !isFailover) || isImmediate || isAfterExit) {
      this.#emit({ kind: 'abort' });
    } else if (isFailover && (stop === 'ambiguous' || stoppedIn === 'running')) {
      this.#emit({ kind: 'doubt', reason: 'a failover, but it is unknown which RESUME it was' });
    } else if (stoppedIn !== undefined && stoppedIn !== 'colo' && stoppedIn !== 'running') {
      const reason = `the secondary VM was stopped (${stoppedIn}) and continued by a user`;
      this.#emit({ kind: 'doubt', reason });
    } else {
      this.#emit({ kind: 'commit' });
    }
    return 'goes-on';
  }

  #sealAgain(): void {
    this.#emit({ kind: 'seal', isStopped: this.#isStopped });
  }

  #lose(reason: string): void {
    this.#end({ kind: 'lost', reason });
  }

  #end(signal: CheckpointSignal): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#pending.forEach(stopTimer);
    this.#emit(signal);
  }

  #emit(signal: CheckpointSignal): void {
    this.#listener?.(signal);
  }
}

function stopTimer(item: Stop | Resume): void {
  if (item.kind === 'stop') return;
  clearTimeout(item.timer);
  item.timer = undefined;
}

function hasFailedOver({ mode, lastMode }: ColoModes): boolean {
  return mode === 'none' && lastMode === 'secondary';
}
