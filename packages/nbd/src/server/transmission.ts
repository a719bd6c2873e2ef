/**
 * The transmission phase of one connection: parses requests in the receive buffer, calls the
 * session and encodes the replies.
 */

import {
  COMMAND_ERRORS,
  EXTENT_MAX_BYTES,
  EXTENDED_REQUEST_BYTES,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  REQUEST_BYTES,
} from '../constants.js';
import { NbdCommandError, NbdProtocolError } from '../errors.js';
import type { ExportSession, Extent } from '../export.js';
import { shapeExtents } from '../wire/extents.js';
import { allowedWireError, asCommandError, unexpectedError } from '../wire/wire-errors.js';
import type { NbdLimits } from '../limits.js';
import { PendingRequest } from './pending-request.js';
import type { ReplyWriter } from '../wire/replies.js';
import { type Rejection, type RequestRules, validate } from '../wire/validate.js';
import { WritePayload } from './write-payload.js';
import { COOKIE_BYTES, RequestHeader, decodeRequest } from '../wire/transmission-messages.js';
import { COOKIE_AND_OFFSET_BYTES, decodeExtendedRequest } from '../wire/extended-messages.js';
import { CommandReplies } from './command-replies.js';

/** Longest range of a TRIM, WRITE_ZEROES or CACHE that a session gets in one call. */
const CALL_MAX_BYTES = 1024 ** 3;

const CHANGING: ReadonlySet<number> = new Set([NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES]);

/** What the transmission phase needs from its connection. */
export interface TransmissionHost {
  /** False holds back the next request: the client must read replies first. */
  mayReply(): boolean;
  /** A reply was queued outside process(): it must be flushed. */
  settled(): void;
  /** A session threw something other than an NbdCommandError. */
  failed(command: number, error: unknown): void;
}

/** How the phase ended, as far as the bytes show. */
export type TransmissionEnd =
  { readonly kind: 'disconnect' } | { readonly kind: 'broken'; readonly error: NbdProtocolError };

/** Serves the requests of one connection. */
export class Transmission {
  readonly #session: ExportSession;
  readonly #rules: RequestRules;
  readonly #limits: NbdLimits;
  readonly #replies: ReplyWriter;
  readonly #answer: CommandReplies;
  readonly #host: TransmissionHost;

  #ended: TransmissionEnd | undefined;
  /** The request that is being processed. */
  readonly #request: RequestHeader;
  readonly #payload = new WritePayload((offset, data) => this.#writePiece(offset, data));
  #rejection: Rejection | undefined;
  #failure: NbdCommandError | undefined;
  /** Made for the first piece of a WRITE that the session answers with a promise. */
  #pending: PendingRequest | undefined;

  readonly #isExtended: boolean;
  readonly #requestBytes: number;
  readonly #header = Buffer.alloc(EXTENDED_REQUEST_BYTES);
  #headerFill = 0;

  #requests = 0;
  #requestsInFlight = 0;
  #bytesInFlight = 0;

  constructor(
    session: ExportSession,
    rules: RequestRules,
    limits: NbdLimits,
    replies: ReplyWriter,
    host: TransmissionHost,
  ) {
    this.#session = session;
    this.#rules = rules;
    this.#limits = limits;
    this.#replies = replies;
    this.#answer = new CommandReplies(rules.headers, replies);
    this.#isExtended = rules.headers === 'extended';
    this.#requestBytes = this.#isExtended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
    this.#request = new RequestHeader(this.#isExtended ? COOKIE_AND_OFFSET_BYTES : COOKIE_BYTES);
    this.#host = host;
  }

  /** How the phase ended, or undefined. */
  get ended(): TransmissionEnd | undefined {
    return this.#ended;
  }

  /** Whether part of a request has been received. */
  get midRequest(): boolean {
    return this.#headerFill > 0 || this.#payload.left > 0;
  }

  /** Requests so far. */
  get requests(): number {
    return this.#requests;
  }

  /** Requests that the session has not answered yet. */
  get requestsInFlight(): number {
    return this.#requestsInFlight;
  }

  /** Whether the next request must wait for a limit. */
  get isFull(): boolean {
    return (
      this.#requestsInFlight >= this.#limits.requestsInFlight ||
      this.#bytesInFlight >= this.#limits.bytesInFlight ||
      !this.#host.mayReply()
    );
  }

