/** How long the other end may be silent, in milliseconds. */
export interface LivenessLimits {
  /** Worth a warning. */
  readonly lowMs: number;
  /** Time to act. */
  readonly highMs: number;
}

export type LivenessState = 'unknown' | 'up' | 'late' | 'lost';

/**
 * Judges the other end by when it was last heard: `late` after the low limit, `lost` after the high
 * one, `up` again with the next sign of life. A link that breaks and comes back in time is a blip
 * and changes nothing. Who was not awake to listen, being halted, has heard no silence: such time
 * does not count. Pure: time comes in from outside.
 */
export class PeerLiveness {
  #state: LivenessState = 'unknown';
  #lastMs = 0;
  /** When this end was last seen to be awake. */
  #awakeMs = 0;

  constructor(
    private readonly limits: LivenessLimits,
    private readonly onChange: (state: LivenessState, silentMs: number) => void,
  ) {}

  get state(): LivenessState {
    return this.#state;
  }

  silentMs(nowMs: number): number {
    this.#wake(nowMs);
    return this.#state === 'unknown' ? 0 : nowMs - this.#lastMs;
  }

  heard(nowMs: number): void {
    this.#awakeMs = nowMs;
    this.#lastMs = nowMs;
    this.#set('up', 0);
  }

  /**
   * Something has come that may be old: it does not make the other end `up`, but whoever says
   * anything is not given up yet.
   */
  stirred(nowMs: number): void {
    if (this.#state === 'unknown' || this.#state === 'lost') return;
    this.#awakeMs = nowMs;
    this.#lastMs = nowMs;
  }

  /** Call it often: several times in `lowMs`. */
  check(nowMs: number): void {
    if (this.#state === 'unknown') return;
    const silentMs = this.silentMs(nowMs);
    if (silentMs >= this.limits.highMs) this.#set('lost', silentMs);
    else if (silentMs >= this.limits.lowMs) this.#set('late', silentMs);
  }

  /**
   * Between two checks there is far less time than this, as long as nothing has halted this
   * process.
   */
  #wake(nowMs: number): void {
    const sleptMs = nowMs - this.#awakeMs;
    if (sleptMs > this.limits.lowMs / 2) this.#lastMs += sleptMs;
    this.#awakeMs = nowMs;
  }

  #set(state: LivenessState, silentMs: number): void {
    if (state === this.#state) return;
    this.#state = state;
    this.onChange(state, silentMs);
  }
}
