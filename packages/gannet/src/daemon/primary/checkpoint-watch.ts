import { SuspendAwareTimer } from '../suspend-aware-timer.js';

/**
 * Notices that checkpoints have stopped coming. A connection of QEMU's that is cut without being
 * closed tells nobody: the guest may stand in the middle of a checkpoint forever, or run on with a
 * replica that grows old.
 */
export class CheckpointWatch {
  #timer: SuspendAwareTimer | undefined;

  constructor(
    /** The longest from one checkpoint to the next. */
    private readonly limitMs: () => number,
    private readonly onStall: (limitMs: number) => void,
  ) {}

  /** There has been one, or there is about to be the first. */
  restart(): void {
    this.stop();
    const limitMs = this.limitMs();
    this.#timer = new SuspendAwareTimer(limitMs, () => this.onStall(limitMs));
  }

  stop(): void {
    this.#timer?.stop();
  }
}
