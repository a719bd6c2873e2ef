import { checkTimeoutMs, whenAborted } from './clock.js';
import { CommandTable, type CommandRequest, type CommandResult } from './command-table.js';
import type { QmpConnection, Inbound } from './wire/connection.js';
import { CAPABILITY_OOB } from './constants.js';
import {
  QmpAbortError,
  QmpConnectionError,
  QmpError,
  QmpProtocolError,
  QmpTimeoutError,
  QmpUsageError,
} from './errors.js';
import { establish, type Established } from './establish.js';
import { type EventStreamOptions, QmpEventStream } from './event-stream.js';
import { repeatedGreeting, unknownId } from './wire/handshake.js';
import { ListenerSet, runGuarded } from './listeners.js';
import type { Message, QmpVersion } from './wire/messages.js';
import { type ConnectOptions, type Settings, settingsOf } from './options.js';
import type { QmpEvent } from './schema/events.js';
import type {
  AnyEventIn,
  ArgumentsOf,
  CommandName,
  CommonTables,
  EventIn,
  EventName,
  QmpTables,
  ReturnOf,
} from './schema/tables.js';

/**
 * `open`: connected and negotiated. `closed`: close() was called. `dead`: it failed; the cause is
 * kept. Both ends are final; make a new client to go on.
 */
export type ClientState = 'open' | 'closed' | 'dead';

export interface CommandOptions {
  /** From the call to the answer; 0 for none. The client's `commandTimeoutMs` by default. */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting for the answer; QEMU is not told, and may execute the command. */
  readonly signal?: AbortSignal | undefined;
  /** Execute out-of-band; QEMU knows four such commands, `yank` and `query-yank` among them. */
  readonly oob?: boolean | undefined;
}

export interface EventWaitOptions {
  /** None by default, nor for 0. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A client of one QMP monitor (QEMU docs/interop/qmp-spec.rst).
 *
 * Order: events and the callbacks of call() run in the tick in which their bytes arrive, in the
 * order of the bytes. Promises, those of execute() and waitForEvent(), resolve in a microtask after
 * that. What arrives before connect() has resolved, or in the same chunk, is held for one turn of
 * the event loop (setImmediate): a listener added right after `await QmpClient.connect()` misses
 * nothing.
 *
 * `T` has the types of commands and events, and is of no effect at run time: whether QEMU is of
 * that release, `version` tells.
 *
 * @example
 * const client = await QmpClient.connect({ target: { kind: 'unix', path: '/run/vm.qmp' } });
 * client.onEvent('SHUTDOWN', ({ data }) => console.log(data.reason));
 * const { status } = await client.execute('query-status');
 * const instances = await client.execute('query-yank', {}, { oob: true });
 * await client.close();
 */
export class QmpClient<T extends QmpTables = CommonTables> {
  /** QEMU's version, from its greeting. */
  readonly version: QmpVersion;
  /** Capabilities in force: `['oob']` or none. */
  readonly capabilities: readonly string[];
  /** Capabilities that the greeting offered, in force or not. */
  readonly offeredCapabilities: readonly string[];
  /** Resolves at the end: with what killed the client, or with undefined after close(). */
  readonly closed: Promise<QmpError | undefined>;

