import { CheckpointerError } from './errors.js';
import type { CheckpointSignal, CheckpointSource } from './ports.js';

/** What a caller knows of a commit. */
export interface CommitKnowledge {
  /**
   * The primary has said that it had stopped, and that all its writes before had been answered.
   * Then the commit counts, even if its link has broken since.
   */
  readonly primaryStoodWhole?: boolean;
}

/**
 * Checkpoints by call, for active-active systems other than COLO: seal, then commit or abort; or
 * fail over. When the caller seals, both sides must be stopped, or at least no write may be under
 * way.
 */
export class ExternalSource implements CheckpointSource {
  #listener: ((signal: CheckpointSignal) => void) | undefined;
  #hasStopped = false;
  #state: 'open' | 'sealed' | 'ended' = 'open';

  /** One listener at a time. */
  subscribe(listener: (signal: CheckpointSignal) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  /** `sealed` between seal() and commit() or abort(); `ended` after failOver() or end(). */
  get state(): 'open' | 'sealed' | 'ended' {
    return this.#state;
  }

  /**
   * The secondary is about to stop, and waits for answers to its requests. Who does not say it
   * before seals with it.
   *
   * @throws CheckpointerError CHECKPOINT_ALREADY_SEALED, CHECKPOINT_ENDED
   */
  stopped(): void {
    this.#expect('open');
    this.#hasStopped = true;
    this.#listener?.({ kind: 'stop' });
  }

  /**
   * The epoch is complete: later writes belong to the next one.
   *
   * @throws CheckpointerError CHECKPOINT_ALREADY_SEALED, CHECKPOINT_ENDED
   */
  seal(): void {
    this.#expect('open');
    if (!this.#hasStopped) this.stopped();
    this.#hasStopped = false;
    this.#state = 'sealed';
    this.#listener?.({ kind: 'seal' });
  }

  /**
   * Both sides agree: the sealed epoch becomes the state of both.
   *
   * @throws CheckpointerError CHECKPOINT_NOT_SEALED, CHECKPOINT_ENDED
   */
  commit({ primaryStoodWhole = false }: CommitKnowledge = {}): void {
    this.#expect('sealed');
    this.#state = 'open';
    this.#listener?.({ kind: 'commit', primaryStoodWhole });
  }

  /**
   * Takes the seal back: the epoch continues.
   *
   * @throws CheckpointerError CHECKPOINT_NOT_SEALED, CHECKPOINT_ENDED
   */
  abort(): void {
    this.#expect('sealed');
    this.#state = 'open';
    this.#listener?.({ kind: 'abort' });
  }

  /**
   * The secondary takes over, with the last commit and its own writes since then. Seals first if
   * needed.
   *
   * @throws CheckpointerError CHECKPOINT_ENDED
   */
  failOver(): void {
    if (this.#state === 'open') this.seal();
    this.#expect('sealed');
    this.#state = 'ended';
    this.#listener?.({ kind: 'failover' });
  }

  /** No more will come: the replica can't be used any more. Harmless when repeated. */
  end(reason: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#listener?.({ kind: 'lost', reason });
  }

  #expect(state: 'open' | 'sealed'): void {
    if (this.#state === state) return;
    if (this.#state === 'ended') {
      throw new CheckpointerError('CHECKPOINT_ENDED', 'this source has failed over, or has ended');
    }
    throw state === 'sealed'
      ? new CheckpointerError('CHECKPOINT_NOT_SEALED', 'seal the epoch first')
      : new CheckpointerError(
          'CHECKPOINT_ALREADY_SEALED',
          'the epoch is already sealed: commit or abort it',
        );
  }
}
