/**
 * A QMP client for QEMU; the README shows it at work. A fake QEMU is in `qemu-qmp-client/testing`.
 */
export {
  type ClientState,
  type CommandOptions,
  QmpClient,
  type EventWaitOptions,
} from './client.js';
export type { QmpClock } from './clock.js';
export type { CommandResult } from './command-table.js';
export { MAX_COMMANDS_HELD, MAX_EARLY_MESSAGES, MAX_IN_BAND_IN_FLIGHT } from './constants.js';
export {
  QmpAbortError,
  QmpCommandError,
  QmpConnectionError,
  type QmpConnectionErrorCode,
  QmpError,
  type QmpErrorCode,
  QmpOverflowError,
  type QmpOverflowErrorCode,
  QmpProtocolError,
  type QmpProtocolErrorCode,
  QmpTimeoutError,
  type QmpTimeoutErrorCode,
  QmpUsageError,
  type QmpUsageErrorCode,
} from './errors.js';
export { type EventSource, type EventStreamOptions, QmpEventStream } from './event-stream.js';
export { LineSplitter } from './wire/lines.js';
export type { ReportListenerError } from './listeners.js';
export { decodeMessage, encodeCommand, type Message, type QmpVersion } from './wire/messages.js';
export type { ConnectOptions } from './options.js';
export { QmpReconnectingClient, type ReconnectOptions } from './reconnecting-client.js';
export { connectWithRetry, type RetryOptions } from './retry.js';
export type * from './schema/block.js';
export type * from './schema/blockdev.js';
export type * from './schema/commands.js';
export type * from './schema/events.js';
export type * from './schema/machine.js';
export type * from './schema/migration.js';
export type * from './schema/tables.js';
export type { QmpTarget, StreamTarget, TcpTarget, TlsTarget, UnixTarget } from './targets.js';
