/**
 * An event of a daemon of any version in words and in numbers. No imports but the table: the web
 * page loads this file too.
 */
import type { EventDetails, EventKind, WireEvent } from './details.js';
import type { DaemonEvent, EventLevel, EventMeaning, EventSample } from './meaning.js';
import { EVENTS } from './table.js';

export interface EventDescription {
  readonly level: EventLevel;
  /** One line, without a full stop. */
  readonly text: string;
  /** What to do, in sentences; '' if nothing. */
  readonly remedy: string;
}

type AnyDetails = EventDetails[EventKind];

/** Undefined for a kind that only a daemon of another version knows. */
function meaningOf(kind: string): EventMeaning<AnyDetails> | undefined {
  if (!Object.hasOwn(EVENTS, kind)) return undefined;
  // Safe for a DaemonEvent: its kind and its details belong together.
  return EVENTS[kind as EventKind] as EventMeaning<AnyDetails>;
}

const HEAD: readonly string[] = ['at', 'role', 'kind', 'operation'];

function detailsOf(event: WireEvent | DaemonEvent): AnyDetails {
  const details = Object.entries(event).filter(([key]) => !HEAD.includes(key));
  return Object.fromEntries(details);
}

/**
 * An event for people. A kind that this version does not know, and details that it does not expect
 * (of a daemon of another version), are shown as the kind and JSON.
 *
 * @param vm the name of the VM, for the commands in remedies
 */
export function describeEvent(event: WireEvent | DaemonEvent, vm = 'VM'): EventDescription {
  const details = detailsOf(event);
  const meaning = meaningOf(event.kind);
  const origin = { role: event.role, vm };
  try {
    const text = meaning?.text(details, origin) ?? '';
    if (meaning && !/\b(undefined|NaN)\b/.test(text)) {
      const { level, remedy } = meaning;
      return {
        level: typeof level === 'string' ? level : level(details),
        text,
        remedy: remedy?.(details, origin) ?? '',
      };
    }
  } catch {
    // As an unknown kind.
  }
  return { level: 'info', text: `${event.kind} ${JSON.stringify(details)}`, remedy: '' };
}

/** What an event adds to the metrics, by their names. */
export function samplesOf(event: DaemonEvent): (readonly [metric: string, EventSample])[] {
  const details = detailsOf(event);
  return Object.entries(meaningOf(event.kind)?.metrics ?? {}).flatMap(([metric, measure]) => {
    const sample = measure(details, event.role);
    return sample === undefined ? [] : [[metric, sample] as const];
  });
}

/** It comes with every checkpoint. */
export function isRoutineEvent({ kind }: WireEvent | DaemonEvent): boolean {
  return meaningOf(kind)?.isRoutine === true;
}
