// What a connection tells others of itself, and what it is given.

import type { BusyPoll } from './busy-poll.js';
import type { NbdRefusal } from '../errors.js';
import type { Admission, NbdExport, PeerInfo, SessionEnd } from '../export.js';
import type { NbdLimits } from '../limits.js';
import type { NbdServerTls } from './server-tls.js';

/** What a server reports about its connections, for logs. */
export type NbdServerEvent =
  | { readonly kind: 'connected'; readonly peer: PeerInfo }
  | { readonly kind: 'turned-away'; readonly address: string; readonly reason: string }
  /** TLS is there; `peer` says who it is, where the listener does. */
  | { readonly kind: 'secured'; readonly peer: PeerInfo }
  | { readonly kind: 'opened'; readonly peer: PeerInfo; readonly exportName: string }
  | { readonly kind: 'refused'; readonly peer: PeerInfo; readonly error: NbdRefusal }
  /** A session threw something other than an NbdCommandError; the client was told EIO. */
  | {
      readonly kind: 'failed';
      readonly peer: PeerInfo;
      /** Undefined where it was the export's open(). */
      readonly command: number | undefined;
      readonly error: unknown;
    }
  | { readonly kind: 'ended'; readonly peer: PeerInfo; readonly end: SessionEnd };

/** What a connection is doing; `closed` once nothing more of it will be applied. */
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

export interface ConnectionContext {
  readonly exports: () => readonly NbdExport[];
  readonly admission: Admission;
  readonly limits: NbdLimits;
  readonly busyPoll: BusyPoll;
  /** Who counts as one crowd. */
  readonly origin: string;
  /** Asked of the client before anything else. */
  readonly tls: NbdServerTls | undefined;
  /** Whether there is room for one more connection that uses an export. */
  readonly mayOpen: () => boolean;
  readonly onEvent: (event: NbdServerEvent) => void;
  /** The stream is closed and the end has been applied. */
  readonly onGone: () => void;
}
