import type { QmpClient, QmpEvent } from 'qemu-qmp-client';

/** What shows of checkpoints, and the end of the connection; `error` undefined after close(). */
export type QmpColoEvent =
  /** `atUs`: QEMU's timestamp of the event, in microseconds. */
  | { readonly kind: 'stop'; readonly atUs: number }
  | { readonly kind: 'resume'; readonly atUs: number }
  | { readonly kind: 'colo-exit'; readonly reason: string }
  | { readonly kind: 'end'; readonly error: Error | undefined };

/** Answer of query-colo-status (QEMU qapi/migration.json, COLOStatus). */
export interface ColoStatusAnswer {
  readonly mode: string;
  readonly lastMode: string;
  readonly reason: string;
}

/**
 * Checkpoints as seen on one VM's QMP connection. Listeners and callbacks run synchronously, in the
 * order in which QEMU wrote the bytes: an answer stands before or after an event as it did in QEMU.
 * That order is what a commit's timing hangs on, so nothing here goes through a promise.
 */
export class QmpColoMonitor {
  readonly #qmp: QmpClient;
  readonly #timeoutMs: number;

  /** @param options.timeoutMs how long a query may take before its callback gets an error */
  constructor(qmp: QmpClient, options: { readonly timeoutMs?: number } = {}) {
    this.#qmp = qmp;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
  }

  /** Returns the function that takes `listener` off again. `end` comes at most once, and last. */
  subscribe(listener: (event: QmpColoEvent) => void): () => void {
    const off = this.#qmp.on((event) => {
      const colo = translate(event);
      if (colo !== undefined) listener(colo);
    });
    const offEnd = this.#qmp.onEnd((error) => listener({ kind: 'end', error }));
    return () => {
      off();
      offEnd();
    };
  }

  /** `callback` runs once, never before this has returned. */
  queryColoStatus(callback: (result: ColoStatusAnswer | Error) => void): void {
    this.#qmp.call(
      'query-colo-status',
      {},
      (result) => {
        if (!result.ok) return callback(result.error);
        const { mode, 'last-mode': lastMode, reason } = result.value;
        callback({ mode, lastMode, reason });
      },
      { timeoutMs: this.#timeoutMs },
    );
  }

  /** QEMU's run state: `running`, `paused`, `colo`… (qapi/run-state.json). As queryColoStatus(). */
  queryRunState(callback: (result: string | Error) => void): void {
    this.#qmp.call(
      'query-status',
      {},
      (result) => callback(result.ok ? result.value.status : result.error),
      { timeoutMs: this.#timeoutMs },
    );
  }
}

function translate(event: QmpEvent): QmpColoEvent | undefined {
  switch (event.event) {
    case 'STOP':
      return { kind: 'stop', atUs: microsecondsOf(event) };
    case 'RESUME':
      return { kind: 'resume', atUs: microsecondsOf(event) };
    case 'COLO_EXIT':
      return { kind: 'colo-exit', reason: event.data.reason };
    default:
      return undefined;
  }
}

function microsecondsOf({ timestamp }: QmpEvent): number {
  return timestamp.seconds * 1_000_000 + timestamp.microseconds;
}
