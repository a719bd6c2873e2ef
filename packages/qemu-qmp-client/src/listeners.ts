/** What became of an error thrown by a listener or callback. */
export type ReportListenerError = (error: unknown) => void;

/** The default: as if the listener had been called by Node.js itself, an uncaught exception. */
export const rethrowLater: ReportListenerError = (error) => {
  queueMicrotask(() => {
    throw error;
  });
};

/**
 * Listeners in the order of their registration. One that throws is reported and starves nobody; one
 * removed while a value is handed round does not get it any more, one added then gets the next.
 */
export class ListenerSet<T> {
  readonly #entries = new Set<{ readonly listener: (value: T) => void }>();
  readonly #report: ReportListenerError;

  constructor(report: ReportListenerError) {
    this.#report = report;
  }

  add(listener: (value: T) => void): () => void {
    const entry = { listener };
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  }

  emit(value: T): void {
    for (const entry of [...this.#entries]) {
      if (this.#entries.has(entry)) runGuarded(() => entry.listener(value), this.#report);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** Runs foreign code: what it throws is reported, and what reporting throws is rethrown later. */
export function runGuarded(run: () => void, report: ReportListenerError): void {
  try {
    run();
  } catch (error) {
    try {
      report(error);
    } catch (reportError) {
      rethrowLater(reportError);
    }
  }
}
