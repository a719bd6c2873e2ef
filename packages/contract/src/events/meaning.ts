/** The types of the table in table.ts, and of an event as it is kept, shown and sent. */
import type { EventDetails, EventKind, WireEvent } from './details.js';

/** Least important last, as the log has them. `debug` is what every checkpoint brings. */
export const EVENT_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type EventLevel = (typeof EVENT_LEVELS)[number];

export type EventRole = WireEvent['role'];

/** Where an event comes from, for texts and remedies. */
export interface EventOrigin {
  /** Of the daemon that reported it. */
  readonly role: EventRole;
  /** The name of the VM, for commands. */
  readonly vm: string;
}

/** What an event adds to a metric; a counter is increased by `value`, a histogram observes it. */
export interface EventSample {
  readonly value: number;
  /** Besides `vm` and `role`. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface EventMeaning<D> {
  /** Whose daemon reports it. */
  readonly roles: readonly EventRole[];
  readonly level: EventLevel | ((details: D) => EventLevel);
  /** Comes with every checkpoint: only the latest of these are kept. */
  readonly isRoutine?: true;
  readonly text: (details: D, origin: EventOrigin) => string;
  /** What to do, with the command and the host to run it on; '' if nothing. */
  readonly remedy?: (details: D, origin: EventOrigin) => string;
  /** By the name of the metric; undefined if this event does not count there. */
  readonly metrics?: Readonly<
    Record<`gannet_${string}`, (details: D, role: EventRole) => EventSample | undefined>
  >;
}

/** Every kind has its meaning. */
export type EventTable = { readonly [K in EventKind]: EventMeaning<EventDetails[K]> };

/** An event of a daemon, as it is kept, shown and sent: its kind decides which details it has. */
export type DaemonEvent<K extends EventKind = EventKind> = {
  readonly [P in EventKind]: {
    readonly at: string;
    readonly role: EventRole;
    readonly kind: P;
    /** Id of what was under way; both daemons have the same id for it. */
    readonly operation?: string;
    /** Who wanted that. */
    readonly actor?: string;
  } & EventDetails[P];
}[K];
