// NbdError                 code
//  ├─ NbdProtocolError     NBD_PROTOCOL     the peer broke the protocol; its connection is over
//  ├─ NbdCommandError      NBD_COMMAND      one request failed; carries what goes over the wire
//  ├─ NbdRefusal           NBD_REFUSED      the server does not let a client use an export or an option
//  ├─ NbdConnectionError   NBD_CONNECTION   the connection was lost, timed out or was closed
//  └─ NbdListenError       NBD_LISTEN       the server cannot take the address

import type { CommandErrorName } from './constants.js';
import type { CommandFailure } from './export.js';

export type NbdErrorCode =
  /** The peer sent what the NBD protocol forbids. */
  | 'NBD_PROTOCOL'
  /** One request failed at the server. */
  | 'NBD_COMMAND'
  /** The server does not let this client use an export. */
  | 'NBD_REFUSED'
  /** The connection was lost, was closed, or took too long to be made. */
  | 'NBD_CONNECTION'
  /** The server can't listen at its address. */
  | 'NBD_LISTEN';

/**
 * Everything that this package throws; `code` tells the kinds apart across copies of the package.
 */
export abstract class NbdError extends Error {
  abstract readonly code: NbdErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The peer sent what the protocol forbids; the connection cannot go on. */
export class NbdProtocolError extends NbdError {
  readonly code = 'NBD_PROTOCOL';
}

/**
 * One request failed. Thrown by an `ExportSession` to choose the error on the wire, and by
 * `NbdClient` when the server answers with an error. The message goes over the wire where replies
 * are structured: it must hold no secrets.
 */
export class NbdCommandError extends NbdError implements CommandFailure {
  readonly code = 'NBD_COMMAND';

  constructor(
    readonly wireError: CommandErrorName,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Why a server turns an option down, after the NBD_REP_ERR_ values (section "Option reply types").
 */
export type RefusalReason =
  | 'unsupported'
  | 'policy'
  | 'invalid'
  | 'platform'
  | 'tls-required'
  | 'unknown'
  | 'shutdown'
  | 'block-size-required'
  | 'too-big';

/**
 * Thrown by `NbdExport.open` to turn a client away: NBD_OPT_GO is answered with the reason and the
 * message, NBD_OPT_EXPORT_NAME, which has no error reply, by hanging up. `NbdClient.connect` throws
 * it on the other side.
 */
export class NbdRefusal extends NbdError {
  readonly code = 'NBD_REFUSED';

  constructor(
    readonly reason: RefusalReason,
    message = `refused: ${reason}`,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The connection was lost, took too long to set up, or has been closed. */
export class NbdConnectionError extends NbdError {
  readonly code = 'NBD_CONNECTION';
}

/** The server cannot listen there, for instance because somebody else does. */
export class NbdListenError extends NbdError {
  readonly code = 'NBD_LISTEN';
}
