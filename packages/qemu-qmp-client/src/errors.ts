/**
 * Everything that this package throws, rejects with or reports.
 *
 *   QmpError                 base: literal `code`, `cause` kept
 *   ├── QmpConnectionError   no connection, or no more; fatal
 *   ├── QmpProtocolError     QEMU (or what answers in its place) broke the protocol; fatal
 *   ├── QmpCommandError      QEMU refused one command; the connection goes on
 *   ├── QmpTimeoutError      a deadline passed; the connection goes on (if there was one)
 *   ├── QmpAbortError        the caller's AbortSignal fired; the connection goes on
 *   ├── QmpUsageError        the caller asked for what cannot be; nothing was sent
 *   └── QmpOverflowError     a bounded queue of messages ran over
 *
 * A fatal error ends the client once: every pending command is rejected with that very error, and
 * what is asked later with `QMP_NOT_OPEN`, whose `cause` it is.
 */

/** Ways to have no connection. */
export type QmpConnectionErrorCode =
  /** The socket could not be opened; `cause` is the system's error (ENOENT, ECONNREFUSED, TLS). */
  | 'QMP_DIAL_FAILED'
  /** The peer hung up before negotiation was done. */
  | 'QMP_EARLY_CLOSE'
  /** QEMU answered qmp_capabilities with an error; `cause` is the QmpCommandError. */
  | 'QMP_NEGOTIATION_REFUSED'
  /** The peer hung up, or the socket failed, on an open client. */
  | 'QMP_CONNECTION_LOST'
  /** close() was called while this was pending. */
  | 'QMP_CLOSED'
  /** Asked after the end; `cause` is what ended the client, if not close(). */
  | 'QMP_NOT_OPEN';

/** Ways to break the protocol. */
export type QmpProtocolErrorCode =
  /** A line that is not UTF-8 or not JSON. */
  | 'QMP_MALFORMED_JSON'
  /** JSON, but none of greeting, return, error and event. */
  | 'QMP_MALFORMED_MESSAGE'
  /** A line longer than `maxLineBytes`. */
  | 'QMP_LINE_TOO_LONG'
  /** The first thing that came was no QMP at all: some other server. */
  | 'QMP_GREETING_MISSING'
  /** A greeting without version or capabilities. */
  | 'QMP_GREETING_INVALID'
  /** A second greeting on the same connection. */
  | 'QMP_GREETING_REPEATED'
  /** An error reply without id: QEMU could not read a command of ours, and cannot say which. */
  | 'QMP_RESPONSE_WITHOUT_ID'
  /** A reply to no command of ours. Never fatal: dropped, and reported to `onWarning`. */
  | 'QMP_UNKNOWN_ID';

export type QmpTimeoutErrorCode =
  /** No greeting, or no end of the negotiation, in time. */
  | 'QMP_CONNECT_TIMEOUT'
  /** No answer to a command in time. */
  | 'QMP_COMMAND_TIMEOUT'
  /** An event that was waited for did not come in time. */
  | 'QMP_WAIT_TIMEOUT';

export type QmpUsageErrorCode =
  /** `oob: true` on a connection that did not negotiate it. */
  | 'QMP_OOB_NOT_NEGOTIATED'
  /** More than MAX_COMMANDS_HELD commands await an answer. */
  | 'QMP_TOO_MANY_COMMANDS'
  /** Arguments that JSON cannot express (a bigint, a cycle). */
  | 'QMP_UNSERIALIZABLE_ARGUMENTS'
  /** An option out of its range. */
  | 'QMP_INVALID_OPTION';

export type QmpOverflowErrorCode =
  /** The reader of events() fell `limit` events behind. */
  | 'QMP_EVENT_OVERFLOW'
  /** More than MAX_EARLY_MESSAGES came before negotiation was done; fatal. */
  | 'QMP_EARLY_OVERFLOW';

export type QmpErrorCode =
  | QmpConnectionErrorCode
  | QmpProtocolErrorCode
  /** QEMU refused one command; the connection goes on. */
  | 'QMP_COMMAND_FAILED'
  | QmpTimeoutErrorCode
  /** The caller's AbortSignal fired. */
  | 'QMP_ABORTED'
  | QmpUsageErrorCode
  | QmpOverflowErrorCode;

const CHECK_SOCKET = 'Check that the target is the QMP socket of a QEMU, in control mode.';
const RECONNECT = 'Connect again: `QmpReconnectingClient` does so by itself.';
const STUCK = 'Check whether the QEMU process hangs, or was stopped; or raise `timeoutMs`.';

