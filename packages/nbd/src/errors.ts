/**
 * NbdError                 code
 *  ├─ NbdProtocolError     NBD_PROTOCOL     the peer broke the protocol; its connection is over
 *  ├─ NbdCommandError      NBD_COMMAND      one request failed; carries what goes over the wire
 *  ├─ NbdRefusal           NBD_REFUSED      the server refuses an export or an option
 *  ├─ NbdConnectionError   NBD_CONNECTION   the connection was lost, was closed, or timed out
 *  ├─ NbdListenError       NBD_LISTEN       the server cannot listen at its address
 *  └─ NbdUsageError        NBD_USAGE        the caller asked for what cannot be
 */

import type { CommandErrorName } from './constants.js';
import type { CommandFailure } from './export.js';

/** The codes of all errors of this package. */
export type NbdErrorCode =
  /** The peer sent something that the NBD protocol forbids. */
  | 'NBD_PROTOCOL'
  /** One request failed at the server. */
  | 'NBD_COMMAND'
  /** The server refuses to let this client use an export. */
  | 'NBD_REFUSED'
  /** The connection was lost, was closed, or could not be made in time. */
  | 'NBD_CONNECTION'
  /** The server cannot listen at its address. */
  | 'NBD_LISTEN'
  /** An address, a size or an option that cannot be used; nothing was opened. */
  | 'NBD_USAGE';

const ADVICE: Readonly<Record<NbdErrorCode, string>> = {
  NBD_PROTOCOL: 'Check that the program at the other end speaks NBD, and update it if it is old.',
  NBD_COMMAND: 'Read `wireError`, and the log of the server: the request failed there.',
  NBD_REFUSED: 'Read `reason`: check the name of the export, and who may use it.',
  NBD_CONNECTION: 'Check that the other end runs, and the network to it; then connect again.',
  NBD_LISTEN: 'Stop the program that uses the address, or listen at another.',
  NBD_USAGE: 'Correct the argument that the message names.',
};

/**
 * The base class of everything that this package throws. Test `code`, not the class, where two
 * copies of the package may be loaded.
 */
export abstract class NbdError extends Error {
  abstract readonly code: NbdErrorCode;

  /** What to do about it, for people. */
  get remedy(): string {
    return ADVICE[this.code];
  }

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The peer sent something that the protocol forbids; the connection cannot be used any more. */
export class NbdProtocolError extends NbdError {
  readonly code = 'NBD_PROTOCOL';
}

/**
 * One request failed. An `ExportSession` throws it to choose the error on the wire; `NbdClient`
 * throws it when the server answers with an error. With structured replies the message is sent to
 * the client, so it must not hold secrets.
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

/** Why a server refuses an option: the NBD_REP_ERR_ values (section "Option reply types"). */
export type RefusalReason =
  | 'unsupported'
  | 'policy'
  | 'invalid'
  | 'platform'
  | 'tls-required'
  | 'unknown'
  | 'shutdown'
  | 'block-size-required'
  | 'too-big'
  | 'extended-headers-required';

/**
 * Thrown by `NbdExport.open` to refuse a client. NBD_OPT_GO is answered with the reason and the
 * message; NBD_OPT_EXPORT_NAME has no error reply, so the connection is closed. In the client,
 * `NbdClient.connect` throws it.
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

/** The connection was lost, was closed, or could not be made in time. */
export class NbdConnectionError extends NbdError {
  readonly code = 'NBD_CONNECTION';
}

/**
 * Why a server cannot listen: `in-use`: another one does; `no-socket`: something else has the name
 * of the unix socket, and is left alone; `unusable`: the system refuses the address.
 */
export type ListenFailure = 'in-use' | 'no-socket' | 'unusable';

const LISTEN_ADVICE: Readonly<Record<ListenFailure, string>> = {
  'in-use': ADVICE.NBD_LISTEN,
  'no-socket': 'Listen at another path, or remove what is there if nobody needs it.',
  unusable: 'Correct the address: its folder has to be there, and this process may use both.',
};

/** The server cannot listen at the address, for example because another one does. */
export class NbdListenError extends NbdError {
  readonly code = 'NBD_LISTEN';

  constructor(
    message: string,
    readonly reason: ListenFailure = 'unusable',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  override get remedy(): string {
    return LISTEN_ADVICE[this.reason];
  }
}

/** An address, a size or an option that cannot be used; nothing was opened. */
export class NbdUsageError extends NbdError {
  readonly code = 'NBD_USAGE';
}
