export { Checkpointer, type CheckpointerOptions, type CheckpointEvent } from './checkpointer.js';
export { ColoSource, type ColoEvent, type ColoMonitor, type ColoStatus } from './colo-source.js';
export * from './errors.js';
export { ExternalSource } from './external-source.js';
export type * from './ports.js';
export { WriteBack, type WriteBackEvent, type WriteBackOptions } from './write-back.js';
