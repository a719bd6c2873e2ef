import type { CheckpointSignal, CheckpointSource } from './ports.js';

/** What a secondary's QMP socket tells, in the order of its bytes. */
export type ColoMonitorEvent =
  | { readonly kind: 'stop'; readonly atUs?: number }
  /** `atUs`: QEMU's own timestamp, in microseconds, where the monitor passes it on. */
  | { readonly kind: 'resume'; readonly atUs?: number }
  | { readonly kind: 'colo-exit'; readonly reason: string }
  | { readonly kind: 'end'; readonly error: Error | undefined };

export interface ColoModes {
  readonly mode: string;
  readonly lastMode: string;
}

/** The secondary's QMP socket. Callbacks and listeners run in the order of the bytes on that socket. */
export interface ColoMonitor {
  subscribe(listener: (event: ColoMonitorEvent) => void): () => void;
  queryColoStatus(callback: (status: ColoModes | Error) => void): void;
  queryRunState(callback: (state: string | Error) => void): void;
}

interface Stop {
  readonly kind: 'stop';
  runState: string | undefined;
}

interface Resume {
  readonly kind: 'resume';
  status: ColoModes | undefined;
  /** A STOP came before the answer about this RESUME. */
  stoppedBeforeAnswer: boolean;
  /** So soon after STOP that nothing can have happened in between. */
  readonly isImmediate: boolean;
  /** COLO had ended: the failover, or somebody's cont, but no checkpoint (QEMU says COLO_EXIT when its loop is left). */
  readonly isAfterExit: boolean;
}

/** What followed a RESUME before its answer came. */
type Behind = 'nothing' | 'failover' | 'ambiguous' | 'unknown';

/** A checkpoint takes messages to the primary and back between STOP and RESUME; vm_start() on a running VM none. */
const IMMEDIATE_US = 100;

/**
 * QEMU drains a VM's disks when it stops the VM, and answers nothing meanwhile (QEMU migration/colo.c, softmmu/cpus.c,
 * do_vm_stop). Where a STOP comes before the answer about the RESUME before it, requests behind the gate that wait for the
 * answer, or for the one about that STOP, would so keep it from coming. This long they may take for another reason.
 */
const BLOCKED_MS = 250;

/**
 * Recognises COLO's checkpoints on a secondary. QEMU has no event for them: a checkpoint shows as STOP and RESUME, and
 * so do a user's stop and cont, and a failover (QEMU 7.2 and 10.0, migration/colo.c). So each event is followed by a
 * question, and decided when its answer is there:
 *
 *     answers                                                      RESUME was
 *     mode secondary, no STOP before                               COLO's start
 *     mode secondary, stopped as `colo`, or running again before   a checkpoint
 *     the question about the STOP was answered
 *     mode secondary, STOP and RESUME in the same breath           not one: a cont on a running guest
 *     mode secondary, stopped otherwise (`paused`, `io-error` …)   in doubt: a user's cont, or a checkpoint under a
 *                                                                  user's stop
 *     mode none, last mode secondary                               the failover
 *     the same, but a STOP other than a user's before the answer   a checkpoint; that STOP belongs to the failover
 *     the same, and it can't be told which RESUME was which        in doubt
 *     mode none otherwise                                          not COLO's
 *     none, and the VM was stopped again                           in doubt: see BLOCKED_MS
 *     anything but the failover, after COLO_EXIT                   not a checkpoint: COLO's loop had been left
 */
export class ColoSource implements CheckpointSource {
  readonly #pending: (Stop | Resume)[] = [];
  #lastStop: Stop | undefined;
  #stoppedAtUs = NaN;
  #hasExited = false;
  #hasEnded = false;
  #blocked: NodeJS.Timeout | undefined;
  #listener: ((signal: CheckpointSignal) => void) | undefined;

  constructor(private readonly monitor: ColoMonitor) {}

  /** One listener at a time. */
  subscribe(listener: (signal: CheckpointSignal) => void): () => void {
    this.#listener = listener;
    const unsubscribe = this.monitor.subscribe((event) => this.#hear(event));
    return () => {
      unsubscribe();
      this.#unblock();
      this.#listener = undefined;
    };
  }

  #hear(event: ColoMonitorEvent): void {
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
    const stop: Stop = { kind: 'stop', runState: undefined };
    for (const item of this.#pending) {
      if (item.kind !== 'resume' || item.status) continue;
      item.stoppedBeforeAnswer = true;
      this.#blocked ??= setTimeout(this.#giveUp, BLOCKED_MS).unref();
    }
    this.#pending.push(stop);
    this.#say({ kind: 'stop' });
    this.monitor.queryRunState((state) => {
      if (state instanceof Error) return this.#lose(`query-status failed: ${state.message}`);
      stop.runState = state;
      this.#decide();
    });
  }

