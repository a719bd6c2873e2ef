import {
  type DaemonEvent,
  describeEvent,
  type EventDetails,
  type EventKind,
  isRoutineEvent,
} from '@gannet/contract';
import type { Logger } from './log.js';

/** The latest events, for `events` and for watchers that come later. */
const EVENTS_MAX = 1000;
/** Of those that every checkpoint brings: they must not drive out what matters. */
const ROUTINE_MAX = 500;

/** An event before it has a time and a role. */
export type NewEvent = { [K in EventKind]: { readonly kind: K } & EventDetails[K] }[EventKind];

/** Details are left out where a kind needs none. */
type DetailsArgument<K extends EventKind> = object extends EventDetails[K]
  ? [details?: EventDetails[K]]
  : [details: EventDetails[K]];

/** The daemon's memory of events; each is logged and passed on as it happens. */
export class History {
  readonly #events: DaemonEvent[] = [];
  #routine = 0;
  role: DaemonEvent['role'] = 'primary';

  constructor(
    private readonly log: Logger,
    private readonly onEvent: (event: DaemonEvent) => void,
  ) {}

  get events(): readonly DaemonEvent[] {
    return this.#events;
  }

  add<K extends EventKind>(kind: K, ...[details]: DetailsArgument<K>): void {
    this.record({ ...details, kind } as unknown as NewEvent);
  }

  /** As add(), for an event of a part of the daemon that has its kind in it. */
  record(news: NewEvent): void {
    const event = { at: new Date().toISOString(), role: this.role, ...news } as DaemonEvent;
    const { level, text } = describeEvent(event);
    this.log.log(level, news.kind, { ...news, role: this.role, text });
    this.#events.push(event);
    if (isRoutineEvent(event) && ++this.#routine > ROUTINE_MAX) this.#forget(isRoutineEvent);
    if (this.#events.length > EVENTS_MAX) this.#forget(() => true);
    this.onEvent(event);
  }

  #forget(isMeant: (event: DaemonEvent) => boolean): void {
    const [gone] = this.#events.splice(this.#events.findIndex(isMeant), 1);
    if (gone && isRoutineEvent(gone)) this.#routine--;
  }
}
