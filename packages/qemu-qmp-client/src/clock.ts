import { MAX_TIMEOUT_MS } from './constants.js';
import { QmpUsageError } from './errors.js';

/** Timers, passed in so that a simulation can run them. */
export interface QmpClock {
  /** Runs `run` once, `delayMs` from now; the function that it returns takes that back. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: QmpClock = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * A whole number of milliseconds that a timer can take.
 * @throws QmpUsageError `QMP_INVALID_OPTION`
 */
export function checkTimeoutMs(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_TIMEOUT_MS) return value;
  const message = `${name} must be a whole number from 0 to ${MAX_TIMEOUT_MS}, not ${value}`;
  throw new QmpUsageError('QMP_INVALID_OPTION', message);
}

/**
 * A whole number, at least 1.
 * @throws QmpUsageError `QMP_INVALID_OPTION`
 */
export function checkCount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new QmpUsageError(
    'QMP_INVALID_OPTION',
    `${name} must be a whole number above 0, not ${value}`,
  );
}

/** Runs `onAbort` once if `signal` fires; the function that it returns takes that back. */
export function whenAborted(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => undefined;
  signal.addEventListener('abort', onAbort, { once: true });
  return () => signal.removeEventListener('abort', onAbort);
}
