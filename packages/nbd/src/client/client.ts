import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { abort, greet, list, negotiate, startTls } from './client-handshake.js';
import type { NegotiatedExport, ListedExport } from './client-handshake.js';
import { runHandshake, tlsOptionsFor } from './client-socket.js';
import type { HandshakeStream } from './client-socket.js';
import { ReplyReader } from './client-replies.js';
import type { SentRequest } from './client-replies.js';
import type { NbdAddress } from '../address.js';
import * as nbd from '../constants.js';
import { NbdCommandError, NbdConnectionError } from '../errors.js';
import type { BlockSize, Extent } from '../export.js';
import { encodeExtendedRequest } from '../wire/extended-messages.js';
import { RequestHeader, encodeRequest } from '../wire/transmission-messages.js';
import type { HeaderStyle } from '../wire/transmission-messages.js';

/** Options of `NbdClient.connect`. */
export interface NbdClientOptions {
  /** The export's name. The empty one, which is the default, asks for the default export. */
  readonly export?: string;
  /** Ask for structured replies; true by default. */
  readonly structured?: boolean;
  /** Ask for extended headers; true by default, if structured replies are asked for. */
  readonly extendedHeaders?: boolean;
  /** Ask for a metadata context, which blockStatus() needs; true by default. */
  readonly baseAllocation?: boolean;
  /**
   * The metadata context; `base:allocation` by default. With `qemu:dirty-bitmap:NAME`, an extent is
   * dirty where blockStatus() says `hole`.
   */
  readonly metaContext?: string;
  /** For connecting and negotiating together, and for closing; 10000 by default. */
  readonly timeoutMs?: number;
  /**
   * Require TLS, with these options of node:tls. The server's certificate must be for the host we
   * connect to, or for `servername`.
   */
  readonly tls?: ConnectionOptions;
}

const TIMEOUT_MS = 10_000;

/**
 * One connection to an NBD server. Requests are pipelined: any number may be under way, and they
 * are sent in the order of the calls. An error reply rejects one request with `NbdCommandError`. A
 * lost connection rejects all requests, and all later ones, with the first cause.
 *
 * @example
 * const client = await NbdClient.connect({ path: '/run/nbd.sock' }, { export: 'disk' });
 * await client.write(4096, Buffer.from('hello'), { fua: true });
 * await client.disconnect();
 */
export class NbdClient {
  readonly #socket: Socket;
  readonly #agreed: NegotiatedExport;
  readonly #pending = new Map<number, SentRequest>();
  readonly #closed: Promise<void>;
  readonly #timeoutMs: number;
  #lastCookie = 0;
  /** Why the connection ended; rejects every later request. */
  #dead: Error | undefined;
  #onIdle: (() => void) | undefined;
  #disconnected: Promise<void> | undefined;

  private constructor(agreed: NegotiatedExport, handshake: HandshakeStream, timeoutMs: number) {
    const { socket } = handshake;
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#agreed = agreed;
    const reader = new ReplyReader(this.#pending, agreed);
    const receive = (bytes: Buffer): void => {
      try {
        reader.push(bytes);
        if (this.#pending.size === 0) this.#onIdle?.();
      } catch (error) {
        this.#die(error instanceof Error ? error : new Error(String(error)));
      }
    };
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', (cause) => {
      this.#die(new NbdConnectionError(`the connection was lost: ${cause.message}`, { cause }));
    });
    socket.on('close', () => this.#die(new NbdConnectionError('the server closed the connection')));
    handshake.detach(receive);
  }

  /**
   * Connects and negotiates.
   *
   * @throws NbdRefusal if the server refuses the export
   * @throws NbdProtocolError if the peer is not an NBD server
   * @throws NbdConnectionError if it cannot be reached in time
   * @throws NbdUsageError if it is no address
   */
  static async connect(address: NbdAddress, options: NbdClientOptions = {}): Promise<NbdClient> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    return runHandshake(address, timeoutMs, async (stream) => {
      const noZeroes = await greetAndSecure(stream, address, options.tls);
      const agreed = await negotiate(stream, noZeroes, {
        export: options.export ?? '',
        headers: headersOf(options),
        context: contextOf(options),
      });
      return new NbdClient(agreed, stream, timeoutMs);
    });
  }

