import type { Commands } from './commands.js';
import type { EventOf, Events, QmpEvent } from './events.js';

/**
 * Types of commands and events that a client goes by. `commands` maps a name to
 * `{ arguments: …; return: … }`, `events` one to the event's data, undefined where it has none.
 */
export interface QmpTables {
  readonly commands: object;
  readonly events: object;
}

/**
 * The tables by default: a choice of what QEMU 7.2 and 10.0 have in common. All commands and events
 * of one release are in `qemu-qmp-client/qemu-7.2` and `qemu-qmp-client/qemu-10.0`.
 */
export interface CommonTables {
  readonly commands: Commands;
  readonly events: Events;
}

export type CommandName<T extends QmpTables = CommonTables> = keyof T['commands'] & string;

export type EventName<T extends QmpTables = CommonTables> = keyof T['events'] & string;

/** Arguments of a command. */
export type ArgumentsOf<
  C extends CommandName<T>,
  T extends QmpTables = CommonTables,
> = T['commands'][C] extends { arguments: infer Arguments } ? Readonly<Arguments> : never;

/** What a command returns. */
export type ReturnOf<
  C extends CommandName<T>,
  T extends QmpTables = CommonTables,
> = T['commands'][C] extends { return: infer Return } ? Return : never;

/** The event of that name, by these tables. */
export type EventIn<T extends QmpTables, E extends EventName<T>> = EventOf<E, T['events']>;

/** Any event, by these tables. */
export type AnyEventIn<T extends QmpTables> = QmpEvent<T['events']>;