  /**
   * Processes the bytes from `at` on.
   *
   * @returns where it stopped: at the end, at a request that must wait for a limit, or behind the
   *     request that ended the phase
   */
  process(bytes: Buffer, at: number): number {
    while (at < bytes.length && this.#ended === undefined) {
      if (this.#payload.left > 0) {
        at = this.#payload.take(bytes, at);
        if (this.#payload.left === 0) this.#endWrite();
      } else if (this.#headerFill === 0 && bytes.length - at >= this.#requestBytes) {
        if (this.isFull) return at;
        this.#begin(bytes, at);
        at += this.#requestBytes;
      } else {
        if (this.#headerFill === 0 && this.isFull) return at;
        at += this.#fillHeader(bytes, at);
      }
    }
    return at;
  }

  /** The rest of an incomplete WRITE will not arrive: waits only for the parts it has. */
  abandon(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    pending.failure ??= new NbdCommandError('EIO', 'the connection ended within the request');
    pending.seal();
  }

  #fillHeader(bytes: Buffer, at: number): number {
    const copied = bytes.copy(
      this.#header,
      this.#headerFill,
      at,
      at + this.#requestBytes - this.#headerFill,
    );
    this.#headerFill += copied;
    if (this.#headerFill === this.#requestBytes) {
      this.#headerFill = 0;
      this.#begin(this.#header, 0);
    }
    return copied;
  }

  #begin(bytes: Buffer, at: number): void {
    const request = this.#request;
    const isDecoded = this.#isExtended
      ? decodeExtendedRequest(bytes, at, request)
      : decodeRequest(bytes, at, request);
    if (!isDecoded) {
      const error = new NbdProtocolError('a request does not begin with the request magic');
      this.#ended = { kind: 'broken', error };
      return;
    }
    this.#requests += 1;
    const rejection = validate(request, this.#rules);
    if (request.type === NBD_CMD_WRITE) this.#beginWrite(rejection);
    else if (rejection === undefined) this.#execute(request);
    else if (this.#isExtended && (request.flags & NBD_CMD_FLAG_PAYLOAD_LEN) !== 0) {
      // Another command with a payload: it is read and dropped like that of a refused WRITE.
      this.#beginWrite(rejection);
    } else this.#reject(rejection);
  }

  #execute(request: RequestHeader): void {
    const { offset, length, flags } = request;
    switch (request.type) {
      case NBD_CMD_READ:
        this.#read(offset, length);
        return;
      case NBD_CMD_DISC:
        this.#ended = { kind: 'disconnect' };
        return;
      case NBD_CMD_FLUSH:
        this.#run(() => this.#session.flush());
        return;
      case NBD_CMD_BLOCK_STATUS:
        this.#blockStatus(offset, length);
        return;
    }
    if (length === 0) {
      this.#answer.success(request.cookie);
      return;
    }
    if (length > CALL_MAX_BYTES) this.#executeLong(request);
    else this.#run(() => this.#change(request.type, flags, offset, length));
  }

