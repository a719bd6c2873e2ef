import { CheckpointerError } from './errors.js';
import type { CheckpointSignal, CheckpointSource } from './ports.js';

/**
 * Checkpoints by call, for any active-active system that is not COLO: seal, then commit or abort; or fail over. The
 * caller has stopped both sides, or at least knows that no write is under way, when it seals.
 */
export class ExternalSource implements CheckpointSource {
  #listener: ((signal: CheckpointSignal) => void) | undefined;
  #state: 'open' | 'sealed' | 'ended' = 'open';

  subscribe(listener: (signal: CheckpointSignal) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  get state(): 'open' | 'sealed' | 'ended' {
    return this.#state;
  }

  /** The epoch is complete: nothing that comes from now on belongs to it. */
  seal(): void {
    this.#expect('open');
    this.#state = 'sealed';
    this.#listener?.({ kind: 'stop' });
    this.#listener?.({ kind: 'seal' });
  }

  /** Both sides agree: the sealed epoch becomes the state of both. */
  commit(): void {
    this.#expect('sealed');
    this.#state = 'open';
    this.#listener?.({ kind: 'commit' });
  }

  /** The sealed epoch goes on as if nothing had been said. */
  abort(): void {
    this.#expect('sealed');
    this.#state = 'open';
    this.#listener?.({ kind: 'abort' });
  }

  /** The secondary takes over with the last commit and its own writes since; sealed or not. */
  failOver(): void {
    if (this.#state === 'open') this.seal();
    this.#expect('sealed');
    this.#state = 'ended';
    this.#listener?.({ kind: 'failover' });
  }

  #expect(state: 'open' | 'sealed'): void {
    if (this.#state === state) return;
    if (this.#state === 'ended') {
      throw new CheckpointerError(
        'CHECKPOINT_ENDED',
        'this source has failed over; nothing follows',
      );
    }
    throw state === 'sealed'
      ? new CheckpointerError('CHECKPOINT_NOT_SEALED', 'seal the epoch first')
      : new CheckpointerError(
          'CHECKPOINT_ALREADY_SEALED',
          'the epoch is sealed already: commit or abort it',
        );
  }
}
