import { setTimeout as sleep } from 'node:timers/promises';
import {
  ControlClient,
  type DaemonEvent,
  describeError,
  GannetError,
  type Status,
  statusSchema,
} from '@gannet/contract';
import { formatTime } from '@gannet/contract/format';
import { wrap } from '../terminal.js';
import { renderEvent, renderLine, renderWatch } from './render.js';
import { Canvas, isDrawable, type Room, type Screen } from './screen.js';

const STATUS_EVERY_MS = 1000;
const LINE_EVERY_MS = 10_000;
const EVENTS_MAX = 1000;

export interface WatchOptions {
  readonly vm: string;
  readonly control: string;
  readonly silenceMs: number;
  readonly screen: Screen;
  readonly env: NodeJS.ProcessEnv;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Shows how a VM is until it is told to end. A daemon that goes is waited for. */
export async function watch(options: WatchOptions): Promise<void> {
  const { screen, env } = options;
  const shown = isDrawable(screen, env)
    ? new Drawing(screen, env['NO_COLOR'] === undefined)
    : new Lines(screen, options.vm);
  shown.begin();
  try {
    while (!options.signal.aborted) {
      await follow(options, shown).catch((error: unknown) => shown.trouble(error));
      await pause(options.signal);
    }
  } finally {
    shown.end();
  }
}

/** @throws GannetError when the daemon can't be asked any more */
async function follow(options: WatchOptions, shown: Drawing | Lines): Promise<void> {
  const { control, silenceMs, signal } = options;
  const client = await ControlClient.connect(control, silenceMs);
  try {
    let isNew = false;
    await client.watch((event) => {
      if (isNew) shown.event(event);
    });
    // Events that came before the answer are in the answer.
    const before = await client.call('events');
    isNew = true;
    shown.events(before);
    while (!signal.aborted) {
      shown.status(expectStatus(await client.call('status')));
      await pause(signal);
    }
  } finally {
    client.close();
  }
}

/** @throws GannetError CONTROL_PROTOCOL for the status of a daemon of another version */
function expectStatus(value: unknown): Status {
  const { data } = statusSchema.safeParse(value);
  if (data) return data;
  const remedy = 'Use the same version of `gannet` as the daemon, or restart the daemon.';
  const message = 'the daemon sent a status that this version does not understand';
  throw new GannetError('GANNET_CONTROL_PROTOCOL', message, remedy);
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(STATUS_EVERY_MS, undefined, { signal }).catch(() => undefined);
}

class Drawing {
  #events: DaemonEvent[] = [];
  #status: Status | undefined;
  #trouble = '';
  readonly #canvas: Canvas;

  constructor(
    screen: Screen,
    private readonly hasColour: boolean,
  ) {
    this.#canvas = new Canvas(screen, (room) => this.#lines(room));
  }

  begin(): void {
    this.#canvas.begin();
  }

  end(): void {
    this.#canvas.end();
  }

  events(events: readonly DaemonEvent[]): void {
    this.#events = [...events];
  }

  event(event: DaemonEvent): void {
    this.#events = [...this.#events, event].slice(-EVENTS_MAX);
    this.#canvas.draw();
  }

  status(status: Status): void {
    this.#trouble = '';
    this.#status = status;
    this.#canvas.draw();
  }

  trouble(error: unknown): void {
    const { message, remedy } = describeError(error);
    this.#trouble = `${message}. ${remedy} Trying again.`;
    this.#canvas.draw();
  }

  #lines(room: Room): string[] {
    if (this.#trouble !== '') return wrap(this.#trouble, room.columns);
    if (!this.#status) return [];
    const style = { ...room, hasColour: this.hasColour };
    return renderWatch(this.#status, this.#events, style, Date.now());
  }
}

/** No terminal: a line for each event, and now and then one for the whole. */
class Lines {
  #headline = '';
  #saidMs = -Infinity;
  #trouble = '';
  #isKnown = false;

  constructor(
    private readonly screen: Screen,
    private readonly vm: string,
  ) {}

  begin(): void {
    return;
  }

  end(): void {
    return;
  }

  /** Those of before are for `gannet events`. */
  events(): void {
    this.#isKnown = true;
  }

  event(event: DaemonEvent): void {
    if (this.#isKnown) for (const line of renderEvent(event, this.vm)) this.#say(line);
  }

  status(status: Status): void {
    this.#trouble = '';
    const { headline } = status.health;
    const nowMs = performance.now();
    if (headline === this.#headline && nowMs - this.#saidMs < LINE_EVERY_MS) return;
    this.#headline = headline;
    this.#saidMs = nowMs;
    this.#say(`${formatTime(new Date().toISOString())} == ${renderLine(status)}`);
  }

  trouble(error: unknown): void {
    const { message } = describeError(error);
    if (message === this.#trouble) return;
    this.#trouble = message;
    this.#headline = '';
    this.#say(`${formatTime(new Date().toISOString())} !! ${message}; trying again`);
  }

  #say(line: string): void {
    this.screen.write(`${line}\n`);
  }
}
