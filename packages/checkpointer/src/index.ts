export { Checkpointer, type CheckpointerOptions, type CheckpointEvent } from './checkpointer.js';
export {
  ColoSource,
  type ColoSourceOptions,
  type ColoMonitorEvent,
  type ColoMonitor,
  type ColoModes,
} from './colo-source.js';
export * from './errors.js';
export { type CommitKnowledge, ExternalSource } from './external-source.js';
export type * from './ports.js';
export { WriteBack, type WriteBackEvent, type WriteBackOptions } from './write-back.js';
