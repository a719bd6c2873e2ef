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
 * what is asked later with `not-open`, whose `cause` it is.
 */

/** Ways to have no connection. */
export type QmpConnectionErrorCode =
  /** The socket could not be opened; `cause` is the system's error (ENOENT, ECONNREFUSED, TLS). */
  | 'dial-failed'
  /** The peer hung up before negotiation was done. */
  | 'early-close'
  /** QEMU answered qmp_capabilities with an error; `cause` is the QmpCommandError. */
  | 'negotiation-refused'
  /** The peer hung up, or the socket failed, on an open client. */
  | 'connection-lost'
  /** close() was called while this was pending. */
  | 'closed'
  /** Asked after the end; `cause` is what ended the client, if not close(). */
  | 'not-open';

/** Ways to break the protocol. */
export type QmpProtocolErrorCode =
  /** A line that is not UTF-8 or not JSON. */
  | 'malformed-json'
  /** JSON, but none of greeting, return, error and event. */
  | 'malformed-message'
  /** A line longer than `maxLineBytes`. */
  | 'line-too-long'
  /** The first thing that came was no QMP at all: some other server. */
  | 'greeting-missing'
  /** A greeting without version or capabilities. */
  | 'greeting-invalid'
  /** A second greeting on the same connection. */
  | 'greeting-repeated'
  /** An error reply without id: QEMU could not read a command of ours, and cannot say which. */
  | 'response-without-id'
  /** A reply to no command of ours. Never fatal: dropped, and reported to `onWarning`. */
  | 'unknown-id';

export type QmpTimeoutErrorCode =
  /** No greeting, or no end of the negotiation, in time. */
  | 'connect-timeout'
  /** No answer to a command in time. */
  | 'command-timeout'
  /** An event that was waited for did not come in time. */
  | 'wait-timeout';

export type QmpUsageErrorCode =
  /** `oob: true` on a connection that did not negotiate it. */
  | 'oob-not-negotiated'
  /** More than MAX_COMMANDS_HELD commands await an answer. */
  | 'too-many-commands'
  /** Arguments that JSON cannot express (a bigint, a cycle). */
  | 'unserializable-arguments'
  /** An option out of its range. */
  | 'invalid-option';

export type QmpOverflowErrorCode =
  /** The reader of events() fell `limit` events behind. */
  | 'event-overflow'
  /** More than MAX_EARLY_MESSAGES came before negotiation was done; fatal. */
  | 'early-overflow';

export type QmpErrorCode =
  | QmpConnectionErrorCode
  | QmpProtocolErrorCode
  /** QEMU refused one command; the connection goes on. */
  | 'command-failed'
  | QmpTimeoutErrorCode
  /** The caller's AbortSignal fired. */
  | 'aborted'
  | QmpUsageErrorCode
  | QmpOverflowErrorCode;

/** Base of all errors here. Compare `code`; messages are for people and may change. */
export abstract class QmpError extends Error {
  abstract readonly code: QmpErrorCode;

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

/** The peer broke the protocol. Fatal, but for `unknown-id`. */
export class QmpProtocolError extends QmpError {
  constructor(
    readonly code: QmpProtocolErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** QEMU refused a command. `class` and `desc` are QEMU's own; only `class` is meant to be matched. */
export class QmpCommandError extends QmpError {
  readonly code = 'command-failed';

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
 * A deadline passed. For `command-timeout`, `sent` tells whether the command left this process: QEMU
 * may still execute what was sent, and its late reply is ignored; what was not sent never will be.
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
  readonly code = 'aborted';
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