  #resumed(atUs = NaN): void {
    const gapUs = atUs - this.#stoppedAtUs;
    this.#stoppedAtUs = NaN;
    const resume: Resume = {
      kind: 'resume',
      status: undefined,
      stoppedBeforeAnswer: false,
      isImmediate: gapUs >= 0 && gapUs < IMMEDIATE_US,
      isAfterExit: this.#hasExited,
    };
    this.#pending.push(resume);
    this.#say({ kind: 'seal' });
    this.monitor.queryColoStatus((status) => {
      if (status instanceof Error) return this.#lose(`query-colo-status failed: ${status.message}`);
      resume.status = status;
      if (this.#pending.includes(resume)) this.#decide();
      else this.#heedGivenUp(resume);
    });
  }

  /** What the RESUMEs before the last STOP were is not waited for any longer. */
  readonly #giveUp = (): void => {
    this.#blocked = undefined;
    const given = this.#pending.splice(0, this.#pending.findLastIndex(isBlocked) + 1);
    this.#lastStop = undefined;
    this.#say({
      kind: 'doubt',
      reason: 'the secondary VM stopped again before QEMU said why it ran',
    });
    if (this.#isUndecided()) this.#say({ kind: 'seal' });
    for (const item of given) if (item.kind === 'resume') this.#heedGivenUp(item);
    this.#decide();
  };

  /** It was the failover: in doubt the replica can't follow, and must not wait for ever. */
  #heedGivenUp({ status }: Resume): void {
    if (status && hasFailedOver(status) && !this.#isUndecided()) this.#end({ kind: 'failover' });
  }

  #isUndecided(): boolean {
    return this.#pending.some(({ kind }) => kind === 'resume');
  }

  /** Works off, in order, all that can be decided by now. */
  #decide(): void {
    while (!this.#hasEnded && this.#decideNext());
    if (!this.#pending.some(isBlocked)) this.#unblock();
  }

  #decideNext(): boolean {
    const item = this.#pending[0];
    if (!item) return false;
    if (item.kind === 'stop') {
      if (item.runState === undefined) return false;
      this.#lastStop = item;
    } else {
      if (!item.status) return false;
      const behind = this.#behind(item);
      if (behind === 'unknown') return false;
      if (this.#judge(item, item.status, behind) === 'ended') return false;
    }
    this.#pending.shift();
    // What is still undecided keeps the gate closed.
    if (item.kind === 'resume' && this.#isUndecided()) this.#say({ kind: 'seal' });
    return true;
  }

  /** What a STOP that came before the answer about this RESUME was, if the answer says that there was a failover. */
  #behind({ stoppedBeforeAnswer }: Resume): Behind {
    if (!stoppedBeforeAnswer) return 'nothing';
    const at = this.#pending.findIndex((later) => later.kind === 'stop');
    const stop = this.#pending[at];
    if (stop?.kind !== 'stop' || stop.runState === undefined) return 'unknown';
    if (stop.runState !== 'paused') return 'failover';
    // Continued before the answer: `paused` may tell of a later STOP than this one.
    const isContinued = this.#pending.slice(at).some((later) => later.kind === 'resume');
    return isContinued ? 'ambiguous' : 'nothing';
  }

  #judge(
    { isImmediate, isAfterExit }: Resume,
    status: ColoModes,
    behind: Exclude<Behind, 'unknown'>,
  ): 'ended' | 'goes-on' {
    const isInColo = status.mode === 'secondary';
    const isFailover = hasFailedOver(status);
    const stoppedIn = this.#lastStop?.runState;
    this.#lastStop = undefined;
    if (isFailover && behind === 'nothing') {
      this.#end({ kind: 'failover' });
      return 'ended';
    }
    if ((!isInColo && !isFailover) || isImmediate || isAfterExit) {
      this.#say({ kind: 'abort' });
    } else if (isFailover && (behind === 'ambiguous' || stoppedIn === 'running')) {
      this.#say({ kind: 'doubt', reason: 'a failover, and which RESUME it was is unknown' });
    } else if (stoppedIn !== undefined && stoppedIn !== 'colo' && stoppedIn !== 'running') {
      const reason = `the secondary VM was stopped (${stoppedIn}) and continued by somebody`;
      this.#say({ kind: 'doubt', reason });
    } else {
      this.#say({ kind: 'commit' });
    }
    return 'goes-on';
  }

  #unblock(): void {
    clearTimeout(this.#blocked);
    this.#blocked = undefined;
  }

  #lose(reason: string): void {
    this.#end({ kind: 'lost', reason });
  }

  #end(signal: CheckpointSignal): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#unblock();
    this.#say(signal);
  }

  #say(signal: CheckpointSignal): void {
    this.#listener?.(signal);
  }
}

/** Of what is pending: QEMU may have begun to drain its disks, and to answer nothing more. */
function isBlocked(item: Stop | Resume): boolean {
  return item.kind === 'resume' && item.stoppedBeforeAnswer;
}

function hasFailedOver({ mode, lastMode }: ColoModes): boolean {
  return mode === 'none' && lastMode === 'secondary';
}
