/** What happened, newest last, for `status` and for watchers that come later. */
const EVENTS_MAX = 1000;

export interface DaemonEvent {
  readonly at: string;
  readonly role: 'primary' | 'secondary';
  readonly kind: string;
  readonly [detail: string]: unknown;
}

export class History {
  readonly #events: DaemonEvent[] = [];

  constructor(
    private readonly role: DaemonEvent['role'],
    private readonly onEvent: (event: DaemonEvent) => void,
  ) {}

  get events(): readonly DaemonEvent[] {
    return this.#events;
  }

  /** What the event says beside its date and role: for the log, which has both already. */
  static detailsOf(event: DaemonEvent): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(event).filter(([key]) => !['at', 'role', 'kind'].includes(key)),
    );
  }

  add(event: { readonly kind: string; readonly [detail: string]: unknown }): void {
    const dated = { ...event, at: new Date().toISOString(), role: this.role };
    this.#events.push(dated);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    this.onEvent(dated);
  }
}
