import { checkCount, whenAborted } from './clock.js';
import { DEFAULT_EVENT_LIMIT } from './constants.js';
import { QmpAbortError, type QmpError, QmpOverflowError } from './errors.js';
import type { QmpEvent } from './schema/events.js';

export interface EventStreamOptions {
  /** Only these; all by default. */
  readonly names?: readonly string[] | undefined;
  /**
   * Events kept for a reader that lags behind, at least 1; by default DEFAULT_EVENT_LIMIT, 1024.
   */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where events come from. */
export interface EventSource<Event = QmpEvent> {
  on(listener: (event: Event) => void): () => void;
  onEnd(listener: (error: QmpError | undefined) => void): () => void;
}

interface Waiter<Event> {
  readonly resolve: (result: IteratorResult<Event, undefined>) => void;
  readonly reject: (error: QmpError) => void;
}

/**
 * Events in order, through a queue of bounded length. Subscribed from its making, not from the
 * first next(). It ends in one of these ways, each after the events already queued were read:
 * - overflow: next() rejects with QmpOverflowError `QMP_EVENT_OVERFLOW`. What is queued is the
 *   oldest, without
 *   gaps; what came after the overflow is lost.
 * - the client died: next() rejects with the cause; it was closed: done.
 * - `signal`: next() rejects with QmpAbortError.
 * - return(), as by `break` in `for await`: done, the queue is dropped. An error is given once;
 *   after it, done.
 */
export class QmpEventStream<
  Event extends { readonly event: string } = QmpEvent,
> implements AsyncIterableIterator<Event, undefined> {
  readonly #limit: number;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #queue: Event[] = [];
  readonly #waiters: Waiter<Event>[] = [];
  #state: 'open' | 'ended' = 'open';
  #error: QmpError | undefined;
  #unsubscribe: () => void;

  /** @throws QmpUsageError `QMP_INVALID_OPTION` for a limit below 1 */
  constructor(source: EventSource<Event>, options: EventStreamOptions = {}) {
    this.#limit = checkCount('limit', options.limit ?? DEFAULT_EVENT_LIMIT);
    this.#names = options.names && new Set(options.names);
    const { signal } = options;
    const onAbort = (): void => {
      this.#end(new QmpAbortError('reading events was aborted', { cause: signal?.reason }));
    };
    const subscriptions = [
      source.on((event) => this.#take(event)),
      source.onEnd((error) => this.#end(error)),
      whenAborted(signal, onAbort),
    ];
    this.#unsubscribe = () => {
      for (const unsubscribe of subscriptions) unsubscribe();
    };
    if (signal?.aborted === true) onAbort();
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const event = this.#queue.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    const error = this.#error;
    if (error !== undefined) {
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#state === 'ended') return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.#end(undefined);
    this.#queue.length = 0;
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(event: Event): void {
    if (this.#state === 'ended') return;
    if (this.#names !== undefined && !this.#names.has(event.event)) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: event });
    } else if (this.#queue.length < this.#limit) {
      this.#queue.push(event);
    } else {
      const message = `the reader is more than ${this.#limit} events behind`;
      this.#end(new QmpOverflowError('QMP_EVENT_OVERFLOW', message));
    }
  }

  #end(error: QmpError | undefined): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#unsubscribe();
    const [first, ...others] = this.#waiters.splice(0);
    if (first !== undefined && error !== undefined) {
      first.reject(error);
    } else {
      this.#error = error;
      first?.resolve({ done: true, value: undefined });
    }
    for (const waiter of others) waiter.resolve({ done: true, value: undefined });
  }
}
