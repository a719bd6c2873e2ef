import type { NbdServerEvent } from '@gannet/nbd';
import { describeError } from '@gannet/contract';
import type { History } from './history.js';

/** Those who keep knocking are logged together. */
const QUIET_MS = 10_000;
/** A reason may quote what a stranger has sent. */
const REASON_CHARACTERS_MAX = 500;

export interface RejectedView {
  /** Connections that came to nothing, since the start. */
  readonly turnedAway: number;
  readonly last?: { readonly at: string; readonly address: string; readonly reason: string };
}

/**
 * Counts who was turned away at the daemon's doors. The first is told of at once; those who come
 * soon after, together and later: whoever knocks as fast as he can must fill neither log nor
 * memory.
 */
export class RejectedConnections {
  #turnedAway = 0;
  #told = 0;
  #last: RejectedView['last'];
  #timer: NodeJS.Timeout | undefined;
  readonly #inUse = new Set<number>();

  constructor(private readonly history: Pick<History, 'add'>) {}

  get view(): RejectedView {
    return { turnedAway: this.#turnedAway, ...(this.#last ? { last: this.#last } : {}) };
  }

  note(door: 'nbd' | 'peer', address: string, reason: string): void {
    this.#turnedAway += 1;
    const why = `${door}: ${reason}`.slice(0, REASON_CHARACTERS_MAX);
    this.#last = { at: new Date().toISOString(), address, reason: why };
    if (this.#timer) return;
    this.#report();
    this.#timer = setInterval(() => this.#report(), QUIET_MS);
    this.#timer.unref();
  }

  /** What the NBD server says of its connections. */
  readonly onNbd = (event: NbdServerEvent): void => {
    switch (event.kind) {
      case 'turned-away':
        return this.note('nbd', event.address, event.reason);
      case 'refused':
        return this.note('nbd', event.peer.address, event.error.message);
      case 'opened':
        this.#inUse.add(event.peer.id);
        return;
      case 'ended': {
        const wasInUse = this.#inUse.delete(event.peer.id);
        const { end } = event;
        // Who hangs up without a word may have looked whether somebody is here.
        if (wasInUse || end.kind === 'disconnect' || end.error === undefined) return;
        return this.note('nbd', event.peer.address, end.error.message);
      }
      case 'failed': {
        const { code, message, remedy } = describeError(event.error);
        this.history.add('trouble', { code, message, remedy });
      }
    }
  };

  close(): void {
    clearInterval(this.#timer);
  }

  #report(): void {
    const count = this.#turnedAway - this.#told;
    this.#told = this.#turnedAway;
    if (count > 0 && this.#last) {
      const { address, reason } = this.#last;
      this.history.add('strangers', { count, address, reason });
    } else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
