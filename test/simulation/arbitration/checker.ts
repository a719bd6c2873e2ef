// What has to be true, checked after each callback on what can be seen from outside: which guest
// runs where its clients and disks are reachable, what each has written, what an operator has said
// and was answered, and which alarms were raised. It knows no record, no term and no state of a
// daemon.

import type { HostName } from './network.js';
import type { Written } from './vm/qemu.js';

export class Violation extends Error {
  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`);
  }
}

/** One host's guest, as its clients see it. */
export interface SeenGuest {
  readonly host: HostName;
  readonly isReachable: boolean;
  /** Its QEMU is there, and the guest was stopped. */
  readonly isStopped: boolean;
  /** Its daemon has stopped it because it failed, and not because of what it heard. */
  readonly hasFailed: boolean;
  /**
   * It was stopped in the QEMU that was protected, and not in a new one that its daemon holds; and
   * its daemon can know it.
   */
  readonly hasGivenUp: boolean;
  readonly written: Written | undefined;
}

export interface Seen {
  readonly nowMs: number;
  readonly guests: readonly SeenGuest[];
  /** Both daemons run, and nothing keeps them from hearing of each other or from their QEMUs. */
  readonly areInContact: boolean;
}

/** An operator's command with `--force`. */
export interface ForcedCommand {
  readonly host: HostName;
  /** Whether an answer may still come. */
  readonly isPending: () => boolean;
}

/** Two sides that hear of each other have found out by then what was overruled. */
const CONTACT_MS = 20_000;
/** The first beat after the contact, and the stop. */
const STOP_MS = 8000;

/** What a side says last of a guest is as old as that when it arrives. */
const STILL_MS = 2000;

/**
 * Operators have overruled what the hosts know: from the command on, until both sides have been in
 * contact for long enough.
 */
interface Overruling {
  readonly commands: Set<ForcedCommand>;
  /** When an answer was still to come last. */
  pendingMs: number;
  /** Two guests have run: the copies differ, whatever stands still by now. */
  hasSplit: boolean;
  /** Two guests ran while both sides were in contact, and one of them was stopped then. */
  hasEndedSplit: boolean;
  /** Who ran on then: an alarm has to call its copy the newest. */
  survivor: HostName | undefined;
  /** The hosts that alarms called the newest. */
  readonly alarms: Set<HostName>;
}

/** W1 and W2 of docs/explanation/failover.md. W4 and W5 are asked for by the world. */
export class Checker {
  takeovers = 0;
  /** How long two guests have run together, by an operator's force. */
  splitMs = 0;
  /** The longest time for which they did that in contact. */
  longestContactMs = 0;
  /** How often an operator has overruled something, and how often that was settled. */
  overrulings = 0;
  settled = 0;
  #overruling: Overruling | undefined;
  /** Where the guest runs, or ran last; an overruled one that runs on does not count. */
  #holder: HostName | undefined;
  /** The newest write of the holder that is nowhere else. */
  #lone: Written | undefined;
  #contactSinceMs: number | undefined;
  #bothSinceMs: number | undefined;
  #lastMs = 0;
  readonly #stoppedAtMs = new Map<HostName, number>();
  readonly #wasReachable = new Map<HostName, boolean>();

  /** A guest has made a write durable; nobody else has it, or will. */
  wroteAlone(host: HostName, written: Written): void {
    if (this.#holder === undefined || this.#holder === host) this.#lone = written;
  }

  get isOverruled(): boolean {
    return this.#overruling !== undefined;
  }

  /** An operator has said `--force`: what the hosts know does not count for a while. */
  force(command: ForcedCommand): void {
    if (!this.#overruling) this.overrulings++;
    const pendingMs = this.#lastMs;
    this.#overruling ??= {
      ...{ commands: new Set(), pendingMs, alarms: new Set(), survivor: undefined },
      ...{ hasSplit: false, hasEndedSplit: false },
    };
    this.#overruling.commands.add(command);
  }

  /** It was not carried out: nothing is overruled by it. */
  refused(command: ForcedCommand): void {
    this.#overruling?.commands.delete(command);
    if (this.#overruling?.commands.size === 0) this.#overruling = undefined;
  }

  /**
   * A daemon says that there are two copies, and which one is the newest. `turnMs`: how long a turn
   * of its event loop takes, for so long it knows nothing newer.
   */
  alarm(newest: HostName, turnMs: number): void {
    this.#overruling?.alarms.add(newest);
    const other = newest === 'a' ? 'b' : 'a';
    const stillMs = this.#lastMs - (this.#stoppedAtMs.get(other) ?? Infinity);
    if (this.#overruling?.hasSplit === true || stillMs <= STILL_MS + turnMs) return;
    throw new Violation('W6', `an alarm about two copies, and ${other} stands still`);
  }

  look({ nowMs, guests, areInContact }: Seen): void {
    const reachable = guests.filter(({ isReachable }) => isReachable);
    for (const guest of guests) {
      this.#lookAt(guest);
      const { host, hasGivenUp } = guest;
      if (!hasGivenUp) this.#stoppedAtMs.delete(host);
      else if (!this.#stoppedAtMs.has(host)) this.#stoppedAtMs.set(host, nowMs);
    }
    if (!areInContact) this.#contactSinceMs = undefined;
    else this.#contactSinceMs ??= nowMs;
    if (reachable.length > 1) this.#onTwo(nowMs);
    else this.#onOne(guests);
    this.#lastMs = nowMs;
    if (reachable.length < 2) this.#considerSettled(nowMs, reachable[0]);
  }

  #considerSettled(nowMs: number, running: SeenGuest | undefined): void {
    const overruling = this.#overruling;
    if (!overruling) return;
    if ([...overruling.commands].some(({ isPending }) => isPending())) overruling.pendingMs = nowMs;
    const contactMs = nowMs - Math.max(this.#contactSinceMs ?? nowMs, overruling.pendingMs);
    if (contactMs > CONTACT_MS) this.#settle(overruling, running);
  }

  #lookAt(guest: SeenGuest): void {
    const { host, isReachable } = guest;
    const was = this.#wasReachable.get(host) ?? false;
    this.#wasReachable.set(host, isReachable);
    if (!isReachable || was) return;
    if (this.#overruling) this.#startsOverruled(host);
    else this.#starts(guest);
  }

  #starts({ host, written }: SeenGuest): void {
    if (this.#holder !== undefined && this.#holder !== host) this.takeovers++;
    this.#holder = host;
    if (this.#lone === undefined || holds(written, this.#lone)) return;
    const [has, lacks] = [written?.number ?? 0, this.#lone.number];
    throw new Violation('W2', `${host} runs with write ${has}, and write ${lacks} is lost`);
  }

  /** Whoever was forced has the copy that counts; the other one does not know yet. */
  #startsOverruled(host: HostName): void {
    if (this.#holder === host || !this.isForced(host)) return;
    this.takeovers++;
    this.#holder = host;
    this.#lone = undefined;
  }

  /** An operator has forced this side to run, and not all of that is known to both yet. */
  isForced(host: HostName): boolean {
    return [...(this.#overruling?.commands ?? [])].some((command) => command.host === host);
  }

  #onTwo(nowMs: number): void {
    if (!this.#overruling) throw new Violation('W1', 'both guests run, and nobody has forced it');
    this.#overruling.hasSplit = true;
    if (this.#bothSinceMs === undefined) this.#bothSinceMs = nowMs;
    else this.splitMs += nowMs - this.#lastMs;
    const heardMs = nowMs - Math.max(this.#contactSinceMs ?? nowMs, this.#bothSinceMs);
    this.longestContactMs = Math.max(this.longestContactMs, heardMs);
    if (heardMs > STOP_MS) {
      throw new Violation('W1', `both guests still run ${heardMs} ms after the first contact`);
    }
  }

  #onOne(guests: readonly SeenGuest[]): void {
    if (this.#bothSinceMs === undefined) return;
    this.#bothSinceMs = undefined;
    const wasStopped = guests.some(({ isStopped, hasFailed }) => isStopped && !hasFailed);
    if (this.#overruling && wasStopped && this.#contactSinceMs !== undefined) {
      this.#overruling.hasEndedSplit = true;
      this.#overruling.survivor = guests.find(({ isReachable }) => isReachable)?.host;
    }
  }

  /** Both sides have heard of what was overruled: from here on nothing is. */
  #settle(overruling: Overruling, running: SeenGuest | undefined): void {
    const forced = new Set([...overruling.commands].map(({ host }) => host));
    this.#overruling = undefined;
    this.settled++;
    const host = running?.host;
    if (overruling.hasEndedSplit && overruling.alarms.size === 0) {
      throw new Violation('W1', 'two guests ran, one of them was stopped, and no alarm said why');
    }
    const { survivor = host } = overruling;
    if (overruling.hasEndedSplit && survivor !== undefined && !overruling.alarms.has(survivor)) {
      throw new Violation('W1', `${survivor} ran on, and no alarm called its copy the newest`);
    }
    if (host === undefined) {
      // Whoever was forced has the copy that counts, though its guest may not have booted yet.
      const isForced = this.#holder !== undefined && forced.has(this.#holder);
      if (forced.size > 1 || !isForced) this.#holder = this.#lone = undefined;
      return;
    }
    const isGivenBack = this.#holder !== host && this.#lone && !holds(running?.written, this.#lone);
    if (isGivenBack && forced.size === 1) {
      throw new Violation('W2', `${host} runs, and lacks what ${this.#holder} wrote by force`);
    }
    if (this.#holder === host) return;
    this.#holder = host;
    this.#lone = running?.written?.isAlone === true ? running.written : undefined;
  }
}

/** Whether `state` has `write`: each has all that came before it. */
function holds(state: Written | undefined, write: Written): boolean {
  let at = state;
  while (at !== undefined && at.number > write.number) at = at.before;
  return at === write;
}
