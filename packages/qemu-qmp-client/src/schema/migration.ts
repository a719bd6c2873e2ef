/** Migration and COLO commands. Source: QEMU qapi/migration.json. */
import type { Empty } from './machine.js';
import type { CommonCommands } from './releases.js';

type Common = CommonCommands<
  | 'migrate'
  | 'migrate-incoming'
  | 'migrate-set-capabilities'
  | 'migrate-set-parameters'
  | 'migrate_cancel'
  | 'query-colo-status'
  | 'query-migrate'
  | 'query-migrate-parameters'
  | 'x-colo-lost-heartbeat'
>;

/** Commands about migration and COLO. */
export interface MigrationCommands extends Common {
  /** Each release has its own list. */
  'query-migrate-capabilities': {
    arguments: Empty;
    return: readonly MigrationCapabilityStatus<string>[];
  };
}

export interface MigrationCapabilityStatus<Capability = MigrationCapability> {
  readonly capability: Capability;
  readonly state: boolean;
}

/** What both releases can be told to use. */
export type MigrationCapability =
  Common['migrate-set-capabilities']['arguments']['capabilities'][number]['capability'];

/**
 * Units: bytes per second, milliseconds; `x-checkpoint-delay` in milliseconds between checkpoints.
 */
export type MigrateParameters = Common['query-migrate-parameters']['return'];

/** Without `status` no migration was ever started. Times in milliseconds. */
export type MigrationInfo = Common['query-migrate']['return'];

export type MigrationStatus = NonNullable<MigrationInfo['status']>;

/** Sizes in bytes, rates in pages or megabits per second. */
export type MigrationRamStats = NonNullable<MigrationInfo['ram']>;

export type ColoStatus = Common['query-colo-status']['return'];

export type ColoMode = ColoStatus['mode'];

export type ColoExitReason = ColoStatus['reason'];
