import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient, type DaemonEvent } from '@gannet/contract';
import { renderEvent } from './render.js';

const ALIVE_EVERY_MS = 1000;

export interface EventsOptions {
  readonly vm: string;
  readonly control: string;
  readonly silenceMs: number;
  readonly json: boolean;
  /** Continues until `signal`. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly write: (text: string) => unknown;
}

/**
 * Prints the events so far, and with `follow` those to come.
 *
 * @throws GannetError CONTROL_UNREACHABLE if the daemon ends while it is followed
 */
export async function printEvents(options: EventsOptions): Promise<void> {
  const { vm, control, silenceMs, json, follow, signal, write } = options;
  const client = await ControlClient.connect(control, silenceMs);
  const print = (event: DaemonEvent): void => {
    const lines = json ? [JSON.stringify(event)] : renderEvent(event, vm);
    write(`${lines.join('\n')}\n`);
  };
  try {
    let isNew = false;
    if (follow) {
      await client.watch((event) => {
        if (isNew) print(event);
      });
    }
    // Events that came before the answer are in the answer.
    const before = await client.call('events');
    isNew = true;
    for (const event of before) print(event);
    while (follow && !signal.aborted) {
      // Nothing may happen for long: this notices that the daemon has gone.
      await client.call('status');
      await sleep(ALIVE_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    client.close();
  }
}