  /** Lists the exports of a server (NBD_OPT_LIST). Throws what connect() throws. */
  static async list(
    address: NbdAddress,
    options: Pick<NbdClientOptions, 'timeoutMs' | 'tls'> = {},
  ): Promise<ListedExport[]> {
    return runHandshake(address, options.timeoutMs ?? TIMEOUT_MS, async (stream) => {
      await greetAndSecure(stream, address, options.tls);
      const exports = await list(stream);
      abort(stream);
      const { socket } = stream;
      socket.end();
      socket.on('error', () => undefined);
      socket.resume();
      return exports;
    });
  }

  /** The export's size in bytes. */
  get sizeBytes(): number {
    return this.#agreed.sizeBytes;
  }

  /** The export's transmission flags: the NBD_FLAG_ constants. */
  get flags(): number {
    return this.#agreed.flags;
  }

  /** The export's block size constraints, in bytes. */
  get blockSize(): BlockSize {
    return this.#agreed.blockSize;
  }

  /** Whether replies are structured; they are with extended headers. */
  get structured(): boolean {
    return this.#agreed.headers !== 'simple';
  }

  /**
   * Whether headers are extended. Without them, no request can cover 4 GiB or more; with them, all
   * but reads and writes can.
   */
  get extendedHeaders(): boolean {
    return this.#agreed.headers === 'extended';
  }

  /** Whether blockStatus() can be used. */
  get hasBlockStatus(): boolean {
    return this.#agreed.contextId !== undefined;
  }

  /** Reads `length` bytes. */
  async read(offset: number, length: number): Promise<Buffer> {
    const target = Buffer.allocUnsafeSlow(length);
    await this.readInto(offset, target);
    return target;
  }

  /** Fills `target` with the bytes from `offset` on. After an error its contents are undefined. */
  async readInto(offset: number, target: Uint8Array): Promise<void> {
    await this.#request(nbd.NBD_CMD_READ, 0, offset, target.length, { target });
  }

  /** Writes `data`, which must not change before the promise has settled. */
  async write(offset: number, data: Uint8Array, options: { fua?: boolean } = {}): Promise<void> {
    await this.#request(nbd.NBD_CMD_WRITE, fuaFlag(options), offset, data.length, { data });
  }

  /** Resolves when all writes that were answered before are on stable storage. */
  async flush(): Promise<void> {
    await this.#request(nbd.NBD_CMD_FLUSH, 0, 0, 0);
  }

  /** Tells the server that the range is not needed. Later reads of it may return anything. */
  async trim(offset: number, length: number, options: { fua?: boolean } = {}): Promise<void> {
    await this.#request(nbd.NBD_CMD_TRIM, fuaFlag(options), offset, length);
  }

  /** Zeroes a range. `fast`: fail with ENOTSUP rather than write zeros. */
  async writeZeroes(
    offset: number,
    length: number,
    options: { fua?: boolean; noHole?: boolean; fast?: boolean } = {},
  ): Promise<void> {
    const flags =
      fuaFlag(options) |
      (options.noHole === true ? nbd.NBD_CMD_FLAG_NO_HOLE : 0) |
      (options.fast === true ? nbd.NBD_CMD_FLAG_FAST_ZERO : 0);
    await this.#request(nbd.NBD_CMD_WRITE_ZEROES, flags, offset, length);
  }

  /** Asks the server to prepare for reads of the range. */
  async cache(offset: number, length: number): Promise<void> {
    await this.#request(nbd.NBD_CMD_CACHE, 0, offset, length);
  }

