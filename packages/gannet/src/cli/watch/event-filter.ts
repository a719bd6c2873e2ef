import {
  type DaemonEvent,
  describeEvent,
  EVENT_LEVELS,
  type EventLevel,
  EVENTS,
  isRoutineEvent,
} from '@gannet/contract/events';

/** Which events `gannet events` prints; all that it names must hold. */
export interface EventFilter {
  /** Milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** The lowest level. */
  readonly level?: EventLevel | undefined;
}

export function passes(event: DaemonEvent, filter: EventFilter): boolean {
  const { sinceMs = -Infinity, untilMs = Infinity, kinds, level = 'debug' } = filter;
  const atMs = Date.parse(event.at);
  return (
    atMs >= sinceMs &&
    atMs <= untilMs &&
    (kinds?.includes(event.kind) ?? true) &&
    rank(describeEvent(event).level) <= rank(level)
  );
}

/** `error` is first. */
const rank = (level: EventLevel): number => EVENT_LEVELS.indexOf(level);

/** Several events in a row that come with every checkpoint. */
export interface Fold {
  readonly first: DaemonEvent;
  readonly last: DaemonEvent;
  readonly events: number;
}

/** Puts what comes with every checkpoint together, as long as nothing else happens in between. */
export function foldRoutine(events: readonly DaemonEvent[]): (DaemonEvent | Fold)[] {
  const folded: (DaemonEvent | Fold)[] = [];
  for (const event of events) {
    const before = folded.at(-1);
    if (!isRoutineEvent(event)) folded.push(event);
    else if (before && 'first' in before) {
      folded[folded.length - 1] = { ...before, last: event, events: before.events + 1 };
    } else folded.push({ first: event, last: event, events: 1 });
  }
  return folded;
}

export function isEventKind(text: string): boolean {
  return Object.hasOwn(EVENTS, text);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 },
};

/**
 * A moment: how long ago (`90s`, `10m`, `2h`, `3d`), or ISO 8601, in this host's time zone if it
 * names none.
 *
 * @returns milliseconds since 1970; undefined if it is neither
 */
export function parseMoment(text: string, nowMs: number): number | undefined {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs - Number(count) * (UNIT_MS[unit] ?? 0);
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text)) {
    return undefined;
  }
  // A date alone would be UTC.
  const at = Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'));
  return Number.isNaN(at) ? undefined : at;
}
