import { PAYLOAD_MAX_BYTES } from './constants.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Everything that a client could make grow has a maximum. Names that end in `Bytes` are in bytes,
 * in `Ms` in milliseconds.
 */
export interface NbdLimits {
  /** Connections that use an export at a time; one more is refused the export. */
  readonly connections: number;
  /**
   * Connections in the handshake phase at a time. For one more, the oldest of the address that has
   * most of them is dropped, so that many from one address do not keep others out.
   */
  readonly handshakes: number;
  /** New connections that one address (in IPv6: one /64 network) may open at once. */
  readonly acceptBurst: number;
  /** New connections per second that one address may open after that. */
  readonly acceptsPerSecond: number;
  /** From accepting a connection to the transmission phase. */
  readonly handshakeMs: number;
  /** Everything that one connection may send before the transmission phase, without TLS. */
  readonly handshakeBytes: number;
  /** Options that one connection may send. */
  readonly options: number;
  /** Data of one option. Longer data is skipped and answered with NBD_REP_ERR_TOO_BIG. */
  readonly optionBytes: number;
  /** READ and WRITE payload; an export's own maximum may be lower. */
  readonly payloadBytes: number;
  /** The payload of a refused WRITE is read and dropped; if it is longer, we hang up. */
  readonly drainBytes: number;
  /** Requests that a session has not answered yet, per connection. */
  readonly requestsInFlight: number;
  /** Payload of those requests, per connection. Exceeded by one request at most. */
  readonly bytesInFlight: number;
  /** Replies that the client has not read yet, per connection. Exceeded by one at most. */
  readonly unreadReplyBytes: number;
  /** Received and not yet applied, per connection. Above it, the socket is not read. */
  readonly queuedBytes: number;
  /** Batches received and not yet applied, per connection. */
  readonly queuedBatches: number;
  /**
   * How long close() waits for requests to end, and how long a leaving client may take to read its
   * replies.
   */
  readonly closeMs: number;
}

/** The limits that `NbdServer` uses unless told otherwise. */
export const DEFAULT_LIMITS: NbdLimits = {
  connections: 64,
  handshakes: 64,
  acceptBurst: 64,
  acceptsPerSecond: 32,
  handshakeMs: 10_000,
  handshakeBytes: 256 * KIB,
  options: 128,
  optionBytes: 32 * KIB,
  payloadBytes: PAYLOAD_MAX_BYTES,
  drainBytes: 2 * PAYLOAD_MAX_BYTES,
  requestsInFlight: 1024,
  bytesInFlight: 64 * MIB,
  unreadReplyBytes: 64 * MIB,
  queuedBytes: 16 * MIB,
  queuedBatches: 4096,
  closeMs: 2000,
};
