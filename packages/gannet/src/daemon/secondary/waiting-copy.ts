import type { Replica, ReplicaEvent } from '@gannet/replicator';
import type { QmpClient } from 'qemu-qmp-client';
import type { SecondaryStatus } from '@gannet/contract';
import type { History } from '../history.js';
import { reportTrouble } from '../role-context.js';
import { memoryLeft, type MemorySample, withSample } from './memory-left.js';

const SAMPLE_MS = 1000;
const STOP_TIMEOUT_MS = 10_000;
/** Bounds what a guest writes between the command and its end: once its queue in that time. */
const ANSWER_MS = 100;
/**
 * Of `hard`: what a guest may write beyond it until `stop` is carried out. A monitor that hangs
 * does not stop a guest with I/O threads, which would go on for as long as it is answered.
 */
const RESERVE = 1 / 4;

/** The part of a replica that is of interest here. */
export type WaitingReplica = Pick<
  Replica,
  | 'answerHeld'
  | 'areWritesHeld'
  | 'bufferBytes'
  | 'epoch'
  | 'isLastCommitKept'
  | 'isWaiting'
  | 'lastCommitKept'
  | 'leave'
  | 'link'
  | 'memory'
  | 'on'
  | 'spilledBytes'
  | 'state'
>;

export interface WaitingCopyOptions {
  readonly replica: WaitingReplica;
  readonly history: Pick<History, 'add'>;
  /** The secondary's QEMU; none where checkpoints come by call. */
  readonly qmp: () => Pick<QmpClient, 'execute'> | undefined;
}

/**
 * Looks after a replica that has lost its primary and waits for a failover: it may be the only copy
 * of the VM. Where its memory is full, the guest is stopped, and a failover continues it; where the
 * daemon has to end, the last commit is left in the bases.
 */
export class WaitingCopy {
  #since: string | undefined;
  #samples: readonly MemorySample[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isGuestStopped = false;
  #isStopping = false;
  #hasFailed = false;

  constructor(private readonly options: WaitingCopyOptions) {
    options.replica.on((event) => this.#onReplica(event));
  }

  /** For the status; null unless it waits. */
  get view(): NonNullable<SecondaryStatus['waiting']> | null {
    const { replica } = this.options;
    if (!replica.isWaiting || this.#since === undefined) return null;
    const { onFull, spillBytes = 0, ...limits } = replica.memory;
    const room = { ...limits, spillBytes: onFull === 'spill' ? spillBytes : 0 };
    const isFull = replica.areWritesHeld || this.#isGuestStopped;
    return {
      since: this.#since,
      guest: isFull ? 'stopped' : 'runs',
      isLastCommitKept: replica.isLastCommitKept,
      ...(isFull ? { softSeconds: 0, hardSeconds: 0 } : memoryLeft(this.#samples, room)),
    };
  }

  #onReplica(event: ReplicaEvent): void {
    if (event.kind === 'link-lost') this.#begin();
    else if (event.kind === 'writes-held') void this.#stopGuest();
    else if (event.kind === 'state' && event.to !== 'protected') clearInterval(this.#timer);
  }

  /**
   * The daemon is asked to end: leaves the last commit in the bases, if it may be the only copy.
   * What the guest has done since is in the memory of its QEMU, and of no use without this daemon.
   */
  async leave(): Promise<void> {
    const { replica, history } = this.options;
    const isAlone = replica.isWaiting || replica.state === 'diverged';
    if (!isAlone || replica.link.loss === undefined || replica.epoch === 0) return;
    await this.#stopGuest();
    try {
      await replica.lastCommitKept();
    } catch {
      // The primary has continued: there is nothing to keep.
      return;
    }
    history.add('copy-left', { epoch: replica.epoch });
  }

  /** From now on it is this daemon that cuts the primary off. */
  close(): void {
    clearInterval(this.#timer);
    this.options.replica.leave();
  }

  #begin(): void {
    this.#since = new Date().toISOString();
    this.#samples = [];
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS).unref();
    this.#look();
  }

  /** In memory. */
  get #bytes(): number {
    const { primary, secondary, committed } = this.options.replica.bufferBytes;
    return primary + secondary + committed;
  }

  #look(): void {
    const { replica } = this.options;
    const bytes = this.#bytes + replica.spilledBytes;
    this.#samples = withSample(this.#samples, { atMs: performance.now(), bytes });
    // It did not answer the last time.
    if (replica.areWritesHeld) void this.#stopGuest();
  }

  /**
   * Its writes are answered when it stops: it waits as a paused VM, not for a disk that hangs.
   * QEMU 10.0 and later send STOP after the last answer (7.2 before it), and respond to nothing
   * until then.
   */
  async #stopGuest(): Promise<void> {
    const { replica } = this.options;
    const qmp = this.options.qmp();
    if (!qmp || this.#isStopping || this.#isGuestStopped) return;
    this.#isStopping = true;
    const answering = setInterval(() => {
      if (this.#bytes <= (1 + RESERVE) * replica.memory.hardBytes) replica.answerHeld();
    }, ANSWER_MS);
    try {
      await qmp.execute('stop', undefined, { timeoutMs: STOP_TIMEOUT_MS });
      this.#isGuestStopped = true;
    } catch (error) {
      if (!this.#hasFailed) reportTrouble(this.options.history, error);
      this.#hasFailed = true;
    } finally {
      clearInterval(answering);
      this.#isStopping = false;
    }
  }
}
