import type { QmpClient } from '../client.js';
import { QmpCommandError, QmpError } from '../errors.js';
import type { QmpEvent } from '../schema/events.js';
import { InputError, parseLine, type ShellCommand } from './input.js';

/** How replies, events and errors are shown. */
export interface Display {
  reply(value: unknown, command: ShellCommand): void;
  refused(error: QmpCommandError, command: ShellCommand): void;
  /** What QEMU never saw or never answered. */
  failed(message: string): void;
  event(event: QmpEvent): void;
}

/** Executes lines one after the other, and shows what comes of them. */
export class Session {
  #failures = 0;
  #askedToQuit = false;

  constructor(
    private readonly client: QmpClient,
    private readonly display: Display,
  ) {
    client.on((event) => display.event(event));
  }

  /** Lines that came to nothing. */
  get failures(): number {
    return this.#failures;
  }

  /** QEMU has acknowledged `quit`: that it hangs up is no fault. */
  get askedToQuit(): boolean {
    return this.#askedToQuit;
  }

  /** Never rejects for what a line or QEMU does. */
  async run(line: string, signal?: AbortSignal): Promise<void> {
    let command: ShellCommand | undefined;
    try {
      command = parseLine(line);
      if (command !== undefined) await this.#execute(command, signal);
    } catch (error) {
      this.#failures += 1;
      if (error instanceof QmpCommandError && command !== undefined) {
        this.display.refused(error, command);
      } else if (error instanceof InputError || error instanceof QmpError) {
        this.display.failed(error.message);
      } else {
        throw error;
      }
    }
  }

  async #execute(command: ShellCommand, signal: AbortSignal | undefined): Promise<void> {
    const { oob, args } = command;
    const value = await this.client.executeRaw(command.command, args, { oob, signal });
    if (command.command === 'quit') this.#askedToQuit = true;
    this.display.reply(value, command);
  }
}

/**
 * QMP's own form, a line of JSON each: for programs. What is no message of QEMU's goes to stderr.
 */
export function jsonLines(out: NodeJS.WritableStream, err: NodeJS.WritableStream): Display {
  const print = (message: object): void => void out.write(`${JSON.stringify(message)}\n`);
  const idOf = ({ id }: ShellCommand): object => (id === undefined ? {} : { id });
  return {
    reply: (value, command) => print({ return: value, ...idOf(command) }),
    refused: ({ class: errorClass, desc }, command) =>
      print({ error: { class: errorClass, desc }, ...idOf(command) }),
    failed: (message) => void err.write(`qemu-qmp-client: ${message}\n`),
    event: (event) => print(event),
  };
}

/** For people: indented, and `write` keeps the line that is being typed whole. */
export function readable(write: (text: string) => void): Display {
  const pretty = (value: unknown): string => JSON.stringify(value, undefined, 2);
  return {
    reply: (value) => write(pretty(value)),
    refused: ({ class: errorClass, desc }) => write(`error: ${desc} (${errorClass})`),
    failed: (message) => write(`error: ${message}`),
    event: (event) => {
      const { event: name, timestamp, ...rest } = event;
      const data = 'data' in rest ? ` ${JSON.stringify(rest.data)}` : '';
      write(`event ${timeOf(timestamp)} ${name}${data}`);
    },
  };
}

/** Time of day, in UTC; dashes where QEMU could not tell. */
function timeOf({ seconds, microseconds }: QmpEvent['timestamp']): string {
  if (seconds < 0) return '--:--:--';
  return new Date(seconds * 1000 + microseconds / 1000).toISOString().slice(11, -1);
}