const ADVICE: Readonly<Record<QmpErrorCode, string>> = {
  QMP_DIAL_FAILED: 'Start QEMU with `-qmp`, and check the path or address and its permissions.',
  QMP_EARLY_CLOSE: CHECK_SOCKET,
  QMP_NEGOTIATION_REFUSED: CHECK_SOCKET,
  QMP_CONNECTION_LOST: `Check whether QEMU still runs. ${RECONNECT}`,
  QMP_CLOSED: 'Call close() after what it must not cut off.',
  QMP_NOT_OPEN: RECONNECT,
  QMP_MALFORMED_JSON: CHECK_SOCKET,
  QMP_MALFORMED_MESSAGE: CHECK_SOCKET,
  QMP_LINE_TOO_LONG: 'Raise `maxLineBytes` if QEMU really sends lines of that length.',
  QMP_GREETING_MISSING: CHECK_SOCKET,
  QMP_GREETING_INVALID: CHECK_SOCKET,
  QMP_GREETING_REPEATED: CHECK_SOCKET,
  QMP_RESPONSE_WITHOUT_ID: 'Report it, with the command: QEMU could not read one of ours.',
  QMP_UNKNOWN_ID: 'Nothing to do: it answers a client before this one.',
  QMP_COMMAND_FAILED: 'Read `desc`, the reason that QEMU gives; match on `class` only.',
  QMP_CONNECT_TIMEOUT:
    'Check the path or address, and that QEMU runs. If it does, give each client a monitor of ' +
    'its own: `-qmp` can be repeated.',
  QMP_COMMAND_TIMEOUT: STUCK,
  QMP_WAIT_TIMEOUT: STUCK,
  QMP_ABORTED: 'Nothing to do: the signal was yours.',
  QMP_OOB_NOT_NEGOTIATED: 'Connect with `oob: true`, to a QEMU whose greeting offers it.',
  QMP_TOO_MANY_COMMANDS: 'Await answers before you execute more.',
  QMP_UNSERIALIZABLE_ARGUMENTS: 'Pass arguments that JSON.stringify() takes.',
  QMP_INVALID_OPTION: 'Correct the option that the message names.',
  QMP_EVENT_OVERFLOW: 'Read the stream faster, raise `limit`, or name the events in `names`.',
  QMP_EARLY_OVERFLOW: CHECK_SOCKET,
};

/** Base of all errors here. Compare `code`; messages are for people and may change. */
export abstract class QmpError extends Error {
  abstract readonly code: QmpErrorCode;

  /** What to do about it, for people. */
  get remedy(): string {
    return ADVICE[this.code];
  }

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No connection, or no more. */
export class QmpConnectionError extends QmpError {
  constructor(
    readonly code: QmpConnectionErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The peer broke the protocol. Fatal, but for `QMP_UNKNOWN_ID`. */
export class QmpProtocolError extends QmpError {
  constructor(
    readonly code: QmpProtocolErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * QEMU refused a command. `class` and `desc` are QEMU's own; only `class` is meant to be matched.
 */
export class QmpCommandError extends QmpError {
  readonly code = 'QMP_COMMAND_FAILED';

  constructor(
    readonly command: string,
    readonly errorClass: string,
    readonly desc: string,
  ) {
    super(`${command}: ${desc} (${errorClass})`);
  }

  /** QEMU's error class: mostly GenericError; CommandNotFound, DeviceNotFound and a few more. */
  get class(): string {
    return this.errorClass;
  }
}

/**
 * A deadline passed. For `QMP_COMMAND_TIMEOUT`, `sent` tells whether the command left this process:
 * QEMU may still execute what was sent, and its late reply is ignored; what was not sent never will
 * be.
 */
export class QmpTimeoutError extends QmpError {
  readonly sent: boolean;

  constructor(
    readonly code: QmpTimeoutErrorCode,
    message: string,
    options?: { cause?: unknown; sent?: boolean },
  ) {
    super(message, options);
    this.sent = options?.sent ?? false;
  }
}

/** The caller's AbortSignal fired; `cause` is its reason, `sent` as in QmpTimeoutError. */
export class QmpAbortError extends QmpError {
  readonly code = 'QMP_ABORTED';
  readonly sent: boolean;

  constructor(message: string, options: { cause: unknown; sent?: boolean }) {
    super(message, { cause: options.cause });
    this.sent = options.sent ?? false;
  }
}

/** The caller asked for what cannot be; nothing was sent. */
export class QmpUsageError extends QmpError {
  constructor(
    readonly code: QmpUsageErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** A bounded queue ran over: messages were lost to this reader, and it must not go on as if not. */
export class QmpOverflowError extends QmpError {
  constructor(
    readonly code: QmpOverflowErrorCode,
    message: string,
  ) {
    super(message);
  }
}