  /** Extents from `offset` on, at least one. They may end before or after the range. */
  async blockStatus(
    offset: number,
    length: number,
    options: { one?: boolean } = {},
  ): Promise<readonly Extent[]> {
    const flags = options.one === true ? nbd.NBD_CMD_FLAG_REQ_ONE : 0;
    return (await this.#request(nbd.NBD_CMD_BLOCK_STATUS, flags, offset, length)).extents;
  }

  /** disconnect(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Waits for the requests under way, sends NBD_CMD_DISC and closes the connection. A server that
   * does not close its side within `timeoutMs` is not waited for.
   */
  disconnect(): Promise<void> {
    this.#disconnected ??= this.#disconnect();
    return this.#disconnected;
  }

  async #disconnect(): Promise<void> {
    if (this.#pending.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    if (this.#dead === undefined) {
      this.#dead = new NbdConnectionError('the client has disconnected');
      this.#send(nbd.NBD_CMD_DISC, 0, 0, 0, 0);
      this.#socket.end();
      const timer = setTimeout(() => this.#socket.destroy(), this.#timeoutMs);
      this.#socket.once('close', () => clearTimeout(timer));
    }
    await this.#closed;
  }

  /** Closes the connection at once. Requests under way are rejected. */
  destroy(): void {
    this.#die(new NbdConnectionError('the client was destroyed'));
  }

  #request(
    type: number,
    flags: number,
    offset: number,
    length: number,
    parts: { readonly target?: Uint8Array; readonly data?: Uint8Array } = {},
  ): Promise<SentRequest> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const hasData = type === nbd.NBD_CMD_READ || type === nbd.NBD_CMD_WRITE;
    const isLong = this.extendedHeaders && !hasData;
    const invalid = checkRange(offset, length, isLong ? Number.MAX_SAFE_INTEGER : U32_MAX);
    if (invalid !== undefined) return Promise.reject(invalid);
    const cookie = this.#nextCookie();
    return new Promise<SentRequest>((resolve, reject) => {
      const target = parts.target ?? NOTHING;
      const request: SentRequest = {
        ...{ target, offset, filled: 0, extents: [], failure: undefined },
        resolve: () => resolve(request),
        reject,
      };
      this.#pending.set(cookie, request);
      this.#send(type, flags, offset, length, cookie, parts.data);
    });
  }

  #nextCookie(): number {
    do this.#lastCookie = (this.#lastCookie + 1) % 2 ** 32;
    while (this.#pending.has(this.#lastCookie));
    return this.#lastCookie;
  }

  #send(
    type: number,
    flags: number,
    offset: number,
    length: number,
    cookie: number,
    data: Uint8Array = NOTHING,
  ): void {
    const request = new RequestHeader();
    Object.assign(request, { type, flags, offset, length });
    request.cookie.writeUInt32BE(cookie, 4);
    const header = this.#encode(request);
    if (data.length === 0) {
      this.#socket.write(header);
      return;
    }
    this.#socket.cork();
    this.#socket.write(header);
    this.#socket.write(data);
    this.#socket.uncork();
  }

  #encode(request: RequestHeader): Buffer {
    if (!this.extendedHeaders) {
      const header = Buffer.allocUnsafe(nbd.REQUEST_BYTES);
      encodeRequest(header, request);
      return header;
    }
    if (request.type === nbd.NBD_CMD_WRITE) request.flags |= nbd.NBD_CMD_FLAG_PAYLOAD_LEN;
    const header = Buffer.allocUnsafe(nbd.EXTENDED_REQUEST_BYTES);
    encodeExtendedRequest(header, request);
    return header;
  }

  #die(cause: Error): void {
    if (this.#dead === undefined || this.#pending.size > 0) {
      this.#dead ??= cause;
      const pending = [...this.#pending.values()];
      this.#pending.clear();
      for (const request of pending) request.reject(this.#dead);
    }
    this.#onIdle?.();
    this.#socket.destroy();
  }
}

const NOTHING = new Uint8Array(0);

/**
 * The handshake up to the options, with TLS if required.
 *
 * @returns whether both sides agreed on NBD_FLAG_NO_ZEROES
 */
async function greetAndSecure(
  stream: HandshakeStream,
  address: NbdAddress,
  tls: ConnectionOptions | undefined,
): Promise<boolean> {
  const noZeroes = await greet(stream);
  if (tls !== undefined) {
    await startTls(stream);
    await stream.upgradeToTls(tlsOptionsFor(address, tls));
  }
  return noZeroes;
}

function contextOf({
  baseAllocation = true,
  metaContext = nbd.NBD_BASE_ALLOCATION,
}: NbdClientOptions): string | undefined {
  return baseAllocation ? metaContext : undefined;
}

function headersOf({ structured = true, extendedHeaders = true }: NbdClientOptions): HeaderStyle {
  if (!structured) return 'simple';
  return extendedHeaders ? 'extended' : 'structured';
}

const U32_MAX = 2 ** 32 - 1;

/** A range that a request cannot hold: an error of this request, not of the connection. */
function checkRange(offset: number, length: number, longest: number): NbdCommandError | undefined {
  const isValid = Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length);
  if (isValid && length >= 0 && length <= longest) return undefined;
  const message = `a request cannot hold ${length} bytes at ${offset}; it was not sent`;
  return new NbdCommandError('EINVAL', message);
}

function fuaFlag(options: { fua?: boolean }): number {
  return options.fua === true ? nbd.NBD_CMD_FLAG_FUA : 0;
}
