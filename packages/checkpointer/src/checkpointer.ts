import type { CheckpointSignal, CheckpointSource, CommitSummary, ReplicaPort } from './ports.js';

/** What has happened, for logs, metrics and people. Times in milliseconds. */
export type CheckpointEvent =
  | ({
      readonly kind: 'commit';
      readonly gateClosedMs: number;
      /** From the secondary's STOP until here; null where COLO has just started. */
      readonly checkpointMs: number | null;
      readonly provisional: boolean;
    } & CommitSummary)
  | ({ readonly kind: 'failover'; readonly gateClosedMs: number } & CommitSummary)
  | { readonly kind: 'abort'; readonly gateClosedMs: number }
  | { readonly kind: 'doubt'; readonly reason: string }
  | { readonly kind: 'diverged'; readonly reason: string };

export interface CheckpointerOptions {
  readonly source: CheckpointSource;
  readonly replica: ReplicaPort;
  readonly now: () => number;
  readonly onEvent?: (event: CheckpointEvent) => void;
}

/**
 * Turns what a source says into commits, and refuses those that would be wrong (invariants I2, I3, I5).
 *
 *     signal     primary's link whole   link lost before       link lost, clean, since    in doubt
 *                                       this stop              this stop
 *     commit     commit                 diverge                commit, provisionally      commit; doubt is over
 *     failover   fail over              fail over              fail over                  diverge
 *
 * A replica that refuses the step (it has given itself up already, or was never protected) is diverged.
 *
 * The provisional commit is for a primary that dies in the last few milliseconds of a checkpoint: it had stopped and
 * flushed, its state had been sent, and the secondary goes on from that state, so the closing epoch is complete and
 * must count. A link that breaks at that very moment while the primary lives looks the same, and may have cost a write
 * that QEMU swallowed; but then the primary goes on to another checkpoint. So a provisional commit is good for a
 * failover, and the next commit after it is a divergence.
 */
export class Checkpointer {
  readonly #source: CheckpointSource;
  readonly #replica: ReplicaPort;
  readonly #now: () => number;
  readonly #onEvent: (event: CheckpointEvent) => void;
  #unsubscribe: (() => void) | undefined;
  #sealedAt = 0;
  #stoppedAt: number | undefined;
  /** The link was whole when the secondary last stopped, and nothing was committed since: one provisional commit. */
  #wasWholeAtStop = false;
  #doubt: string | undefined;
  #hasEnded = false;

  constructor(options: CheckpointerOptions) {
    this.#source = options.source;
    this.#replica = options.replica;
    this.#now = options.now;
    this.#onEvent = options.onEvent ?? (() => undefined);
  }

  /** Begins to listen; what the source said before is not made up for. */
  start(): void {
    this.#unsubscribe ??= this.#source.subscribe((signal) => this.#handle(signal));
  }

  /** Stops listening. A closed gate stays closed: who stops the checkpointer decides what becomes of it. */
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
        return;
      case 'seal':
        if (!this.#replica.gate.isClosed) this.#sealedAt = this.#now();
        this.#replica.gate.close();
        return;
      case 'commit':
        this.#commit();
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

  #commit(): void {
    const { loss, lossWasClean, isConnected } = this.#replica.link;
    const isProvisional = loss !== undefined;
    if (isProvisional && (!this.#wasWholeAtStop || !lossWasClean)) {
      this.#diverge(`QEMU went on to a checkpoint though writes may be missing: ${loss}`);
      return;
    }
    if (!isProvisional && !isConnected) {
      this.#diverge('COLO runs, but no primary is connected to this replica');
      return;
    }
    const summary = this.#attempt(() => this.#replica.commit());
    if (!summary) return;
    this.#wasWholeAtStop = false;
    this.#doubt = undefined;
    const times = { gateClosedMs: this.#gateClosedMs(), checkpointMs: this.#checkpointMs() };
    this.#onEvent({ kind: 'commit', provisional: isProvisional, ...times, ...summary });
  }

  #failOver(): void {
    if (this.#doubt !== undefined) {
      this.#diverge(`failed over without knowing the last checkpoint: ${this.#doubt}`);
      return;
    }
    const summary = this.#attempt(() => this.#replica.failOver());
    if (!summary) return;
    this.#hasEnded = true;
    this.#onEvent({ kind: 'failover', gateClosedMs: this.#gateClosedMs(), ...summary });
  }

  /** A replica that refuses, for instance because it gave itself up, must not leave its gate closed. */
  #attempt(step: () => CommitSummary): CommitSummary | undefined {
    try {
      return step();
    } catch (error) {
      this.#diverge(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #diverge(reason: string): void {
    this.#hasEnded = true;
    this.#replica.diverge(reason);
    this.#onEvent({ kind: 'diverged', reason });
  }

  #gateClosedMs(): number {
    return this.#now() - this.#sealedAt;
  }

  /** The next one needs a STOP of its own. */
  #checkpointMs(): number | null {
    const stoppedAt = this.#stoppedAt;
    this.#stoppedAt = undefined;
    return stoppedAt === undefined ? null : this.#now() - stoppedAt;
  }
}
