// What has to be true, checked after each callback on what can be seen from outside: which guest
// runs where its clients and disks are reachable, and what each has written. It knows no record, no
// term and no state of a daemon.

import type { Written } from './qemu.js';

export class Violation extends Error {
  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`);
  }
}

/** One host's guest, as its clients see it. */
export interface SeenGuest {
  readonly host: string;
  readonly isReachable: boolean;
  readonly written: Written | undefined;
}

export interface Seen {
  readonly nowMs: number;
  readonly guests: readonly SeenGuest[];
  /** Both daemons run, and nothing keeps them from hearing of each other or from their QEMUs. */
  readonly areInContact: boolean;
}

/** Two sides that hear of each other need no longer to agree. */
const CONTACT_MS = 20_000;

/** W1 and W2 of docs/explanation/architecture.md. W4 and W5 are asked for by the world. */
export class Checker {
  /** An operator has taken the responsibility, for all that follows. */
  isForced = false;
  takeovers = 0;
  /** How long two guests have run together, by an operator's force. */
  splitMs = 0;
  /** The newest write that no replica can have. */
  #lone: Written | undefined;
  #contactSinceMs: number | undefined;
  #lastMs = 0;
  #wasReachable = new Map<string, boolean>();
  #holder: string | undefined;

  wrote(written: Written): void {
    if (written.isAlone) this.#lone = written;
  }

  look({ nowMs, guests, areInContact }: Seen): void {
    const reachable = guests.filter(({ isReachable }) => isReachable);
    for (const guest of guests) this.#lookAt(guest);
    if (reachable.length > 1) this.#onTwo(nowMs, areInContact);
    else this.#contactSinceMs = undefined;
    if (reachable.length > 1) this.splitMs += nowMs - this.#lastMs;
    this.#lastMs = nowMs;
  }

  #lookAt({ host, isReachable, written }: SeenGuest): void {
    const was = this.#wasReachable.get(host) ?? false;
    this.#wasReachable.set(host, isReachable);
    if (!isReachable || was) return;
    const isTakeover = this.#holder !== undefined && this.#holder !== host;
    this.#holder = host;
    if (!isTakeover) return;
    this.takeovers++;
    if (this.isForced || this.#lone === undefined || holds(written, this.#lone)) return;
    const [has, lacks] = [written?.number ?? 0, this.#lone.number];
    throw new Violation('W2', `${host} takes over with write ${has}, and write ${lacks} is lost`);
  }

  #onTwo(nowMs: number, areInContact: boolean): void {
    if (!this.isForced) throw new Violation('W1', 'both guests run, and nobody has forced it');
    if (!areInContact) this.#contactSinceMs = undefined;
    else this.#contactSinceMs ??= nowMs;
    const heardMs = nowMs - (this.#contactSinceMs ?? nowMs);
    if (heardMs > CONTACT_MS) {
      throw new Violation('W1', `both guests still run ${heardMs} ms after the first contact`);
    }
  }
}

/** Whether `state` has `write`: each has all that came before it. */
function holds(state: Written | undefined, write: Written): boolean {
  let at = state;
  while (at !== undefined && at.number > write.number) at = at.before;
  return at === write;
}
