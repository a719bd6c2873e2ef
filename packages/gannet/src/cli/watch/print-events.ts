import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient, type DaemonEvent } from '@gannet/contract';
import { renderEvent } from './render.js';

const ALIVE_EVERY_MS = 1000;

export interface EventsOptions {
  readonly control: string;
  readonly silenceMs: number;
  readonly json: boolean;
  /** Goes on until `signal`. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly write: (text: string) => unknown;
}

/** Prints what happened, and what happens. @throws GannetError when the daemon goes while it is followed */
export async function printEvents(options: EventsOptions): Promise<void> {
  const { control, silenceMs, json, follow, signal, write } = options;
  const client = await ControlClient.connect(control, silenceMs);
  const say = (event: DaemonEvent): void => {
    const lines = json ? [JSON.stringify(event)] : renderEvent(event);
    write(`${lines.join('\n')}\n`);
  };
  try {
    let isNew = false;
    if (follow) {
      await client.watch((event) => {
        if (isNew) say(event as DaemonEvent);
      });
    }
    // What came before the answer is part of it.
    const before = (await client.call('events')) as readonly DaemonEvent[];
    isNew = true;
    for (const event of before) say(event);
    while (follow && !signal.aborted) {
      // Nothing may happen for long: this notices that the daemon has gone.
      await client.call('status');
      await sleep(ALIVE_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    client.close();
  }
}
