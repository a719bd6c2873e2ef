import type { DaemonEvent } from '@gannet/contract';
import type { Logger } from './log.js';

/** What happened, newest last, for `events` and for watchers that come later. */
const EVENTS_MAX = 1000;
/** Of these, which each checkpoint brings, only the latest: they must not drive out what matters. */
const ROUTINE_MAX = 500;
const ROUTINE = new Set(['commit', 'checkpoint', 'write-back', 'abort']);

const ERRORS = new Set(['diverged', 'trouble', 'not-reloaded']);
const WARNINGS = new Set([
  'link-lost',
  'doubt',
  'vm',
  'peer',
  'secondary-lost',
  'memory-pressure',
  'spill',
  'flush',
  'needs-restart',
  'seed-link-lost',
  'strangers',
  'plaintext',
]);
const DETAILS = new Set(['write-back', 'abort', 'checkpoint']);

/** The daemon's memory of events; each is logged and handed on as it happens. */
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

  add(kind: string, details: object = {}): void {
    this.log.log(levelOf(kind), kind, { ...details, role: this.role });
    const event = { ...details, kind, at: new Date().toISOString(), role: this.role };
    this.#events.push(event);
    if (ROUTINE.has(kind) && ++this.#routine > ROUTINE_MAX) this.#forget(isRoutine);
    if (this.#events.length > EVENTS_MAX) this.#forget(() => true);
    this.onEvent(event);
  }

  #forget(isMeant: (event: DaemonEvent) => boolean): void {
    const [gone] = this.#events.splice(this.#events.findIndex(isMeant), 1);
    if (gone && isRoutine(gone)) this.#routine--;
  }
}

function isRoutine({ kind }: DaemonEvent): boolean {
  return ROUTINE.has(kind);
}

function levelOf(kind: string): 'error' | 'warn' | 'info' | 'debug' {
  if (ERRORS.has(kind)) return 'error';
  if (WARNINGS.has(kind)) return 'warn';
  return DETAILS.has(kind) ? 'debug' : 'info';
}
