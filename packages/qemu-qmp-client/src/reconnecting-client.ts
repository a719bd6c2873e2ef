import { type CommandOptions, QmpClient } from './client.js';
import { checkTimeoutMs, type QmpClock, systemClock, whenAborted } from './clock.js';
import { DEFAULT_COMMAND_TIMEOUT_MS } from './constants.js';
import { QmpAbortError, QmpConnectionError, QmpError, QmpTimeoutError } from './errors.js';
import { ListenerSet, rethrowLater } from './listeners.js';
import { expectOptions } from './options.js';
import { connectWithRetry, DEFAULT_RETRY_DELAY_MS, pause, type RetryOptions } from './retry.js';
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

export interface ReconnectOptions extends Omit<RetryOptions, 'deadlineMs'> {
  /** For the first connection; 0 for none, the default. Later ones have no deadline. */
  readonly deadlineMs?: number | undefined;
}

/**
 * A client that connects again when its connection is lost, as when QEMU is restarted, and keeps
 * its subscriptions. What happened in between is unknown: events were missed, and it may be another
 * QEMU. So ask for its state in onConnected().
 *
 * A command that is pending when the connection is lost is rejected and never repeated: QEMU may
 * have executed it. One that is asked for while there is no connection waits for the next.
 *
 * @example
 * await using qemu = await QmpReconnectingClient.connect({
 *   target: { kind: 'unix', path: '/run/vm.qmp' },
 * });
 * qemu.onConnected((client) => console.log('QEMU', client.version.major));
 * qemu.onEvent('SHUTDOWN', ({ data }) => console.log(data.reason));
 */
export class QmpReconnectingClient<T extends QmpTables = CommonTables> {
  /** Resolves at the end: with what makes another attempt useless, or undefined after close(). */
  readonly closed: Promise<QmpError | undefined>;

  readonly #options: ReconnectOptions;
  readonly #clock: QmpClock;
  readonly #abort = new AbortController();
  readonly #events: ListenerSet<QmpEvent>;
  readonly #connected: ListenerSet<QmpClient<T>>;
  readonly #lost: ListenerSet<QmpError>;
  /** Commands that wait for a connection. */
  readonly #waiting = new Set<(client: QmpClient<T> | QmpError) => void>();
  #client: QmpClient<T> | undefined;
  #end: QmpError | undefined;
  #resolveClosed: (error: QmpError | undefined) => void = () => undefined;

