import { PAYLOAD_MAX_BYTES } from './constants.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Everything that a peer could make grow has a maximum. Those with `Bytes` are in bytes, `Ms` in
 * milliseconds.
 */
export interface NbdLimits {
  /** Connections at a time that use an export; one more is refused it. */
  readonly connections: number;
  /**
   * Connections at a time that have not come to an export yet. One more takes the place of the
   * oldest of whichever address has most of them, so that a crowd from one address keeps nobody
   * else out.
   */
  readonly handshakes: number;
  /** New connections that one address (a network's /64 in IPv6) may open at once and in a second. */
  readonly acceptBurst: number;
  readonly acceptsPerSecond: number;
  /** From accepting a connection to the transmission phase. */
  readonly handshakeMs: number;
  /** All that one connection may send before the transmission phase, TLS aside. */
  readonly handshakeBytes: number;
  /** Options that one connection may send. */
  readonly options: number;
  /** Data of one option; longer data is skipped and answered with NBD_REP_ERR_TOO_BIG. */
  readonly optionBytes: number;
  /** READ and WRITE payload; an export's own maximum may be lower. */
  readonly payloadBytes: number;
  /** A refused WRITE's payload is read and dropped up to here; beyond, the connection is closed. */
  readonly drainBytes: number;
  /** Requests that a session has not answered yet, per connection. */
  readonly requestsInFlight: number;
  /**
   * Payload of requests that a session has not answered yet, per connection. Exceeded by one
   * request at most.
   */
  readonly bytesInFlight: number;
  /** Replies that the client has not taken yet, per connection. Exceeded by one reply at most. */
  readonly unreadReplyBytes: number;
  /** Received and not yet applied, per connection; above, the connection is not read from. */
  readonly queuedBytes: number;
  /** Batches received and not yet applied, per connection. */
  readonly queuedBatches: number;
  /**
   * What close() gives connections to finish their requests, and what a leaving client has to take
   * its replies.
   */
  readonly closeMs: number;
}

/** Limits where `NbdServer` is given none. */
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
