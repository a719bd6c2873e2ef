import type { CommandErrorName } from './constants.js';

/**
 * What an NBD server serves, seen from the server: an export answers questions about itself and opens a session for
 * each connection that picks it.
 *
 * Every request method may answer at once or with a promise. It reports failure by throwing (or rejecting with) an
 * `NbdCommandError`, which carries what to say on the wire; anything else thrown becomes EIO.
 */
export interface NbdExport {
  /** As the client asks for it; the empty name asks for the server's default export. */
  readonly name: string;
  readonly description?: string;
  readonly sizeBytes: number;
  readonly features: ExportFeatures;
  readonly blockSize: BlockSize;
  /** Called when a client enters transmission. Throwing `NbdRefusal` turns it away with a reason. */
  open(peer: PeerInfo): ExportSession | Promise<ExportSession>;
}

/** Transmission flags that are offered (proto.md, "Transmission flags"). Commands not offered are refused. */
export interface ExportFeatures {
  readonly readOnly: boolean;
  readonly flush: boolean;
  readonly fua: boolean;
  readonly trim: boolean;
  readonly writeZeroes: boolean;
  readonly fastZero: boolean;
  readonly cache: boolean;
  /** Only where a flush on one connection covers the writes of all. */
  readonly multiConn: boolean;
}

/** Block size constraints in bytes (NBD_INFO_BLOCK_SIZE). */
export interface BlockSize {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

/** Who is connected: what logs and status show. */
export interface PeerInfo {
  /** Unique within the process, for logs. */
  readonly id: number;
  /** `unix:PATH` or `HOST:PORT`. */
  readonly address: string;
  /** How it has come; undefined where its stream was made elsewhere. */
  readonly transport?: 'unix' | 'tcp';
  /** Whom TLS has verified it to be; undefined without TLS, or where the listener does not say. */
  readonly identity?: string | undefined;
}

/** One run of NBD_CMD_BLOCK_STATUS for base:allocation. */
export interface Extent {
  readonly length: number;
  /** A hole: not allocated. */
  readonly hole: boolean;
  /** Reads as zeros. */
  readonly zero: boolean;
}

/** Bytes of the disk where they lie. */
export interface ReadView {
  /** All of them, in order. */
  readonly pieces: readonly Buffer[];
  /** They have been sent, or won't be. Called once. */
  release(): void;
}

/** How a connection ended: asked for by the client, or broken. */
export type SessionEnd =
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'lost'; readonly error: Error | undefined; readonly midRequest: boolean };

/** One client's use of an export. Ranges are checked against the size before any method is called. */
export interface ExportSession {
  /** Fills all of `target` with the bytes from `offset` on. */
  read(offset: number, target: Uint8Array): void | Promise<void>;
  /**
   * Asked before read() where a reply is long: the same bytes, to be sent from where they lie, or undefined where they
   * don't lie in a few long pieces. Until `release()` nothing else may take their place; a write to this range may show
   * in them, for it came while the read was under way.
   */
  view?(offset: number, length: number): ReadView | undefined;
  /**
   * Writes `data` at `offset`. `data` is the receive buffer: it is valid only until this method returns, so what is
   * needed later (by an asynchronous write) must be copied before. A long request may come as several consecutive
   * calls, split where the disk offset is a multiple of 4096; the reply waits for all of them.
   */
  write(offset: number, data: Uint8Array, fua: boolean): void | Promise<void>;
  flush(): void | Promise<void>;
  trim(offset: number, length: number, fua: boolean): void | Promise<void>;
  /** With `fast`, throws ENOTSUP at once where zeroing is no faster than writing zeros. */
  writeZeroes(offset: number, length: number, how: ZeroRequest): void | Promise<void>;
  cache(offset: number, length: number): void | Promise<void>;
  /** Extents from `offset` on, at least one, in order; they may end before or after `offset + length`. */
  blockStatus(offset: number, length: number): readonly Extent[] | Promise<readonly Extent[]>;
  /** A request that would have changed data was answered with an error before it got here. */
  refused?(message: string): void;
  /** The connection has ended; called once, after every request that came before it has been handed over. */
  close(end: SessionEnd): void;
}

export interface ZeroRequest {
  readonly fua: boolean;
  readonly mayPunchHole: boolean;
  readonly fast: boolean;
}

/**
 * Decides when bytes that have arrived may be acted upon. The server hands over one `apply` for each batch of bytes
 * read from a socket (and one for the connection's end); they must be called in the order in which they came.
 */
export interface Admission {
  admit(apply: () => void): void;
}

/** What a request method throws to choose the error on the wire. */
export interface CommandFailure {
  readonly wireError: CommandErrorName;
}
