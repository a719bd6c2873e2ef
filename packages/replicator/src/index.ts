export { RawBase, type BaseStore, type OpenBase, type RawBaseOptions } from './base-image.js';
export { Disk, type CommitCounts, type CommittedEpoch } from './disk.js';
export * from './errors.js';
export { Gate } from './gate.js';
export { IMAGE_FORMATS, type ImageFormat, type ImageProbe, probeImage } from './image-file.js';
export { ImageLock } from './image-lock.js';
export { NbdBase, type NbdBaseOptions } from './nbd-base.js';
export { type BaseOptions, openBase, type OpenOptions } from './open-base.js';
export { type PrimaryLink } from './primary-link.js';
export { type JournalSource, replayFrom, replayJournal, type ReplayTarget } from './journal.js';
export { recoverBases, type DiskOptions, type RecoveryOptions } from './recovery.js';
export { Replica } from './replica.js';
export { ON_FULL } from './replica-options.js';
export type {
  CommitResult,
  MemoryLimits,
  OnFull,
  ReplicaEvent,
  ReplicaOptions,
} from './replica-options.js';
export {
  parseState,
  readStateFile,
  stateFileOf,
  type ReplicaState,
  type StateRecord,
} from './state-file.js';
export { type WriteBackBatch, type WriteBackRun } from './write-back.js';