  private constructor(options: ReconnectOptions) {
    const { onListenerError: report = rethrowLater, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#events = new ListenerSet(report);
    this.#connected = new ListenerSet(report);
    this.#lost = new ListenerSet(report);
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
  }

  /** @throws as connectWithRetry() */
  static async connect<T extends QmpTables = CommonTables>(
    options: ReconnectOptions,
  ): Promise<QmpReconnectingClient<T>> {
    expectOptions(options);
    const { deadlineMs = 0 } = options;
    const self = new QmpReconnectingClient<T>(options);
    self.#attach(await connectWithRetry<T>({ ...options, deadlineMs }));
    return self;
  }

  /** Of the connection of now; undefined while there is none. */
  get client(): QmpClient<T> | undefined {
    return this.#client;
  }

  /** As QmpClient.on(), over all connections. */
  on(listener: (event: AnyEventIn<T>) => void): () => void {
    return this.#events.add(listener as (event: QmpEvent) => void);
  }

  /** As QmpClient.onEvent(), over all connections. */
  onEvent<E extends EventName<T>>(name: E, listener: (event: EventIn<T, E>) => void): () => void {
    return this.on((event) => {
      if (event.event === name) listener(event as EventIn<T, E>);
    });
  }

  /** Calls `listener` with each later connection, before any of its events. */
  onConnected(listener: (client: QmpClient<T>) => void): () => void {
    return this.#connected.add(listener);
  }

  /** Calls `listener` when a connection is lost, with the cause. */
  onLost(listener: (error: QmpError) => void): () => void {
    return this.#lost.add(listener);
  }

  /**
   * As QmpClient.execute(). Without a connection it waits for one, for `timeoutMs` at most; its
   * deadline begins again when it is sent.
   *
   * @throws QmpTimeoutError `QMP_COMMAND_TIMEOUT` with `sent: false` if no connection came
   */
  async execute<C extends CommandName<T>>(
    command: C,
    args?: ArgumentsOf<C, T>,
    options: CommandOptions = {},
  ): Promise<ReturnOf<C, T>> {
    const client = this.#client ?? (await this.#nextClient(command, options));
    return client.execute(command, args, options);
  }

  /** Closes for good. Commands that wait or are pending are rejected with `QMP_CLOSED`. */
  async close(): Promise<void> {
    const error = new QmpConnectionError('QMP_CLOSED', 'the client was closed');
    this.#finish(error, undefined);
    await this.#client?.close();
  }

  /** close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #attach(client: QmpClient<T>): void {
    this.#client = client;
    client.on((event) => this.#events.emit(event as QmpEvent));
    client.onEnd((error) => {
      this.#client = undefined;
      if (this.#end) return;
      if (error === undefined) {
        const message = 'its connection was closed by the caller';
        return this.#finish(new QmpConnectionError('QMP_CLOSED', message), undefined);
      }
      this.#lost.emit(error);
      void this.#reconnect();
    });
  }

  async #reconnect(): Promise<void> {
    const { signal } = this.#abort;
    const { retryDelayMs = DEFAULT_RETRY_DELAY_MS } = this.#options;
    // A connection that is lost by what is asked on it must not be made again at once.
    await pause(retryDelayMs, this.#clock, signal);
    try {
      const client = await connectWithRetry<T>({ ...this.#options, deadlineMs: 0, signal });
      if (this.#end) return void client.close();
      this.#attach(client);
      this.#connected.emit(client);
      for (const settle of [...this.#waiting]) settle(client);
    } catch (error) {
      // What time can't heal: nobody there speaks QMP, or a certificate does not hold.
      if (error instanceof QmpError) this.#finish(error, error);
      else throw error;
    }
  }

  /** The only way to the end. */
  #finish(error: QmpError, cause: QmpError | undefined): void {
    if (this.#end) return;
    this.#end = error;
    this.#abort.abort(error);
    for (const settle of [...this.#waiting]) settle(error);
    this.#events.clear();
    this.#connected.clear();
    this.#lost.clear();
    this.#resolveClosed(cause);
  }

  #nextClient(command: string, options: CommandOptions): Promise<QmpClient<T>> {
    const { commandTimeoutMs = DEFAULT_COMMAND_TIMEOUT_MS } = this.#options;
    const { timeoutMs = commandTimeoutMs, signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#end) {
        const message = `${command}: the client is at its end`;
        throw new QmpConnectionError('QMP_NOT_OPEN', message, { cause: this.#end });
      }
      checkTimeoutMs('timeoutMs', timeoutMs);
      const settle = (outcome: QmpClient<T> | QmpError): void => {
        this.#waiting.delete(settle);
        disarm?.();
        forget();
        if (outcome instanceof QmpError) reject(outcome);
        else resolve(outcome);
      };
      const onTimeout = (): void => {
        const message = `${command}: no connection to QEMU came within ${timeoutMs} ms`;
        settle(new QmpTimeoutError('QMP_COMMAND_TIMEOUT', message));
      };
      const onAbort = (): void => {
        settle(new QmpAbortError(`${command} was aborted`, { cause: signal?.reason }));
      };
      const disarm = timeoutMs === 0 ? undefined : this.#clock.after(timeoutMs, onTimeout);
      const forget = whenAborted(signal, onAbort);
      this.#waiting.add(settle);
      if (signal?.aborted === true) onAbort();
    });
  }
}
