/** Migration and COLO commands. Source: QEMU qapi/migration.json. */
import type { Empty, SocketAddress } from './machine.js';

export type MigrationStatus =
  | 'none'
  | 'setup'
  | 'cancelling'
  | 'cancelled'
  | 'active'
  | 'postcopy-active'
  | 'postcopy-paused'
  | 'postcopy-recover'
  | 'completed'
  | 'failed'
  | 'colo'
  | 'pre-switchover'
  | 'device'
  | 'wait-unplug';

export type MigrationCapability =
  | 'xbzrle'
  | 'rdma-pin-all'
  | 'auto-converge'
  | 'zero-blocks'
  | 'compress'
  | 'events'
  | 'postcopy-ram'
  | 'x-colo'
  | 'release-ram'
  | 'block'
  | 'return-path'
  | 'pause-before-switchover'
  | 'multifd'
  | 'dirty-bitmaps'
  | 'postcopy-blocktime'
  | 'late-block-activate'
  | 'x-ignore-shared'
  | 'validate-uuid'
  | 'background-snapshot'
  | 'zero-copy-send'
  | 'postcopy-preempt'
  | 'switchover-ack'
  | 'dirty-limit'
  | 'mapped-ram';

export interface MigrationCapabilityStatus<Capability = MigrationCapability> {
  readonly capability: Capability;
  readonly state: boolean;
}

/** Units: bytes per second, milliseconds; `x-checkpoint-delay` in milliseconds between checkpoints. */
export interface MigrateParameters {
  readonly 'announce-initial'?: number;
  readonly 'announce-max'?: number;
  readonly 'announce-rounds'?: number;
  readonly 'announce-step'?: number;
  readonly 'cpu-throttle-initial'?: number;
  readonly 'cpu-throttle-increment'?: number;
  readonly 'max-cpu-throttle'?: number;
  readonly 'tls-creds'?: string | null;
  readonly 'tls-hostname'?: string | null;
  readonly 'tls-authz'?: string | null;
  readonly 'max-bandwidth'?: number;
  readonly 'max-postcopy-bandwidth'?: number;
  readonly 'downtime-limit'?: number;
  readonly 'x-checkpoint-delay'?: number;
  readonly 'multifd-channels'?: number;
  readonly 'multifd-compression'?: 'none' | 'zlib' | 'zstd';
  readonly 'xbzrle-cache-size'?: number;
  readonly [parameter: string]: unknown;
}

/** Sizes in bytes, rates in pages or megabits per second. */
export interface MigrationRamStats {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  readonly duplicate: number;
  readonly normal: number;
  readonly 'normal-bytes': number;
  readonly 'dirty-pages-rate': number;
  readonly mbps: number;
  readonly 'dirty-sync-count': number;
  readonly 'page-size': number;
  readonly 'pages-per-second': number;
  readonly [member: string]: unknown;
}

/** Without `status` no migration was ever started. Times in milliseconds. */
export interface MigrationInfo {
  readonly status?: MigrationStatus;
  readonly ram?: MigrationRamStats;
  readonly 'total-time'?: number;
  readonly 'expected-downtime'?: number;
  readonly downtime?: number;
  readonly 'setup-time'?: number;
  readonly 'error-desc'?: string;
  readonly 'blocked-reasons'?: readonly string[];
  readonly 'socket-address'?: readonly SocketAddress[];
  readonly [member: string]: unknown;
}

export type ColoMode = 'none' | 'primary' | 'secondary';
export type ColoExitReason = 'none' | 'request' | 'error' | 'processing';

export interface ColoStatus {
  readonly mode: ColoMode;
  readonly 'last-mode': ColoMode;
  readonly reason: ColoExitReason;
}

/** Commands about migration and COLO. */
export interface MigrationCommands {
  migrate: {
    arguments: { uri: string; blk?: boolean; inc?: boolean; detach?: boolean; resume?: boolean };
    return: Empty;
  };
  migrate_cancel: { arguments: Empty; return: Empty };
  'migrate-incoming': { arguments: { uri: string }; return: Empty };
  'migrate-set-capabilities': {
    arguments: { capabilities: readonly MigrationCapabilityStatus[] };
    return: Empty;
  };
  'query-migrate-capabilities': {
    arguments: Empty;
    return: readonly MigrationCapabilityStatus<string>[];
  };
  'migrate-set-parameters': { arguments: MigrateParameters; return: Empty };
  'query-migrate-parameters': { arguments: Empty; return: MigrateParameters };
  'query-migrate': { arguments: Empty; return: MigrationInfo };
  'query-colo-status': { arguments: Empty; return: ColoStatus };
  'x-colo-lost-heartbeat': { arguments: Empty; return: Empty };
}
