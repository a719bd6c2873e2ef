import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '@gannet/contract/client';
import { type DaemonEvent, isRoutineEvent } from '@gannet/contract/events';
import { type EventFilter, type Fold, foldRoutine, passes } from './event-filter.js';
import { renderEvent, renderFold } from './render.js';

const ALIVE_EVERY_MS = 1000;

export interface EventsOptions {
  readonly vm: string;
  readonly control: string;
  readonly silenceMs: number;
  readonly json: boolean;
  readonly filter?: EventFilter;
  /** Prints each checkpoint, not only how many there were. */
  readonly hasCheckpoints?: boolean;
  /** Continues until `signal`. */
  readonly follow: boolean;
  /** Of the terminal; lines are not broken elsewhere. */
  readonly columns?: number | undefined;
  readonly signal: AbortSignal;
  readonly write: (text: string) => unknown;
}

/**
 * Prints the events so far, and with `follow` those to come.
 *
 * @throws GannetError CONTROL_UNREACHABLE if the daemon ends while it is followed
 */
export async function printEvents(options: EventsOptions): Promise<void> {
  const { vm, control, silenceMs, json, follow, signal, write, filter = {}, columns } = options;
  const isFolded = !json && options.hasCheckpoints !== true && filter.kinds === undefined;
  const client = await ControlClient.connect(control, silenceMs);
  const print = (event: DaemonEvent | Fold): void => {
    const lines =
      'first' in event
        ? renderFold(event, Date.now(), columns)
        : json
          ? [JSON.stringify(event)]
          : renderEvent(event, vm, Date.now(), columns);
    write(`${lines.join('\n')}\n`);
  };
  try {
    let isNew = false;
    if (follow) {
      await client.watch((event) => {
        if (isNew && passes(event, filter) && !(isFolded && isRoutineEvent(event))) print(event);
      });
    }
    // Events that came before the answer are in the answer.
    const before = (await client.call('events')).filter((event) => passes(event, filter));
    isNew = true;
    for (const event of isFolded ? foldRoutine(before) : before) print(event);
    while (follow && !signal.aborted) {
      // Nothing may happen for long: this notices that the daemon has gone.
      await client.call('status');
      await sleep(ALIVE_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    client.close();
  }
}
