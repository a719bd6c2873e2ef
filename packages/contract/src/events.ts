/**
 * The events of the daemons: one table of what each kind means, and any event in words. Without
 * zod, so that the web page can load it; events/details.ts has the details as schemas.
 */
export {
  describeEvent,
  type EventDescription,
  isRoutineEvent,
  samplesOf,
} from './events/describe.js';
export type { EventDetails, EventKind, WireEvent } from './events/details.js';
export {
  type DaemonEvent,
  EVENT_LEVELS,
  type EventLevel,
  type EventMeaning,
  type EventOrigin,
  type EventRole,
  type EventSample,
  type EventTable,
} from './events/meaning.js';
export { CAUSE_TEXTS, EVENTS } from './events/table.js';
