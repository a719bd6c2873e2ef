import type { Config, MethodHandlers, MethodsOf, Status } from '@gannet/contract';
import type { Logger } from './log.js';
import type { Credentials } from '../tls/credentials.js';
import type { History } from './history.js';

/** Answered by the daemon, whatever its role is. `watch` is the socket's own (RpcConnections). */
export type DaemonMethod = 'status' | 'events' | 'page' | 'reprotect' | 'watch';

/** The handlers of a role. */
export type RoleMethods<R extends 'primary' | 'secondary'> = MethodHandlers<
  Exclude<MethodsOf<R>, DaemonMethod>
>;

/** What a role needs of the daemon that it plays in. */
export interface RoleContext {
  readonly log: Logger;
  readonly history: History;
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
