export {
  RawBase,
  type BaseStore,
  type OpenBase,
  type RawBaseOptions,
} from './images/base-image.js';
export { type AuditedReplica, type DiskRange, type RangeDigests, ReplicaAudit } from './audit.js';
export { digestsOf, digestsOfZeros } from './digests.js';
export { type ByteRun } from './disk/arrivals.js';
export { Disk, type CommitCounts, type CommittedEpoch } from './disk/disk.js';
export * from './errors.js';
export { Gate } from './gate.js';
export {
  IMAGE_FORMATS,
  type ImageFormat,
  type ImageProbe,
  probeImage,
} from './images/image-file.js';
export { ImageLock } from './images/image-lock.js';
export { NbdBase, type NbdBaseOptions } from './images/nbd-base.js';
export { type BaseOptions, openBase, type OpenOptions, stateFileOf } from './images/open-base.js';
export { type PrimaryLink } from './sessions/primary-link.js';
export {
  type JournalSource,
  replayFrom,
  replayJournal,
  type ReplayTarget,
} from './durability/journal.js';
export { JournalLock } from './durability/journal-lock.js';
export { recoverBases, type RecoveryOptions } from './durability/recovery.js';
export { Replica } from './replica.js';
export { ON_FULL } from './replica-options.js';
export type { CommitResult, ReplicaEvent } from './replica-events.js';
export type { DiskOptions, MemoryLimits, OnFull, ReplicaOptions } from './replica-options.js';
export type { SnapshotLimits, SnapshotView } from './snapshot/snapshot.js';
export { snapshotExportName } from './snapshot/snapshot-session.js';
export { type ReplicaState } from './replica-state.js';
export { parseState, readStateFile, type StateRecord } from './durability/state-file.js';
export { type EpochBatch, type BaseWrite } from './disk/epoch-batch.js';
