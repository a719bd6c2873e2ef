import { randomBytes } from 'node:crypto';
import { checkCount, checkTimeoutMs, type QmpClock, systemClock } from './clock.js';
import {
  DEFAULT_COMMAND_TIMEOUT_MS,
  DEFAULT_CONNECT_TIMEOUT_MS,
  DEFAULT_MAX_LINE_BYTES,
} from './constants.js';
import { type QmpProtocolError, QmpUsageError } from './errors.js';
import { type ReportListenerError, rethrowLater } from './listeners.js';
import { checkTarget, type QmpTarget } from './targets.js';

export interface ConnectOptions {
  readonly target: QmpTarget;
  /** For dialling, greeting and negotiation together; 0 for none, 5000 by default. */
  readonly connectTimeoutMs?: number | undefined;
  /** For each command that names no other; 0 for none, 10000 by default. */
  readonly commandTimeoutMs?: number | undefined;
  /** Enable out-of-band execution where QEMU offers it; true by default. */
  readonly oob?: boolean | undefined;
  /** Longest line accepted, without its LF; 16 MiB by default. */
  readonly maxLineBytes?: number | undefined;
  /** Gives up connecting; of no effect afterwards. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Gets what a listener or callback throws. By default it is thrown again in a microtask, an
   * uncaught exception. Either way the other listeners get their event and the connection goes on.
   */
  readonly onListenerError?: ReportListenerError | undefined;
  /** Gets what is odd but not fatal: a reply to no command of ours (`QMP_UNKNOWN_ID`). */
  readonly onWarning?: ((warning: QmpProtocolError) => void) | undefined;
  /** Timers; the system's by default. */
  readonly clock?: QmpClock | undefined;
  /**
   * Start of the ids of commands; random by default, so that no late reply to an earlier client of
   * the same monitor can be taken for one to us.
   */
  readonly idPrefix?: string | undefined;
}

/** ConnectOptions, checked and complete. */
export interface Settings {
  readonly target: QmpTarget;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly oob: boolean;
  readonly maxLineBytes: number;
  readonly signal: AbortSignal | undefined;
  readonly onListenerError: ReportListenerError;
  readonly onWarning: (warning: QmpProtocolError) => void;
  readonly clock: QmpClock;
  readonly idPrefix: string;
}

/** Of this process. A client adds its number: to ask for random bytes each time is slow. */
const PROCESS_ID = randomBytes(6).toString('hex');
let clients = 0;

/**
 * For callers without types, who may pass nothing at all, or a path.
 * @throws QmpUsageError `QMP_INVALID_OPTION`
 */
export function expectOptions(options: unknown): void {
  if (typeof options === 'object' && options !== null && 'target' in options) return;
  const message = "the options need a target, such as { target: { kind: 'unix', path } }";
  throw new QmpUsageError('QMP_INVALID_OPTION', message);
}

/** @throws QmpUsageError `QMP_INVALID_OPTION` */
export function settingsOf(options: ConnectOptions): Settings {
  expectOptions(options);
  const { connectTimeoutMs, commandTimeoutMs, maxLineBytes } = options;
  return {
    target: checkTarget(options.target),
    connectTimeoutMs: checkTimeoutMs(
      'connectTimeoutMs',
      connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    ),
    commandTimeoutMs: checkTimeoutMs(
      'commandTimeoutMs',
      commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
    ),
    oob: options.oob ?? true,
    maxLineBytes: checkCount('maxLineBytes', maxLineBytes ?? DEFAULT_MAX_LINE_BYTES),
    signal: options.signal,
    onListenerError: options.onListenerError ?? rethrowLater,
    onWarning: options.onWarning ?? (() => undefined),
    clock: options.clock ?? systemClock,
    idPrefix: options.idPrefix ?? `${PROCESS_ID}-${clients++}`,
  };
}