  readonly #connection: QmpConnection;
  readonly #settings: Settings;
  readonly #commands: CommandTable;
  readonly #events: ListenerSet<QmpEvent>;
  readonly #ends: ListenerSet<QmpError | undefined>;
  #resolveClosed: (error: QmpError | undefined) => void = () => undefined;
  #state: ClientState = 'open';
  #cause: QmpError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(established: Established, settings: Settings) {
    this.version = established.version;
    this.capabilities = established.enabled;
    this.offeredCapabilities = established.offered;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#connection = established.connection;
    this.#settings = settings;
    this.#events = new ListenerSet(settings.onListenerError);
    this.#ends = new ListenerSet(settings.onListenerError);
    this.#commands = new CommandTable({
      idPrefix: settings.idPrefix,
      clock: settings.clock,
      write: (line) => this.#connection.write(line),
    });
    setImmediate(() => {
      if (this.#state === 'open') this.#connection.receiveWith((inbound) => this.#receive(inbound));
    });
  }

  /**
   * Connects and negotiates. On failure nothing is left open.
   * @throws QmpConnectionError `QMP_DIAL_FAILED`
   * @throws QmpConnectionError `QMP_EARLY_CLOSE`
   * @throws QmpConnectionError `QMP_NEGOTIATION_REFUSED`
   * @throws QmpProtocolError
   * @throws QmpTimeoutError `QMP_CONNECT_TIMEOUT` also where another client holds the monitor
   * @throws QmpAbortError
   * @throws QmpOverflowError `QMP_EARLY_OVERFLOW`
   * @throws QmpUsageError `QMP_INVALID_OPTION`
   */
  static async connect<T extends QmpTables = CommonTables>(
    options: ConnectOptions,
  ): Promise<QmpClient<T>> {
    const settings = settingsOf(options);
    const { onListenerError, onWarning } = settings;
    const guarded: Settings = {
      ...settings,
      onWarning: (warning) => runGuarded(() => onWarning(warning), onListenerError),
    };
    return new QmpClient<T>(await establish(guarded), guarded);
  }

  get state(): ClientState {
    return this.#state;
  }

  /**
   * Executes a command. At most seven in-band commands are with QEMU at a time, so that it always
   * reads its socket for an out-of-band one; further ones wait here, their deadline running.
   * @throws QmpCommandError
   * @throws QmpTimeoutError `QMP_COMMAND_TIMEOUT`
   * @throws QmpAbortError
   * @throws QmpUsageError `QMP_OOB_NOT_NEGOTIATED`
   * @throws QmpUsageError `QMP_TOO_MANY_COMMANDS`
   * @throws QmpUsageError `QMP_UNSERIALIZABLE_ARGUMENTS`
   * @throws QmpUsageError `QMP_INVALID_OPTION`
   * @throws QmpConnectionError `QMP_CLOSED`
   * @throws QmpConnectionError `QMP_NOT_OPEN`
   * @throws QmpError what ended the client
   */
  execute<C extends CommandName<T>>(
    command: C,
    args?: ArgumentsOf<C, T>,
    options?: CommandOptions,
  ): Promise<ReturnOf<C, T>> {
    return this.executeRaw(command, args, options) as Promise<ReturnOf<C, T>>;
  }

  /** Executes any command; otherwise as execute(). */
  executeRaw(command: string, args?: object, options?: CommandOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.callRaw(
        command,
        args,
        (result) => {
          if (result.ok) resolve(result.value);
          else reject(result.error);
        },
        options,
      );
    });
  }

  /**
   * Executes a command and hands its result to `callback` in the tick in which the reply arrives,
   * in byte order with events: use it if the order matters. Errors as of execute().
   * `callback` runs once, never before call() has returned.
   */
  call<C extends CommandName<T>>(
    command: C,
    args: ArgumentsOf<C, T> | undefined,
    callback: (result: CommandResult<ReturnOf<C, T>>) => void,
    options?: CommandOptions,
  ): void {
    const settle = (result: CommandResult): void => {
      callback(result as CommandResult<ReturnOf<C, T>>);
    };
    this.callRaw(command, args, settle, options);
  }

  /** As call(), for any command. */
  callRaw(
    command: string,
    args: object | undefined,
    callback: (result: CommandResult) => void,
    options: CommandOptions = {},
  ): void {
    const { onListenerError } = this.#settings;
    const settle = (result: CommandResult): void => {
      runGuarded(() => callback(result), onListenerError);
    };
    try {
      this.#commands.add(this.#request(command, args, settle, options));
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      queueMicrotask(() => settle({ ok: false, error }));
    }
  }

  /** Calls `listener` with every event. Returns the function that takes it off again. */
  on(listener: (event: AnyEventIn<T>) => void): () => void {
    return this.#events.add(listener as (event: QmpEvent) => void);
  }

  /**
   * Calls `listener` with every event of that name. Returns the function that takes it off again.
   */
  onEvent<E extends EventName<T>>(name: E, listener: (event: EventIn<T, E>) => void): () => void {
    return this.on((event) => {
      if (event.event === name) listener(event as EventIn<T, E>);
    });
  }

  /**
   * Calls `listener` once at the end, synchronously, after the pending commands were rejected: with
   * what killed the client, or undefined after close(). On a client at its end, in a microtask.
   */
  onEnd(listener: (error: QmpError | undefined) => void): () => void {
    if (this.#state === 'open') return this.#ends.add(listener);
    let wanted = true;
    queueMicrotask(() => {
      if (!wanted) return;
      runGuarded(() => listener(this.#cause), this.#settings.onListenerError);
    });
    return () => {
      wanted = false;
    };
  }

  /**
   * Events as a stream of bounded length, subscribed from this call on; see QmpEventStream for its
   * ends.
   * @throws QmpUsageError `QMP_INVALID_OPTION` for a limit below 1
   */
  events(options?: EventStreamOptions): QmpEventStream<AnyEventIn<T>> {
    return new QmpEventStream<AnyEventIn<T>>(this, options);
  }

  /**
   * The next event of that name, or the next for which `predicate` holds, counted from this call:
   * ask before you execute what brings it about. The promise may be dropped: its rejection is never
   * unhandled.
   * @throws QmpTimeoutError `QMP_WAIT_TIMEOUT`
   * @throws QmpAbortError
   * @throws QmpConnectionError `QMP_CLOSED`
   * @throws QmpConnectionError `QMP_NOT_OPEN`
   * @throws QmpError what ended the client
   * @throws what `predicate` throws
   */
  waitForEvent<E extends EventName<T>>(name: E, options?: EventWaitOptions): Promise<EventIn<T, E>>;
  waitForEvent(
    wanted: string | ((event: AnyEventIn<T>) => boolean),
    options?: EventWaitOptions,
  ): Promise<AnyEventIn<T>>;
  waitForEvent(
    wanted: string | ((event: AnyEventIn<T>) => boolean),
    options: EventWaitOptions = {},
  ): Promise<AnyEventIn<T>> {
    const matches =
      typeof wanted === 'string' ? (event: AnyEventIn<T>) => event.event === wanted : wanted;
    const what = typeof wanted === 'string' ? wanted : 'the event';
    const waiting = this.#waitFor(matches, what, options);
    waiting.catch(() => undefined);
    return waiting;
  }

  /**
   * Closes: pending commands are rejected with `QMP_CLOSED`, no listener hears of an event any
   * more. Resolves when the socket is closed. Calling it again, or on a dead client, is harmless.
   */
  close(): Promise<void> {
    this.#setState('closed', undefined);
    this.#closing ??= this.#connection.destroy();
    return this.#closing;
  }

  /** close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #request(
    command: string,
    args: object | undefined,
    settle: (result: CommandResult) => void,
    options: CommandOptions,
  ): CommandRequest {
    if (this.#state !== 'open') throw this.#notOpen(command);
    const { timeoutMs = this.#settings.commandTimeoutMs, signal, oob = false } = options;
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (oob && !this.capabilities.includes(CAPABILITY_OOB)) {
      const message = `${command}: out-of-band execution was not negotiated on this connection`;
      throw new QmpUsageError('QMP_OOB_NOT_NEGOTIATED', message);
    }
    return { command, args, oob, timeoutMs, signal, settle };
  }

  #waitFor(
    matches: (event: AnyEventIn<T>) => boolean,
    what: string,
    { timeoutMs = 0, signal }: EventWaitOptions,
  ): Promise<AnyEventIn<T>> {
    return new Promise((resolve, reject) => {
      if (this.#state !== 'open') throw this.#notOpen(what);
      const undo: (() => void)[] = [];
      const finish = (settle: () => void): void => {
        for (const step of undo) step();
        settle();
      };
      const fail = (error: Error): void => finish(() => reject(error));
      checkTimeoutMs('timeoutMs', timeoutMs);
      if (signal?.aborted === true) throw waitAborted(what, signal);
      if (timeoutMs > 0) {
        const message = `${what} did not come within ${timeoutMs} ms`;
        const onTimeout = (): void => fail(new QmpTimeoutError('QMP_WAIT_TIMEOUT', message));
        undo.push(this.#settings.clock.after(timeoutMs, onTimeout));
      }
      undo.push(
        whenAborted(signal, () => fail(waitAborted(what, signal))),
        this.onEnd((error) => fail(error ?? closedWhile(what))),
        this.on((event) => {
          try {
            if (matches(event)) finish(() => resolve(event));
          } catch (error) {
            fail(error as Error);
          }
        }),
      );
    });
  }

  #receive(inbound: Inbound): void {
    if (inbound.kind === 'end') this.#die(inbound.error);
    else this.#dispatch(inbound.message);
  }

  #dispatch(message: Message): void {
    switch (message.kind) {
      case 'event':
        this.#events.emit(message.event);
        return;
      case 'return':
      case 'error':
        if (this.#commands.answer(message)) return;
        if (message.kind === 'error' && message.id === undefined) {
          // One of ours it may be, but which? Rather fail all than let that one hang.
          const text = `QEMU could not read a command: ${message.desc}`;
          this.#die(new QmpProtocolError('QMP_RESPONSE_WITHOUT_ID', text));
        } else {
          this.#settings.onWarning(unknownId(message.id));
        }
        return;
      case 'greeting':
        this.#die(repeatedGreeting());
    }
  }

  #die(cause: QmpError): void {
    this.#closing ??= this.#connection.destroy();
    this.#setState('dead', cause);
  }

  /** The only place where the state changes, and what goes with it. */
  #setState(state: 'closed' | 'dead', cause: QmpError | undefined): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.#cause = cause;
    this.#events.clear();
    this.#commands.failAll(cause ?? closedWhile('this command'));
    this.#ends.emit(cause);
    this.#ends.clear();
    this.#resolveClosed(cause);
  }

  #notOpen(what: string): QmpConnectionError {
    const message = `${what}: the client is ${this.#state}`;
    return new QmpConnectionError('QMP_NOT_OPEN', message, this.#cause && { cause: this.#cause });
  }
}

function closedWhile(what: string): QmpConnectionError {
  return new QmpConnectionError('QMP_CLOSED', `the client was closed while ${what} was awaited`);
}

function waitAborted(what: string, signal: AbortSignal | undefined): QmpAbortError {
  return new QmpAbortError(`waiting for ${what} was aborted`, { cause: signal?.reason });
}
