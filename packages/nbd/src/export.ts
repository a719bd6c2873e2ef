import type { CommandErrorName } from './constants.js';

/**
 * What an NBD server serves: an export describes itself and opens a session for each connection
 * that selects it.
 *
 * A request method of the session returns when the request is done, or returns a promise. It
 * reports failure by throwing (or rejecting with) an `NbdCommandError`, which names the error on
 * the wire. Anything else that is thrown is reported to `NbdServerOptions.onEvent` and becomes EIO,
 * or ENOSPC for the system errors ENOSPC, EDQUOT and EFBIG.
 */
export interface NbdExport {
  /** The name that clients ask for. The empty name asks for the server's default export. */
  readonly name: string;
  readonly description?: string;
  readonly sizeBytes: number;
  readonly features: ExportFeatures;
  readonly blockSize: BlockSize;
  /**
   * Called when a client is about to enter the transmission phase.
   *
   * @throws NbdRefusal to refuse the client, with a reason that it is shown
   */
  open(peer: PeerInfo): ExportSession | Promise<ExportSession>;
}

/** What an export offers ("Transmission flags"). A command that is not offered is refused. */
export interface ExportFeatures {
  readonly readOnly: boolean;
  readonly flush: boolean;
  readonly fua: boolean;
  readonly trim: boolean;
  readonly writeZeroes: boolean;
  readonly fastZero: boolean;
  readonly cache: boolean;
  /** Set it only if a flush on one connection covers the writes of all connections. */
  readonly multiConn: boolean;
}

/** Block size constraints in bytes (NBD_INFO_BLOCK_SIZE). */
export interface BlockSize {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

/** The client of a connection, for logs and status pages. */
export interface PeerInfo {
  /** Unique within the process, for logs. */
  readonly id: number;
  /** `unix:PATH` or `HOST:PORT`. */
  readonly address: string;
  /** How it is connected; undefined if the stream was passed to `NbdServer.handle`. */
  readonly transport?: 'unix' | 'tcp';
  /** The identity that TLS verified; undefined without TLS or without `NbdServerTls.identify`. */
  readonly identity?: string | undefined;
}

/** A run of bytes in one state: the answer to NBD_CMD_BLOCK_STATUS for base:allocation. */
export interface Extent {
  /** In bytes; may be more than 32 bits hold, replies are cut to what fits. */
  readonly length: number;
  /** Not allocated. */
  readonly hole: boolean;
  /** Reads as zeros. */
  readonly zero: boolean;
}

/** A range of the disk as a list of buffers, to be sent without a copy. */
export interface ReadView {
  /** The whole range, in order. */
  readonly pieces: readonly Buffer[];
  /** Called once, when the buffers have been sent or will not be. */
  release(): void;
}

/** How a connection ended: the client disconnected, or the connection was lost. */
export type SessionEnd =
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'lost'; readonly error: Error | undefined; readonly midRequest: boolean };

/** One client's use of an export. Ranges are checked before any method is called. */
export interface ExportSession {
  /** Fills `target` with the bytes from `offset` on. */
  read(offset: number, target: Uint8Array): void | Promise<void>;
  /**
   * Called before read() for long replies. Returns the bytes as a few long buffers, which are sent
   * without a copy, or undefined if they are not stored that way; then read() is called. The
   * buffers must stay in use until `release()`. A later write to this range may change them: it
   * arrived while the read was under way.
   */
  view?(offset: number, length: number): ReadView | undefined;
  /**
   * Writes `data` at `offset`. `data` is the receive buffer and is valid only until this method
   * returns: an asynchronous write must copy it first. A long request may arrive as several
   * consecutive calls, split where the disk offset is a multiple of 4096; the reply waits for all
   * of them.
   */
  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void>;
  flush(): void | Promise<void>;
  /** trim(), writeZeroes() and cache() get at most 1 GiB in one call; longer ranges are split. */
  trim(offset: number, length: number, fua: boolean): void | Promise<void>;
  /** With `fast`, throws ENOTSUP at once if zeroing is not faster than writing zeros. */
  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void>;
  cache(offset: number, length: number): void | Promise<void>;
  /** Extents from `offset` on, at least one, in order. May end before or after the range. */
  blockStatus(offset: number, length: number): readonly Extent[] | Promise<readonly Extent[]>;
  /** A request that would have changed data failed validation and was not passed on. */
  refused?(message: string): void;
  /** The connection has ended. Called once, after all requests that were received before. */
  close(end: SessionEnd): void;
}

/** How a range is to be zeroed (NBD_CMD_WRITE_ZEROES). */
export interface ZeroRequest {
  readonly fua: boolean;
  readonly mayPunchHole: boolean;
  readonly fast: boolean;
}

/**
 * Decides when received bytes may be processed. The server passes one `apply` for each batch of
 * bytes read from a socket, and one for the end of the connection. They must be called in the order
 * in which they were passed.
 */
export interface Admission {
  admit(apply: () => void): void;
}

/** The part of `NbdCommandError` that chooses the error on the wire. */
export interface CommandFailure {
  readonly wireError: CommandErrorName;
}
