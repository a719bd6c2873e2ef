import {
  type Config,
  describeError,
  type EventDetails,
  type MethodHandlers,
  type MethodsOf,
  type Status,
} from '@gannet/contract';
import type { Logger } from './log.js';
import type { Credentials } from '../tls/credentials.js';
import type { HealthWatch } from './health-watch.js';
import type { History } from './history.js';
import type { TermStore } from './terms/term-store.js';

/** Answered by the daemon, whatever its role is. `watch` is the socket's own (RpcConnections). */
export type DaemonMethod = 'status' | 'events' | 'page' | 'metrics' | 'reprotect' | 'watch';

/** The handlers of a role. */
export type RoleMethods<R extends 'primary' | 'secondary'> = MethodHandlers<
  Exclude<MethodsOf<R>, DaemonMethod>
>;

/** What a role needs of the daemon that it plays in. */
export interface RoleContext {
  readonly log: Logger;
  readonly history: History;
  readonly terms: TermStore;
  readonly health: HealthWatch;
  /** Address of the web page, if other hosts can reach it. */
  readonly page: () => string | undefined;
  /** Of every address with TLS. */
  readonly credentials?: Credentials | undefined;
}

/** One of the two parts that a daemon can play for its VM. */
export interface Role {
  readonly name: 'primary' | 'secondary';
  /** Offered on the control socket. */
  readonly methods: RoleMethods<'primary'> | RoleMethods<'secondary'>;
  status(): Status;
  /** Takes over what can change while it runs. @returns keys that can't */
  reload(config: Config): Promise<readonly string[]>;
  /** Asked to end: whatever can still be brought to a good end is. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** What an event of a failure says besides the error. */
export type TroubleDetails = Omit<EventDetails['trouble'], 'code' | 'message' | 'remedy'>;

/** Adds an event for an error, with its code and remedy. */
export function reportTrouble(
  history: Pick<History, 'add'>,
  error: unknown,
  details: TroubleDetails = {},
): void {
  const { code, message, remedy } = describeError(error);
  history.add('trouble', { code, message, remedy, ...details });
}