  /** A request without data in either direction. */
  #run(command: () => void | Promise<void>): void {
    try {
      const result = command();
      if (result === undefined) this.#answer.success(this.#request.cookie);
      else this.#start(0, (pending) => this.#succeed(pending)).only(result);
    } catch (error) {
      this.#fail(this.#request, error);
    }
  }

  /**
   * TRIM, WRITE_ZEROES or CACHE of a long range. The session gets it in several calls, so that none
   * takes long.
   */
  #executeLong(request: RequestHeader): void {
    const { type, flags, offset, length } = request;
    const end = offset + length;
    let pending: PendingRequest | undefined;
    try {
      for (let at = offset; at < end; at += CALL_MAX_BYTES) {
        const result = this.#change(type, flags, at, Math.min(CALL_MAX_BYTES, end - at));
        if (result === undefined) continue;
        pending ??= this.#start(0, (done) => this.#succeed(done));
        pending.add(result);
      }
    } catch (error) {
      if (pending === undefined) {
        this.#fail(request, error);
        return;
      }
      pending.failure ??= this.#commandError(type, error);
    }
    if (pending === undefined) this.#answer.success(request.cookie);
    else pending.seal();
  }

  #change(type: number, flags: number, offset: number, length: number): void | Promise<void> {
    const fua = (flags & NBD_CMD_FLAG_FUA) !== 0;
    if (type === NBD_CMD_TRIM) return this.#session.trim(offset, length, fua);
    if (type === NBD_CMD_CACHE) return this.#session.cache(offset, length);
    const mayPunchHole = (flags & NBD_CMD_FLAG_NO_HOLE) === 0;
    const fast = (flags & NBD_CMD_FLAG_FAST_ZERO) !== 0;
    return this.#session.writeZeroes(offset, length, { fua, mayPunchHole, fast });
  }

  // READ

  #read(offset: number, length: number): void {
    const { cookie } = this.#request;
    if (length === 0) {
      this.#answer.readNothing(cookie);
      return;
    }
    const header = this.#answer.readHeaderBytes;
    if (this.#replies.mayLend(length) && this.#lend(header, offset, length)) return;
    const reply = this.#replies.reserve(header + length);
    try {
      const result = this.#session.read(offset, reply.subarray(header));
      if (result === undefined) {
        this.#answer.encodeReadHeader(reply, cookie, offset, length);
        this.#replies.commit(reply);
        return;
      }
      const send = this.#replies.detach(reply);
      this.#start(length, (pending) => {
        if (pending.failure !== undefined) {
          this.#fail(pending, pending.failure);
          return;
        }
        this.#answer.encodeReadHeader(reply, pending.cookie, offset, length);
        send();
      }).only(result);
    } catch (error) {
      this.#fail(this.#request, error);
    }
  }

  /** Tries to answer a READ without a copy. @returns whether it was answered */
  #lend(header: number, offset: number, length: number): boolean {
    const { cookie } = this.#request;
    try {
      const view = this.#session.view?.(offset, length);
      if (view === undefined) return false;
      const reply = this.#replies.reserve(header);
      this.#answer.encodeReadHeader(reply, cookie, offset, length);
      this.#replies.commit(reply);
      this.#replies.lend(view, length);
    } catch (error) {
      this.#fail(this.#request, error);
    }
    return true;
  }

  // WRITE

  #beginWrite(rejection: Rejection | undefined): void {
    const { offset, length } = this.#request;
    if (length > this.#limits.drainBytes) {
      // Far beyond what we offered ("Size constraints"): not worth reading.
      const error = new NbdProtocolError(`a WRITE of ${length} bytes`);
      this.#ended = { kind: 'broken', error };
      return;
    }
    this.#rejection = rejection;
    this.#failure = undefined;
    this.#pending = undefined;
    this.#payload.begin(offset, length, rejection === undefined);
    if (length === 0) this.#endWrite();
  }

  #writePiece(offset: number, data: Buffer): void {
    const fua = (this.#request.flags & NBD_CMD_FLAG_FUA) !== 0;
    try {
      const result = this.#session.write(offset, data, fua);
      if (result === undefined) return;
      this.#pending ??= this.#start(this.#request.length, (pending) => this.#succeed(pending));
      this.#pending.add(result);
    } catch (error) {
      this.#failure = this.#commandError(NBD_CMD_WRITE, error);
      this.#payload.discard();
    }
  }

  #endWrite(): void {
    const pending = this.#pending;
    if (pending !== undefined) {
      if (this.#failure !== undefined) pending.failure ??= this.#failure;
      this.#pending = undefined;
      pending.seal();
    } else if (this.#rejection !== undefined) {
      this.#reject(this.#rejection);
    } else if (this.#failure !== undefined) {
      this.#fail(this.#request, this.#failure);
    } else {
      this.#answer.success(this.#request.cookie);
    }
  }

  // BLOCK_STATUS

  #blockStatus(offset: number, length: number): void {
    const one = (this.#request.flags & NBD_CMD_FLAG_REQ_ONE) !== 0;
    const answer = (cookie: Uint8Array, extents: readonly Extent[]): void => {
      const room = this.#rules.sizeBytes - offset;
      const longestBytes = this.#isExtended ? Number.MAX_SAFE_INTEGER : EXTENT_MAX_BYTES;
      const shaped = shapeExtents(extents, length, room, one, longestBytes);
      if (shaped.length === 0) throw new Error('a session reported no extent');
      this.#answer.blockStatus(cookie, shaped);
    };
    try {
      const result = this.#session.blockStatus(offset, Math.min(length, EXTENT_MAX_BYTES));
      if (!('then' in result)) {
        answer(this.#request.cookie, result);
        return;
      }
      let extents: readonly Extent[] = [];
      this.#start(0, (pending) => {
        try {
          if (pending.failure !== undefined) throw pending.failure;
          answer(pending.cookie, extents);
        } catch (error) {
          this.#fail(pending, error);
        }
      }).only(
        result.then((found) => {
          extents = found;
        }),
      );
    } catch (error) {
      this.#fail(this.#request, error);
    }
  }

  // Requests that the session answers later

  #start(payload: number, finish: (pending: PendingRequest) => void): PendingRequest {
    this.#requestsInFlight += 1;
    this.#bytesInFlight += payload;
    const { type } = this.#request;
    return new PendingRequest(
      this.#request,
      (error) => this.#commandError(type, error),
      (pending) => {
        this.#requestsInFlight -= 1;
        this.#bytesInFlight -= payload;
        finish(pending);
        this.#host.settled();
      },
    );
  }

  #succeed(pending: PendingRequest): void {
    if (pending.failure === undefined) this.#answer.success(pending.cookie);
    else this.#fail(pending, pending.failure);
  }

  // Errors

  #reject(rejection: Rejection): void {
    if (CHANGING.has(this.#request.type)) this.#reportRefused(rejection.message);
    this.#answer.error(
      this.#request.cookie,
      COMMAND_ERRORS[rejection.wireError],
      rejection.message,
    );
  }

  #reportRefused(message: string): void {
    try {
      this.#session.refused?.(message);
    } catch (error) {
      this.#host.failed(this.#request.type, error);
    }
  }

  #commandError(command: number, error: unknown): NbdCommandError {
    const known = asCommandError(error);
    if (known !== undefined) return known;
    this.#host.failed(command, error);
    return unexpectedError(error);
  }

  #fail(request: Pick<RequestHeader, 'type' | 'flags' | 'cookie'>, error: unknown): void {
    const failure = this.#commandError(request.type, error);
    const wireError = allowedWireError(failure.wireError, request);
    this.#answer.error(request.cookie, COMMAND_ERRORS[wireError], failure.message);
  }
}
