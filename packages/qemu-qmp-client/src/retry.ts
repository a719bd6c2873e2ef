import { QmpClient } from './client.js';
import { checkTimeoutMs, type QmpClock, systemClock, whenAborted } from './clock.js';
import { DEFAULT_CONNECT_TIMEOUT_MS } from './constants.js';
import { QmpAbortError, QmpConnectionError, QmpError, QmpTimeoutError } from './errors.js';
import { type ConnectOptions, expectOptions } from './options.js';
import type { CommonTables, QmpTables } from './schema/tables.js';
import { describeTarget, type StreamTarget } from './targets.js';

export interface RetryOptions extends ConnectOptions {
  /** A stream cannot be dialled again. */
  readonly target: Exclude<ConnectOptions['target'], StreamTarget>;
  /** For all attempts together; 0 for none. */
  readonly deadlineMs: number;
  /** Between attempts, 100 by default. */
  readonly retryDelayMs?: number | undefined;
  /** Told of each attempt that failed, for logs. */
  readonly onAttemptFailed?: ((error: QmpError) => void) | undefined;
}

export const DEFAULT_RETRY_DELAY_MS = 100;

/** What a socket says that is not there yet, or not ready. */
const TRANSIENT = new Set([
  'EAGAIN',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * Connects as soon as there is somebody to connect to: for a daemon that may be up before its QEMU,
 * or that lost the connection. Tries again after what time may heal (no socket yet, connection
 * refused, hung up early, no greeting within `connectTimeoutMs`); anything else, such as a server
 * that speaks no QMP or a certificate that does not hold, fails at once.
 * @throws as QmpClient.connect()
 * @throws QmpTimeoutError `QMP_CONNECT_TIMEOUT` at the deadline, whose `cause` is the last
 *   attempt's error
 * @throws QmpAbortError
 */
export async function connectWithRetry<T extends QmpTables = CommonTables>(
  options: RetryOptions,
): Promise<QmpClient<T>> {
  expectOptions(options);
  const { signal, retryDelayMs = DEFAULT_RETRY_DELAY_MS, clock = systemClock } = options;
  const deadlineMs = checkTimeoutMs('deadlineMs', options.deadlineMs);
  checkTimeoutMs('retryDelayMs', retryDelayMs);
  const attempts = new AbortController();
  const stop = (): void => attempts.abort();
  const disarm = deadlineMs === 0 ? undefined : clock.after(deadlineMs, stop);
  const forget = whenAborted(signal, stop);
  if (signal?.aborted === true) stop();
  let last: QmpError | undefined;
  try {
    while (!attempts.signal.aborted) {
      const outcome = await attempt<T>({ ...options, signal: attempts.signal });
      if (outcome instanceof QmpClient) return outcome;
      if (outcome instanceof QmpAbortError) break;
      last = outcome;
      options.onAttemptFailed?.(outcome);
      await pause(retryDelayMs, clock, attempts.signal);
    }
  } finally {
    disarm?.();
    forget();
  }
  if (signal?.aborted === true) {
    throw new QmpAbortError('connecting was aborted', { cause: signal.reason });
  }
  const why = last === undefined ? '' : `: ${last.message}`;
  const message = `nobody answered at ${describeTarget(options.target)} for ${deadlineMs} ms${why}`;
  throw new QmpTimeoutError('QMP_CONNECT_TIMEOUT', message, { cause: last });
}

/** A client, or an error after which another attempt makes sense. */
async function attempt<T extends QmpTables>(
  options: ConnectOptions,
): Promise<QmpClient<T> | QmpError> {
  // Without a limit of its own an attempt at a monitor that never greets would be the last.
  const connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  try {
    return await QmpClient.connect<T>({ ...options, connectTimeoutMs });
  } catch (error) {
    if (error instanceof QmpError && isTransient(error)) return error;
    throw error;
  }
}

function isTransient(error: QmpError): boolean {
  if (error instanceof QmpTimeoutError || error instanceof QmpAbortError) return true;
  if (!(error instanceof QmpConnectionError)) return false;
  if (error.code === 'QMP_EARLY_CLOSE') return true;
  if (error.code !== 'QMP_DIAL_FAILED') return false;
  const { cause } = error;
  return (
    typeof cause === 'object' &&
    cause !== null &&
    'code' in cause &&
    TRANSIENT.has(String(cause.code))
  );
}

export function pause(delayMs: number, clock: QmpClock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      cancel();
      forget();
      resolve();
    };
    const cancel = clock.after(delayMs, wake);
    const forget = whenAborted(signal, wake);
    if (signal.aborted) wake();
  });
}
