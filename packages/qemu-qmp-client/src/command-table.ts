/**
 * The commands of one connection, by id.
 *
 *   queued ──► in-flight ──► answered
 *      │           └──────► given-up ──► answered late, ignored
 *      └──► given-up before it was sent: forgotten, QEMU never sees it
 *
 * At most MAX_IN_BAND_IN_FLIGHT in-band commands are with QEMU; one that was given up there still
 * counts, since it still fills QEMU's queue. Out-of-band commands are sent at once.
 */
import { type QmpClock, whenAborted } from './clock.js';
import { MAX_COMMANDS_HELD, MAX_IN_BAND_IN_FLIGHT } from './constants.js';
import {
  QmpAbortError,
  QmpCommandError,
  QmpError,
  QmpTimeoutError,
  QmpUsageError,
} from './errors.js';
import { encodeCommand, type Message } from './wire/messages.js';

/** What became of a command. */
export type CommandResult<Value = unknown> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: QmpError };

export interface CommandRequest {
  readonly command: string;
  readonly args: object | undefined;
  readonly oob: boolean;
  /** 0 for none. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called once, never before add() has returned. */
  readonly settle: (result: CommandResult) => void;
}

interface Entry {
  readonly id: string;
  readonly request: CommandRequest;
  readonly line: string;
  state: 'queued' | 'in-flight' | 'given-up';
  /** Takes back the timer and the abort listener. */
  release: () => void;
}

export interface CommandTableOptions {
  readonly idPrefix: string;
  readonly clock: QmpClock;
  readonly write: (line: string) => void;
}

export class CommandTable {
  readonly #options: CommandTableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  #inBandInFlight = 0;
  #lastId = 0;

  constructor(options: CommandTableOptions) {
    this.#options = options;
  }

  /**
   * @throws QmpUsageError `QMP_TOO_MANY_COMMANDS`
   * @throws QmpUsageError `QMP_UNSERIALIZABLE_ARGUMENTS`
   * @throws QmpAbortError
   */
  add(request: CommandRequest): void {
    const { command, args, oob, timeoutMs, signal } = request;
    if (signal?.aborted === true) throw aborted(command, signal.reason, false);
    if (this.#entries.size >= MAX_COMMANDS_HELD) {
      const message = `${command}: ${MAX_COMMANDS_HELD} commands await an answer already`;
      throw new QmpUsageError('QMP_TOO_MANY_COMMANDS', message);
    }
    this.#lastId += 1;
    const id = `${this.#options.idPrefix}-${this.#lastId}`;
    const line = encode(command, args, id, oob);
    const entry: Entry = { id, request, line, state: 'queued', release: () => undefined };
    this.#entries.set(id, entry);
    this.#arm(entry, timeoutMs, signal);
    if (oob) {
      this.#send(entry);
    } else {
      this.#queue.push(entry);
      this.#sendQueued();
    }
  }

  /** Settles the command that `message` answers; false if it answers none. */
  answer(message: Extract<Message, { kind: 'return' | 'error' }>): boolean {
    const entry = typeof message.id === 'string' ? this.#entries.get(message.id) : undefined;
    if (entry === undefined || entry.state === 'queued') return false;
    this.#entries.delete(entry.id);
    if (!entry.request.oob) {
      this.#inBandInFlight -= 1;
      this.#sendQueued();
    }
    if (entry.state === 'given-up') return true;
    entry.release();
    entry.request.settle(resultOf(message, entry.request.command));
    return true;
  }

  /** Fails whatever is pending, in the order of asking. */
  failAll(error: QmpError): void {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#queue.length = 0;
    for (const entry of entries) {
      entry.release();
      if (entry.state !== 'given-up') entry.request.settle({ ok: false, error });
    }
  }

  #arm(entry: Entry, timeoutMs: number, signal: AbortSignal | undefined): void {
    const { command } = entry.request;
    const sent = (): boolean => entry.state !== 'queued';
    const onTimeout = (): void => {
      const how = sent() ? 'was not answered' : 'could not be sent (QEMU answers none before it)';
      const message = `${command} ${how} within ${timeoutMs} ms`;
      this.#giveUp(entry, new QmpTimeoutError('QMP_COMMAND_TIMEOUT', message, { sent: sent() }));
    };
    const disarm = timeoutMs === 0 ? undefined : this.#options.clock.after(timeoutMs, onTimeout);
    const forget = whenAborted(signal, () => {
      this.#giveUp(entry, aborted(command, signal?.reason, sent()));
    });
    entry.release = () => {
      disarm?.();
      forget();
    };
  }

  #giveUp(entry: Entry, error: QmpError): void {
    entry.release();
    if (entry.state === 'queued') {
      this.#entries.delete(entry.id);
      this.#queue.splice(this.#queue.indexOf(entry), 1);
    } else {
      entry.state = 'given-up';
    }
    entry.request.settle({ ok: false, error });
  }

  #sendQueued(): void {
    while (this.#inBandInFlight < MAX_IN_BAND_IN_FLIGHT) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      this.#inBandInFlight += 1;
      this.#send(entry);
    }
  }

  #send(entry: Entry): void {
    entry.state = 'in-flight';
    this.#options.write(entry.line);
  }
}

function encode(command: string, args: object | undefined, id: string, oob: boolean): string {
  try {
    return encodeCommand(command, args, id, oob);
  } catch (cause) {
    const message = `${command}: its arguments cannot be written as JSON`;
    throw new QmpUsageError('QMP_UNSERIALIZABLE_ARGUMENTS', message, { cause });
  }
}

function resultOf(
  message: Extract<Message, { kind: 'return' | 'error' }>,
  command: string,
): CommandResult {
  if (message.kind === 'return') return { ok: true, value: message.value };
  return { ok: false, error: new QmpCommandError(command, message.errorClass, message.desc) };
}

function aborted(command: string, cause: unknown, sent: boolean): QmpAbortError {
  return new QmpAbortError(`${command} was aborted by its caller`, { cause, sent });
}
