import {
  type AutomaticView,
  type Status,
  type Unjudged,
  type Verdict,
  verdictOf,
} from '@gannet/contract';

/** What no event announces, such as a peer that grows silent, is noticed this much later. */
const LOOK_MS = 1000;

export interface HealthWatchOptions {
  /** Has the status judged. */
  readonly look: () => Promise<void>;
  /** How `protection: automatic` is; undefined with `manual`. */
  readonly automatic?: () => AutomaticView | undefined;
  /** @param was the verdict before; undefined for the first */
  readonly onChange: (verdict: Verdict, was: Verdict['code'] | undefined) => void;
}

/**
 * The verdict on the VM, and since when it is so. The daemon judges it whether or not anybody asks:
 * after each event, and once a second.
 */
export class HealthWatch {
  #code: Verdict['code'] | undefined;
  #since = '';
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(private readonly options: HealthWatchOptions) {}

  /** @returns the status with its verdict */
  judge<S extends Unjudged>(judged: S): S & Pick<Status, 'health'> {
    const automatic = this.options.automatic?.();
    const status = automatic ? { ...judged, automatic } : judged;
    const verdict = verdictOf(status);
    const was = this.#code;
    if (verdict.code !== was) {
      this.#since = new Date().toISOString();
      this.#code = verdict.code;
      this.options.onChange(verdict, was);
    }
    return { ...status, health: { ...verdict, since: this.#since } };
  }

  /** Until close(). */
  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  /** Something may have changed: judges when all of this change is done. */
  lookSoon(): void {
    if (!this.#timer || this.#soon) return;
    this.#soon = setImmediate(() => {
      this.#soon = undefined;
      this.#look();
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    clearImmediate(this.#soon);
  }

  /** Whoever asks for a status that can't be had hears why. */
  #look(): void {
    this.options.look().catch(() => undefined);
  }
}
