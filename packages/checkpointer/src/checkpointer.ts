import { isolateListener } from './isolate-listener.js';
import type { CheckpointSignal, CheckpointSource, CommitSummary, ReplicaPort } from './ports.js';

/** What the checkpointer has done, for logs, metrics and status pages. Times in milliseconds. */
export type CheckpointEvent =
  | ({
      readonly kind: 'commit';
      readonly gateClosedMs: number;
      /** From the secondary's STOP to the commit; null for the first one, when COLO has started. */
      readonly checkpointMs: number | null;
      /** Good for a failover only: see `Checkpointer`. */
      readonly provisional: boolean;
    } & CommitSummary)
  | ({ readonly kind: 'failover'; readonly gateClosedMs: number } & CommitSummary)
  | { readonly kind: 'abort'; readonly gateClosedMs: number }
  | { readonly kind: 'doubt'; readonly reason: string }
  | { readonly kind: 'diverged'; readonly reason: string };

/** Options of `Checkpointer`. */
export interface CheckpointerOptions {
  readonly source: CheckpointSource;
  readonly replica: ReplicaPort;
  /** The time in milliseconds, monotonic. */
  readonly now: () => number;
  /** What it throws becomes an uncaught exception. */
  readonly onEvent?: (event: CheckpointEvent) => void;
}

/**
 * Turns the signals of a source into commits, and refuses those that would be wrong (invariants I2,
 * I3 and I5).
 *
 *     signal     link is up   link lost before   link lost cleanly    in doubt
 *                             the last STOP      since the last STOP
 *     commit     commit       outdated (*)       commit provisionally commit; ends the doubt
 *     failover   fail over    fail over          fail over            diverge
 *
 *     (*) provisionally, if the source says that the primary stood still with all its writes here
 *
 * A replica that is outdated has diverged, and what it has committed is of no use either. If the
 * replica refuses a step (it has diverged already, or was never protected), it is diverged.
 *
 * The provisional commit covers a primary that dies in the last milliseconds of a checkpoint. It
 * had stopped and flushed, and its state had been sent; the secondary continues from that state, so
 * the closing epoch is complete and must count. If the link breaks at that moment while the primary
 * lives, the secondary sees the same, and a write may be missing that QEMU has swallowed. But then
 * the primary continues to another checkpoint. So a provisional commit is valid for a failover, and
 * another commit after it is a divergence. COLO's primary says nothing, so the link has to show it;
 * an engine whose primary has said before that it stood still passes that on.
 *
 * @example
 * const source = new ExternalSource();
 * new Checkpointer({ source, replica, now: () => performance.now() }).start();
 * source.seal();
 * source.commit();
 */
export class Checkpointer {
  readonly #source: CheckpointSource;
  readonly #replica: ReplicaPort;
  readonly #now: () => number;
  readonly #onEvent: (event: CheckpointEvent) => void;
  #unsubscribe: (() => void) | undefined;
  #sealedAt = 0;
  #stoppedAt: number | undefined;
  /** The link was up at the last STOP, and nothing was committed since: one provisional commit. */
  #wasWholeAtStop = false;
  #wasProvisional = false;
  #doubt: string | undefined;
  #hasEnded = false;

  constructor(options: CheckpointerOptions) {
    this.#source = options.source;
    this.#replica = options.replica;
    this.#now = options.now;
    this.#onEvent = isolateListener(options.onEvent);
  }

  /** Begins to listen. Earlier signals are not replayed. */
  start(): void {
    this.#unsubscribe ??= this.#source.subscribe((signal) => this.#handle(signal));
  }

  /** Stops listening. A closed gate stays closed; the caller decides when to open it. */
  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  #handle(signal: CheckpointSignal): void {
    if (this.#hasEnded) return;
    switch (signal.kind) {
      case 'stop':
        this.#wasWholeAtStop = this.#replica.link.loss === undefined;
        this.#stoppedAt = this.#now();
        this.#replica.secondaryRuns(false);
        return;
      case 'seal':
        if (!this.#replica.gate.isClosed) this.#sealedAt = this.#now();
        this.#replica.gate.close();
        this.#replica.secondaryRuns(signal.isStopped !== true);
        return;
      case 'commit':
        this.#commit(signal.primaryStoodWhole === true);
        break;
      case 'abort':
        this.#onEvent({ kind: 'abort', gateClosedMs: this.#gateClosedMs() });
        break;
      case 'doubt':
        this.#doubt = signal.reason;
        this.#onEvent({ kind: 'doubt', reason: signal.reason });
        break;
      case 'failover':
        this.#failOver();
        break;
      case 'lost':
        this.#diverge(signal.reason);
        break;
    }
    this.#replica.gate.open();
  }

  #commit(primaryStoodWhole: boolean): void {
    const { loss, lossWasClean, isConnected } = this.#replica.link;
    const isProvisional = loss !== undefined;
    const isWhole = primaryStoodWhole || (this.#wasWholeAtStop && lossWasClean);
    if (isProvisional && (!isWhole || this.#wasProvisional)) {
      this.#outdate(`a checkpoint followed although writes may be missing: ${loss}`);
      return;
    }
    if (!isProvisional && !isConnected) {
      this.#outdate('a checkpoint was made, but no primary is connected to this replica');
      return;
    }
    const summary = this.#attempt(() => this.#replica.commit());
    if (!summary) return;
    this.#wasWholeAtStop = false;
    this.#wasProvisional = isProvisional;
    this.#doubt = undefined;
    const times = { gateClosedMs: this.#gateClosedMs(), checkpointMs: this.#checkpointMs() };
    this.#onEvent({ kind: 'commit', provisional: isProvisional, ...times, ...summary });
  }

  #failOver(): void {
    if (this.#doubt !== undefined) {
      this.#diverge(`failover while the last checkpoint is unknown: ${this.#doubt}`);
      return;
    }
    const summary = this.#attempt(() => this.#replica.failOver());
    if (!summary) return;
    this.#hasEnded = true;
    this.#onEvent({ kind: 'failover', gateClosedMs: this.#gateClosedMs(), ...summary });
  }

  /**
   * If the replica refuses, for example because it has diverged, the gate must open all the same.
   */
  #attempt(step: () => CommitSummary): CommitSummary | undefined {
    try {
      return step();
    } catch (error) {
      this.#diverge(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #diverge(reason: string): void {
    this.#replica.diverge(reason);
    this.#end(reason);
  }

  /** A checkpoint needs a primary that lives: it has more than this replica. */
  #outdate(reason: string): void {
    this.#replica.outdate(reason);
    this.#end(reason);
  }

  #end(reason: string): void {
    this.#hasEnded = true;
    this.#onEvent({ kind: 'diverged', reason });
  }

  #gateClosedMs(): number {
    return this.#now() - this.#sealedAt;
  }

  /** Consumes the STOP: the next checkpoint has its own. */
  #checkpointMs(): number | null {
    const stoppedAt = this.#stoppedAt;
    this.#stoppedAt = undefined;
    return stoppedAt === undefined ? null : this.#now() - stoppedAt;
  }
}
