/**
 * What a connection reports about itself, and what it gets from its server.
 */

import type { BusyPoll } from './busy-poll.js';
import type { NbdRefusal } from '../errors.js';
import type { Admission, NbdExport, PeerInfo, SessionEnd } from '../export.js';
import type { NbdLimits } from '../limits.js';
import type { NbdServerTls } from './server-tls.js';

/** What a server reports about its connections, for logs. */
export type NbdServerEvent =
  | { readonly kind: 'connected'; readonly peer: PeerInfo }
  | { readonly kind: 'turned-away'; readonly address: string; readonly reason: string }
  /** TLS was established. `peer.identity` is set if the listener identifies its clients. */
  | { readonly kind: 'secured'; readonly peer: PeerInfo }
  | { readonly kind: 'opened'; readonly peer: PeerInfo; readonly exportName: string }
  | { readonly kind: 'refused'; readonly peer: PeerInfo; readonly error: NbdRefusal }
  /** A session threw something other than an NbdCommandError; the client received EIO. */
  | {
      readonly kind: 'failed';
      readonly peer: PeerInfo;
      /** The request type, one of the NBD_CMD_ constants; undefined for open() and close(). */
      readonly command: number | undefined;
      readonly error: unknown;
    }
  | { readonly kind: 'ended'; readonly peer: PeerInfo; readonly end: SessionEnd };

/** What a connection is doing. `closed`: nothing more that it sent will be applied. */
export type ConnectionState = 'negotiating' | 'securing' | 'opening' | 'transmission' | 'closed';

/** A snapshot of one connection, for status pages. */
export interface ConnectionInfo {
  readonly peer: PeerInfo;
  readonly state: ConnectionState;
  readonly exportName: string | undefined;
  readonly requests: number;
  readonly requestsInFlight: number;
  readonly receivedBytes: number;
  readonly queuedBytes: number;
}

/** What a connection gets from its server. */
export interface ConnectionContext {
  readonly exports: () => readonly NbdExport[];
  readonly admission: Admission;
  readonly limits: NbdLimits;
  readonly busyPoll: BusyPoll;
  /** Connections of one origin are counted together. */
  readonly origin: string;
  /** Whether extended headers are offered. */
  readonly extendedHeaders: boolean;
  /** If set, the client must use TLS. */
  readonly tls: NbdServerTls | undefined;
  /** Whether one more connection may use an export. */
  readonly mayOpen: () => boolean;
  readonly onEvent: (event: NbdServerEvent) => void;
  /** Called once, when the stream is closed and its end has been applied. */
  readonly onGone: () => void;
}
