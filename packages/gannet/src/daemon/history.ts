import {
  type DaemonEvent,
  describeError,
  describeEvent,
  type EventDetails,
  type EventKind,
  isRoutineEvent,
  type MethodName,
} from '@gannet/contract';
import { CheckpointSummary } from './events/checkpoint-summary.js';
import { isConsequence } from './events/consequences.js';
import { ITSELF, Operations } from './events/operations.js';
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
  readonly #summary = new CheckpointSummary();
  #routine = 0;
  readonly operations = new Operations();
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
  record(news: NewEvent, operation = this.operations.current): void {
    const { id, name } = operation;
    const actor = isConsequence(news.kind, name) ? operation.actor : ITSELF;
    const whose = {
      ...(id === undefined ? {} : { operation: id }),
      ...(actor === undefined ? {} : { actor }),
    };
    const at = new Date().toISOString();
    const event = { at, role: this.role, ...whose, ...news } as DaemonEvent;
    const { level, text } = describeEvent(event);
    this.log.log(level, news.kind, { ...whose, ...lineOf(news), role: this.role, text });
    this.#summary.note(event);
    this.#events.push(event);
    if (isRoutineEvent(event) && ++this.#routine > ROUTINE_MAX) this.#forget(isRoutineEvent);
    if (this.#events.length > EVENTS_MAX) this.#forget(() => true);
    this.onEvent(event);
  }

  /**
   * Carries out what somebody asked for. What happens meanwhile has its id, and its consequences
   * have the actor.
   */
  operate<T>(name: MethodName, actor: string, work: () => Promise<T>): Promise<T> {
    return this.operations.run(
      actor,
      async (operation) => {
        const startMs = performance.now();
        const ms = (): number => Math.round(performance.now() - startMs);
        // Another may have begun meanwhile: one that cancels this, for example.
        const say = (news: Omit<EventDetails['command'], 'name' | 'actor'>): void =>
          this.record({ kind: 'command', name, actor, ...news }, operation);
        say({ phase: 'begins' });
        try {
          const result = await work();
          say({ phase: 'done', ms: ms() });
          return result;
        } catch (error) {
          const { code, message } = describeError(error);
          say({ phase: 'failed', ms: ms(), code, message });
          throw error;
        }
      },
      name,
    );
  }

  /** Once a minute: one line of the log about its checkpoints. */
  summarise(): void {
    const line = this.#summary.take();
    if (line) this.log.info('checkpoints', { ...line, role: this.role });
  }

  #forget(isMeant: (event: DaemonEvent) => boolean): void {
    const [gone] = this.#events.splice(this.#events.findIndex(isMeant), 1);
    if (gone && isRoutineEvent(gone)) this.#routine--;
  }
}

/** A line of the log has the name of its VM as `vm`; some events have the state of a QEMU there. */
function lineOf(news: NewEvent): object {
  if (!('vm' in news)) return news;
  const { vm: qemu, ...rest } = news;
  return { ...rest, qemu };
}
